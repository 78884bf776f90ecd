"""Finds the rows of a person: SQL that compares a field with a value as the contract reads it."""

import json
from collections.abc import Sequence

from lake_assets.catalog.model import Field
from lake_assets.compile.rules import given, typed
from lake_assets.compile.sql import identifier, literal

# A field and the value that it has in the events that are meant.
Wanted = tuple[Field, str]


def payload_matches(wanted: Sequence[Wanted], source: str, columns: str) -> str:
    """The `columns` of the rows of `source` whose `payload` has all these values, as text or as the contract reads it.

    `unreadable` is true for those that are no JSON object and hold all values somewhere in their text.
    """
    shape = json.dumps({field.payload_key: "VARCHAR" for field, _ in wanted})
    has = " and ".join(
        f"(coalesce({given(field)} = {literal(value)}, false) "
        f"or coalesce({typed(field)} = {_read(field, value)}, false))"
        for field, value in wanted
    )
    holds = " and ".join(f"coalesce(contains(_text, {literal(value)}), false)" for _, value in wanted)
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
where case when _given is null then {holds} else {has} end"""


def staging_matches(wanted: Sequence[Wanted], tokens: Sequence[str | None]) -> str:
    """A condition over the staging table; a token stands for the value of a field that has one."""
    return " and ".join(
        f"coalesce({identifier(field.name)} = {literal(token) if token else _read(field, value)}, false)"
        for (field, value), token in zip(wanted, tokens, strict=True)
    )


def _read(field: Field, value: str) -> str:
    return f"(select {typed(field)} from (select {{{literal(field.payload_key)}: {literal(value)}}} as _given))"
