"""The conform step as SQL: judge, deduplicate, count, and the two SELECTs that are written to Parquet.

Statements run in this order on one DuckDB connection; `judged` and `dropped` are temporary tables, `good` a view.
"""

from lake_assets.catalog.model import Asset, Field
from lake_assets.compile.ddl import ERRORS_TYPE, duckdb_type
from lake_assets.compile.judge import judge_sql
from lake_assets.compile.sql import identifier, indent, literal

# What stands for raw rows where there are none: a window whose rows were all forgotten has no file.
NO_RAW = """\
(select
  cast(null as blob) as payload, cast(null as blob) as _key, cast(null as varchar) as _topic,
  cast(null as integer) as _partition, cast(null as bigint) as _offset, cast(null as timestamptz) as _timestamp
where false)"""
INNER_PAD, OUTER_PAD = "lake_inner_pad", "lake_outer_pad"


def judged_table(asset: Asset, source: str) -> str:
    """Creates `judged`: every raw row of the windows, typed and with its errors."""
    return f"create or replace temp table judged as\n{judge_sql(asset, source)}"


def dropped_table(asset: Asset) -> str:
    """Creates `dropped`: row ids that are duplicates, of transport (same offset twice) or of business (same key).

    Within a window the latest of equal keys by (event time, partition, offset) stays. Rows are compared by a hash
    first, and only those that share one are looked at in full: duplicates are rare, sorting a million rows is not free.
    """
    transport = _repeats("_topic, _partition, _offset", "judged", "rowid")
    if not asset.key:
        return f"create or replace temp table dropped as\nselect row_id, true as redelivered from (\n{transport}\n)"
    keys = ", ".join(identifier(name) for name in asset.key)
    business = _repeats(
        f"_window, {keys}",
        "(\n    select rowid, * from judged\n"
        "    where _errors is null and rowid not in (select row_id from transport)\n  )",
        "_event_at desc, _partition desc, _offset desc",
    )
    return f"""\
create or replace temp table dropped as
with transport as (
  {indent(transport, 2)}
),
business as (
  {indent(business, 2)}
)
select row_id, true as redelivered from transport
union all
select row_id, false as redelivered from business"""


def _repeats(columns: str, relation: str, order: str) -> str:
    return f"""\
select row_id from (
  select rowid as row_id, row_number() over (partition by {columns} order by {order}) as place
  from {relation}
  where hash({columns}) in (
    select h from (select hash({columns}) as h from {relation}) group by h having count(*) > 1
  )
)
where place > 1"""


GOOD_VIEW = """\
create or replace temp view good as
select * from judged
where _errors is null and rowid not in (select row_id from dropped)"""

# One row per window and Kafka partition; the numbers of the ledger.
COUNTS = """\
with marked as (
  select judged.*, row_id is not null as _duplicate, coalesce(redelivered, false) as _redelivered
  from judged left join dropped on judged.rowid = row_id
)
select
  _window, _topic, _partition,
  count(*) as raw,
  count(*) filter (where _errors is null and not _duplicate) as good,
  count(*) filter (where _errors is not null and not _duplicate) as quarantined,
  count(*) filter (where _duplicate) as duplicates,
  count(*) filter (where _redelivered) as redelivered,
  min(_offset) as min_offset, max(_offset) as max_offset
from marked
group by all
order by all"""


# The keys that the contract does not declare; only rows that have some are looked at. A producer that makes up keys
# does not fill the ledger: longer ones than any name are left out, and each window tells of its most frequent ones.
MOST_UNKNOWN = 100
UNKNOWN = f"""\
with found as (
  select
    _window, key as name,
    case
      when type = 'VARCHAR' then 'string'
      when type in ('BIGINT', 'UBIGINT') then 'integer'
      when type = 'DOUBLE' then 'number'
      else lower(type)
    end as kind,
    count(*) as rows
  from judged, json_each(_extra)
  where _extra is not null and judged.rowid not in (select row_id from dropped) and length(key) <= 200
  group by all
)
select _window, name, kind, rows from found
qualify row_number() over (partition by _window order by rows desc, name, kind) <= {MOST_UNKNOWN}
order by all"""


def good_select(asset: Asset, loaded_at: str) -> str:
    """The rows for staging, in the staging table's column order. `loaded_at` is ISO 8601 with an offset."""
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
    """A field as staging has it. A token is the HMAC of the value (RFC 2104, SHA-256) as 64 hexadecimal digits; the
    key's two pads are variables of the session, so that no text of a statement has them."""
    name = identifier(field.name)
    match field.protection:
        case "tokenise":
            inner = f"unhex(sha256(getvariable({literal(INNER_PAD)}) || encode({name})))"
            return (
                f"case when {name} is not null then sha256(getvariable({literal(OUTER_PAD)}) || {inner}) end as {name}"
            )
        case "drop":
            return f"cast(null as {duckdb_type(field.type)}) as {name}"
        case None:
            return name


def quarantine_select(asset: Asset, run_id: str, loaded_at: str) -> str:
    """The quarantined rows in their envelope, in the quarantine table's column order."""
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
where _errors is not null and rowid not in (select row_id from dropped)"""
