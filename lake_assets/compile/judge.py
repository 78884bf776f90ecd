"""The judge: one SELECT that turns raw rows into typed rows, each with the list of rules it breaks.

It judges one row at a time, so that any engine can run it on any slice of a window: DuckDB over a whole window, Spark's
executors batch by batch. Its input relation has the raw table's columns (`payload blob, _key blob, _topic varchar,
_partition integer, _offset bigint, _timestamp timestamptz`).
"""

import json

from lake_assets.catalog.model import Asset, Field, WindowSize
from lake_assets.compile.rules import (
    Violation,
    document_violations,
    given,
    payload_text,
    shape,
    surely_good,
    typed,
    violations,
)
from lake_assets.compile.sql import identifier, judged_column, literal

HIDDEN = "(hidden)"
_BUCKET_US = {"day": 86_400_000_000, "hour": 3_600_000_000}


def judge_sql(asset: Asset, source: str) -> str:
    """Return DuckDB SQL over `source` (a relation or a subquery in parentheses).

    Yields the declared fields (named by `judged_column`), `_window _event_at _topic _partition _offset _key _payload
    _extra _errors`. `_errors` is null for a good row, else a list of struct(code, field, value, message); key and
    payload are set for bad rows only.
    """
    event_at = f"coalesce({identifier(asset.event_time)}, _timestamp)" if asset.event_time else "_timestamp"
    columns = ",\n    ".join(f"{typed(f)} as {identifier(f.name)}" for f in asset.fields)
    names = ",\n  ".join(f"{identifier(f.name)} as {judged_column(f.name)}" for f in asset.fields)
    return f"""\
with _decoded as (
  select
    payload as _payload, _key, _topic, _partition, _offset,
    -- A record without a timestamp lands in the window of time zero.
    coalesce(_timestamp, make_timestamptz(0)) as _timestamp,
    try(decode(payload)) as _text
  from {source}
),
_extracted as (
  select *, try(from_json(_text, {literal(shape(asset.fields))})) as _given
  from _decoded
),
_typed as (
  select
    {columns},
    {_extra(asset)} as _extra,
    _payload, _key, _topic, _partition, _offset, _timestamp, _text, _given
  from _extracted
),
_judged as (
  select
    *,
    {_errors(asset)} as _errors
  from _typed
)
select
  {names},
  {_window(asset.window)} as _window,
  {event_at} as _event_at,
  _topic, _partition, _offset,
  case when _errors is not null then _key end as _key,
  case when _errors is not null then _payload end as _payload,
  _extra,
  _errors
from _judged"""


def _window(size: WindowSize) -> str:
    if size == "month":
        # In a time without a zone, which is UTC, whatever the session's zone is.
        return "make_timestamptz(epoch_us(date_trunc('month', make_timestamp(epoch_us(_timestamp)))))"
    bucket = _BUCKET_US[size]
    return f"make_timestamptz(cast(floor(epoch_us(_timestamp) / {bucket}) as bigint) * {bucket})"


def _extra(asset: Asset) -> str:
    # Removing the declared fields from the document is slow, so it is done only for rows with more keys than declared
    # fields with a value. Keys that derived fields read do not belong to them.
    declared = [f for f in asset.fields if not f.is_derived]
    removal = json.dumps({f.payload_key: None for f in declared})
    present = _sum([f"cast({payload_text(f)} is not null as integer)" for f in declared])
    return (
        f"case when len(try(json_keys(_text))) > {present}\n"
        f"      then nullif(cast(json_merge_patch(_text, {literal(removal)}) as varchar), '{{}}') end"
    )


def _sum(terms: list[str]) -> str:
    """Add terms in groups: DuckDB refuses an expression nested deeper than 1,000, and a sum nests with each term."""
    groups = [" + ".join(terms[first : first + 100]) for first in range(0, len(terms), 100)]
    return " + ".join(f"({group})" for group in groups) or "0"


def _errors(asset: Asset) -> str:
    """Test first a condition that good rows pass quickly, then, for the others, every rule with its message."""
    tests = [test for test in map(surely_good, asset.fields) if test]
    if any(field.type.name == "string" for field in asset.fields):
        # U+0000 appears in JSON text only in this form; few texts have it, and their fields are then checked one by
        # one.
        tests.append("not contains(_text, '\\u0000')")
    surely = "\n        and ".join(tests)
    if not any(field.required for field in asset.fields):
        # A required field with a value proves that the payload is an object; without one it must be checked.
        surely = "\n        and ".join(
            part for part in ("coalesce(try(json_type(_text)) = 'OBJECT', false)", surely) if part
        )
    entries = [
        f"case when {v.condition} then {_error(v, field)} end" for field in asset.fields for v in violations(field)
    ]
    if asset.unknown_fields == "reject":
        surely += "\n        and _extra is null"
        entries.append(f"case when _extra is not null then {_unknown_field(asset)} end")
    documents = "\n        ".join(f"when {v.condition} then [{_error(v, None)}]" for v in document_violations())
    listed = ",\n          ".join(entries)
    rules = (
        f"nullif(list_filter([\n          {listed}\n        ], lambda _e: _e is not null), [])" if entries else "null"
    )
    return f"""case
      when {surely}
        then null
      else case
        {documents}
        else {rules}
      end
    end"""


def _error(violation: Violation, field: Field | None) -> str:
    name = literal(field.name) if field else "null"
    value = "null"
    if field:
        # The form of a value is visible to every reader of errors: samples are shown, logged and stored.
        shown = f"left(cast({given(field)} as varchar), 200)"
        value = f"case when {given(field)} is not null then {literal(HIDDEN)} end" if field.is_confidential else shown
    return (
        f"{{'code': {literal(violation.code)}, 'field': cast({name} as varchar), 'value': cast({value} as varchar), "
        f"'message': {literal(violation.message)}}}"
    )


def _unknown_field(asset: Asset) -> str:
    # An undeclared field may be a confidential field under another name.
    value = literal(HIDDEN) if any(field.is_confidential for field in asset.fields) else "left(_extra, 200)"
    return (
        f"{{'code': 'unknown_field', 'field': json_keys(_extra)[1], 'value': {value}, "
        "'message': 'the contract does not declare it'}"
    )
