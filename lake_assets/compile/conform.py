"""The conform step as SQL: judge, deduplicate, count, and the two SELECTs that are written to Parquet.

The statements run in this order on one DuckDB connection; `judged` and `dropped` are temporary tables, `good` a view.
"""

from lake_assets.catalog.model import Asset, Field
from lake_assets.compile.ddl import ERRORS_TYPE, duckdb_type
from lake_assets.compile.judge import judge_sql
from lake_assets.compile.sql import identifier, indent, judged_column, literal

# An empty relation of raw rows: a window whose rows were all erased has no file.
NO_RAW = """\
(select
  cast(null as blob) as payload, cast(null as blob) as _key, cast(null as varchar) as _topic,
  cast(null as integer) as _partition, cast(null as bigint) as _offset, cast(null as timestamptz) as _timestamp
where false)"""
INNER_PAD, OUTER_PAD = "lake_inner_pad", "lake_outer_pad"


def judged_table(asset: Asset, source: str) -> str:
    """Create `judged`: every raw row of the windows, typed and with its errors."""
    return f"create or replace temp table judged as\n{judge_sql(asset, source)}"


def dropped_table(asset: Asset) -> str:
    """Create `dropped`: row ids of duplicates, of transport (same offset twice) or of business (same key).

    Of rows with equal keys in a window the latest by (event time, partition, offset) stays. Rows are compared by a hash
    first, and only rows with equal hashes are compared in full: duplicates are rare, and sorting a million rows is not
    free.
    """
    transport = _repeats("_topic, _partition, _offset", "judged", "rowid")
    if not asset.key:
        return f"create or replace temp table dropped as\nselect _row, true as _redelivered from (\n{transport}\n)"
    keys = ", ".join(judged_column(name) for name in asset.key)
    business = _repeats(
        f"_window, {keys}",
        "(\n    select rowid, * from judged\n"
        "    where _errors is null and rowid not in (select _row from _transport)\n  )",
        "_event_at desc, _partition desc, _offset desc",
    )
    return f"""\
create or replace temp table dropped as
with _transport as (
  {indent(transport, 2)}
),
_business as (
  {indent(business, 2)}
)
select _row, true as _redelivered from _transport
union all
select _row, false as _redelivered from _business"""


def _repeats(columns: str, relation: str, order: str) -> str:
    return f"""\
select _row from (
  select rowid as _row, row_number() over (partition by {columns} order by {order}) as _place
  from {relation}
  where hash({columns}) in (
    select _hash from (select hash({columns}) as _hash from {relation}) group by _hash having count(*) > 1
  )
)
where _place > 1"""


GOOD_VIEW = """\
create or replace temp view good as
select * from judged
where _errors is null and rowid not in (select _row from dropped)"""

# One row per window and Kafka partition: the ledger's row counts.
COUNTS = """\
with _marked as (
  select
    _window, _topic, _partition, _offset, _errors,
    _row is not null as _is_duplicate, coalesce(_redelivered, false) as _is_redelivered
  from judged as _judged left join dropped as _dropped on _judged.rowid = _dropped._row
)
select
  _window, _topic, _partition,
  count(*) as raw,
  count(*) filter (where _errors is null and not _is_duplicate) as good,
  count(*) filter (where _errors is not null and not _is_duplicate) as quarantined,
  count(*) filter (where _is_duplicate) as duplicates,
  count(*) filter (where _is_redelivered) as redelivered,
  min(_offset) as min_offset, max(_offset) as max_offset
from _marked
group by all
order by all"""


def conflicts(asset: Asset) -> str:
    """Count, by window, the duplicates that differ in another field from the good row with their key."""
    keys = ", ".join(("_window", *(judged_column(name) for name in asset.key)))
    content = ", ".join((*(judged_column(field.name) for field in asset.fields), "_extra"))
    return f"""\
with _lost as (
  select {keys}, hash({content}) as _content
  from judged as _judged join dropped as _dropped on _judged.rowid = _dropped._row
  where not _redelivered
),
_stayed as (
  select {keys}, hash({content}) as _content from good
  where hash({keys}) in (select hash({keys}) from _lost)
)
select _window, count(*) from _lost join _stayed using ({keys})
where _lost._content <> _stayed._content
group by all"""


# Undeclared keys; only rows that have some are read. A producer that invents keys cannot fill the ledger: names of
# more than 200 characters are left out, and each window reports only its most frequent keys.
MOST_UNKNOWN = 100
# Reading a key costs the memory of its whole document: two events of 250,000 keys took more than 11 GB. In bytes of a
# document times its keys.
MOST_READ = 64 << 20
UNKNOWN = f"""\
with _further as (
  select _window, _extra from judged
  where _extra is not null and strlen(_extra) * len(json_keys(_extra)) <= {MOST_READ}
    and rowid not in (select _row from dropped)
),
_found as (
  select
    _window, _member.key as _name,
    case
      when _member.type = 'VARCHAR' then 'string'
      when _member.type in ('BIGINT', 'UBIGINT') then 'integer'
      when _member.type = 'DOUBLE' then 'number'
      else lower(_member.type)
    end as _kind,
    count(*) as _rows
  from _further, json_each(_extra) as _member
  where length(_member.key) <= 200
  group by all
)
select _window, _name, _kind, _rows from _found
qualify row_number() over (partition by _window order by _rows desc, _name, _kind) <= {MOST_UNKNOWN}
order by all"""


def good_select(asset: Asset, loaded_at: str) -> str:
    """Select the rows for staging, in the staging table's column order. `loaded_at` is ISO 8601 with an offset."""
    values = ",\n  ".join(_staged(field) for field in asset.fields)
    return f"""\
select
  {values},
  _window, _partition as _kafka_partition, _offset, _event_at,
  timestamptz {literal(loaded_at)} as _loaded_at,
  {literal(asset.version)} as _contract_version,
  _extra
from good"""


def _staged(field: Field) -> str:
    """Return a field's value for staging.

    A token is the HMAC of the value (RFC 2104, SHA-256) as 64 hexadecimal digits. The key's two pads are variables of
    the session, so that no text of a statement contains them.
    """
    name, column = identifier(field.name), judged_column(field.name)
    match field.protection:
        case "tokenise":
            inner = f"unhex(sha256(getvariable({literal(INNER_PAD)}) || encode({column})))"
            token = f"sha256(getvariable({literal(OUTER_PAD)}) || {inner})"
            return f"case when {column} is not null then {token} end as {name}"
        case "drop":
            return f"cast(null as {duckdb_type(field.type)}) as {name}"
        case None:
            return column if column == name else f"{column} as {name}"


def quarantine_select(asset: Asset, run_id: str, loaded_at: str) -> str:
    """Select the quarantined rows in their envelope, in the quarantine table's column order."""
    payload = "_key as key, _payload as payload"
    if not asset.keeps_payloads:
        payload = "cast(null as blob) as key, cast(null as blob) as payload"
    return f"""\
select
  {literal(asset.name)} as asset,
  _window,
  _topic as topic, _partition as partition, _offset as "offset", {payload},
  cast(_errors as {ERRORS_TYPE}) as errors,
  {literal(asset.version)} as contract_version,
  {literal(run_id)} as run_id,
  timestamptz {literal(loaded_at)} as first_seen
from judged
where _errors is not null and rowid not in (select _row from dropped)"""
