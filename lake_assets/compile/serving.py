"""Metric -> the table that the sink writes, the view that people read, and what keeps an old row from coming back.

The table has one row for each group, window and shard (the source's Kafka partition), because several instances count
side by side; the view adds the shards up. A late event has a row of its own, with its offset in `late_offset`.
"""

from lake_assets.catalog.metric import Measure, Metric
from lake_assets.compile.sql import identifier, literal

SCHEMA = "serving"
COLUMN_TYPES = {"string": "text", "integer": "bigint", "boolean": "boolean"}
NOT_LATE = -1

# A sink that was away may bring rows again that are older than those already there.
KEEP_NEWEST = f"""\
create or replace function {SCHEMA}.keep_newest() returns trigger language plpgsql as $$
begin
  if new.revision < old.revision then
    return null;
  end if;
  return new;
end $$"""


def shards_table(metric: Metric) -> str:
    """The table's name, without its schema."""
    return f"{metric.table}_shards"


def key_columns(metric: Metric) -> list[str]:
    return [*(group.name for group in metric.groups), "window_start", "shard", "late_offset"]


def serving_statements(metric: Metric) -> list[str]:
    """DDL for Postgres that makes table, trigger and view; running it again changes nothing."""
    table, view = f"{SCHEMA}.{identifier(shards_table(metric))}", f"{SCHEMA}.{identifier(metric.table)}"
    groups = [f"{identifier(group.name)} {COLUMN_TYPES[group.type.name]} not null" for group in metric.groups]
    measures = [f"{identifier(measure.name)} bigint not null" for measure in metric.measures]
    keys = ", ".join(identifier(name) for name in key_columns(metric))
    columns = ",\n  ".join(
        [
            *groups, "window_start timestamptz not null", "shard integer not null", "late_offset bigint not null",
            *measures, "source_offset bigint not null", "revision bigint not null", "is_final boolean not null",
            f"primary key ({keys})",
        ]
    )  # fmt: skip
    trigger = f"{metric.table}_keep_newest"
    return [
        f"create schema if not exists {SCHEMA}",
        KEEP_NEWEST,
        f"create table if not exists {table} (\n  {columns}\n)",
        f"create index if not exists {identifier(f'{metric.table}_window')} on {table} (window_start)",
        f"create or replace trigger {identifier(trigger)} before update on {table} "
        f"for each row execute function {SCHEMA}.keep_newest()",
        f"comment on table {table} is {literal(metric.definition())}",
        f"create or replace view {view} as\n{_view_query(metric, table)}",
        f"comment on view {view} is {literal(metric.description)}",
        *(
            f"comment on column {view}.{identifier(measure.name)} is {literal(measure.description)}"
            for measure in metric.measures
        ),
        f"grant usage on schema {SCHEMA} to connect, analyst",
        f"grant select, insert, update on {table} to connect",
        f"grant select on {view} to analyst",
    ]


def _view_query(metric: Metric, table: str) -> str:
    groups = ", ".join(identifier(group.name) for group in metric.groups)
    measures = ",\n  ".join(_measure(measure) for measure in metric.measures)
    return (
        f"select {groups}, window_start, window_start + interval '{metric.window_ms} milliseconds' as window_end,\n"
        f"  {measures},\n"
        f"  bool_and(is_final) as is_final,\n"
        f"  count(*) filter (where late_offset <> {NOT_LATE}) as late_events\n"
        f"from {table}\ngroup by {groups}, window_start"
    )


def _measure(measure: Measure) -> str:
    """The shards' partial numbers as one, in the unit of the source's field. Late events are not in it."""
    name = identifier(measure.name)
    function = "sum" if measure.function in ("count", "sum") else measure.function
    total = f"{function}({name}) filter (where late_offset = {NOT_LATE})"
    if function == "sum":
        total = f"coalesce({total}, 0)"
    if measure.scale:
        return f"cast({total} / 1{'0' * measure.scale}::numeric as numeric(38, {measure.scale})) as {name}"
    return f"cast({total} as bigint) as {name}"
