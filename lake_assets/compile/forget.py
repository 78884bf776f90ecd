"""Find the rows of a subject: SQL that compares a field with a value as the contract reads it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lake_assets.catalog.model import Field
from lake_assets.compile.rules import given, typed
from lake_assets.compile.sql import identifier, literal

# A field and its value in the events of the subject.
Wanted = tuple[Field, str]


def payload_matches(readings: Sequence[Sequence[Wanted]], source: str, columns: str) -> str:
    """Select the `columns` of rows of `source` whose `payload` has all these values, as text or as a contract reads it.

    Each of `readings` is one contract's for the same subject. `unreadable` is true for rows that are not a JSON object
    and contain all values somewhere in their text.
    """
    readings = _mark_twins(readings)
    fields = [field for search in readings for field, _ in search if not field.has_twin]
    shape = json.dumps({key: "JSON" if field.path else "VARCHAR" for field in fields for key in field.payload_keys})
    matches = " or ".join(f"({_has(search)})" for search in readings)
    values = {value for search in readings for _, value in search}
    holds = " and ".join(f"coalesce(contains(_text, {literal(value)}), false)" for value in sorted(values))
    return f"""\
with decoded as (
  select *, try(decode(payload)) as _text
  from {source}
),
extracted as (
  select *, try(from_json(_text, {literal(shape)})) as _given
  from decoded
)
select {columns}, _given is null as unreadable
from extracted
where case when _given is null then {holds} else {matches} end"""


def staging_values(search: Sequence[Wanted], tokens: Sequence[str | None]) -> Mapping[str, str]:
    """Return the value in staging, by column, as DuckDB SQL; a token replaces the value of a tokenised field."""
    return {
        field.name: literal(token) if token else _read(field, value)
        for (field, value), token in zip(search, tokens, strict=True)
    }


def values_match(values: Mapping[str, str]) -> str:
    """Return a condition over the staging table: it has all these values; never true without any value."""
    return " and ".join(f"coalesce({identifier(name)} = {value}, false)" for name, value in values.items()) or "false"


def _mark_twins(readings: Sequence[Sequence[Wanted]]) -> list[list[Wanted]]:
    """Mark fields of several contracts whose keys differ only in case as twins."""
    keys = {key for search in readings for field, _ in search for key in field.payload_keys}
    counts = Counter(key.lower() for key in keys)
    return [
        [(replace(field, has_twin=any(counts[key.lower()] > 1 for key in field.payload_keys)), value)
         for field, value in search]
        for search in readings
    ]  # fmt: skip


def _has(search: Sequence[Wanted]) -> str:
    return " and ".join(
        f"(coalesce({given(field)} = {literal(value)}, false) "
        f"or coalesce({typed(field)} = {_read(field, value)}, false))"
        for field, value in search
    )


def _read(field: Field, value: str) -> str:
    return f"(select {typed(field, '_value')} from (select {literal(value)} as _value))"
