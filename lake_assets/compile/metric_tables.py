"""Metric -> the tables that the sinks write, the view for readers, and the trigger that rejects older rows.

The table of shards has one row for each group, window and shard (the source's Kafka partition), because several
instances count in parallel; the view sums the shards. Events that came too late have their own table.
"""

from collections.abc import Callable

from lake_assets.catalog.metric import Measure, Metric
from lake_assets.compile.sql import identifier, literal

SCHEMA = "metrics"
# Late events that retention deleted, by metric and shard.
EXPIRED = "ledger.metric_expired"
# Maximum bytes of the texts of a row's groups together. An entry of a Postgres index has 2,704 at most.
MOST_GROUP_BYTES = 2_000
COLUMN_TYPES = {"string": "text", "integer": "bigint", "boolean": "boolean"}

# A sink that recovers may deliver rows again that are older than those in the table.
KEEP_NEWEST = f"""\
create or replace function {SCHEMA}.keep_newest() returns trigger language plpgsql as $$
begin
  if new.revision < old.revision then
    return null;
  end if;
  return new;
end $$"""


def shards_table(metric: Metric) -> str:
    """Return the table's name, without its schema."""
    return f"{metric.table}_shards"


def late_table(metric: Metric) -> str:
    """Return the name of the table of late events, without its schema."""
    return f"{metric.table}_late"


def shard_keys(metric: Metric) -> list[str]:
    return [*(group.name for group in metric.groups), "window_start", "shard"]


LATE_KEYS = ["shard", "source_offset"]


def text_bytes(metric: Metric, column: Callable[[str], str]) -> str:
    """Return DuckDB SQL for the bytes of a row's text groups; `column` returns a field's column."""
    texts = (group.name for group in metric.groups if group.type.name == "string")
    return " + ".join(f"strlen({column(name)})" for name in texts) or "0"


def metric_statements(metric: Metric) -> list[str]:
    """Return idempotent DDL for Postgres that creates tables, trigger and view."""
    shards, late = f"{SCHEMA}.{identifier(shards_table(metric))}", f"{SCHEMA}.{identifier(late_table(metric))}"
    view = f"{SCHEMA}.{identifier(metric.table)}"
    groups = [f"{identifier(group.name)} {COLUMN_TYPES[group.type.name]} not null" for group in metric.groups]
    cell = [*groups, "window_start timestamptz not null", "shard integer not null"]
    measures = [f"{identifier(measure.name)} bigint not null" for measure in metric.measures]
    numbers = [*measures, "source_offset bigint not null"]
    state = ["late_before bigint not null", "revision bigint not null", "is_final boolean not null"]
    return [
        f"create schema if not exists {SCHEMA}",
        KEEP_NEWEST,
        _table(shards, [*cell, *numbers, *state], shard_keys(metric)),
        _table(late, [*cell, *numbers], LATE_KEYS),
        f"create index if not exists {identifier(f'{metric.table}_shards_window')} on {shards} (window_start)",
        f"create index if not exists {identifier(f'{metric.table}_late_window')} on {late} (window_start)",
        f"create or replace trigger {identifier(f'{metric.table}_keep_newest')} before update on {shards} "
        f"for each row execute function {SCHEMA}.keep_newest()",
        f"comment on table {shards} is {literal(metric.definition())}",
        f"comment on table {late} is {literal(f'Events of {metric.table} that came after their window was final.')}",
        f"create or replace view {view} as\n{_view_query(metric, shards, late)}",
        f"comment on view {view} is {literal(metric.description)}",
        *(
            f"comment on column {view}.{identifier(measure.name)} is {literal(measure.description)}"
            for measure in metric.measures
        ),
        f"grant usage on schema {SCHEMA} to connect, analyst",
        f"grant select, insert, update on {shards}, {late} to connect",
        f"grant select on {view} to analyst",
    ]


def expire_late(metric: Metric) -> str:
    """Return SQL that deletes late events of windows that begin before `%(before)s`, and counts them in the ledger.

    Events after the newest final row stay: the audit waits for them.
    """
    shards, late = f"{SCHEMA}.{identifier(shards_table(metric))}", f"{SCHEMA}.{identifier(late_table(metric))}"
    return f"""\
with newest as (
  select shard, max(source_offset) as source_offset from {shards} where is_final group by shard
),
removed as (
  delete from {late} as l using newest as n
  where l.shard = n.shard and l.source_offset < n.source_offset and l.window_start < %(before)s
  returning l.shard
)
insert into {EXPIRED} as e (metric, shard, late_rows)
select {literal(metric.table)}, shard, count(*) from removed group by shard
on conflict (metric, shard) do update set late_rows = e.late_rows + excluded.late_rows"""


def expire_rows(metric: Metric) -> str:
    """Return SQL that deletes the rows of windows that begin before `%(before)s`."""
    return f"delete from {SCHEMA}.{identifier(shards_table(metric))} where window_start < %(before)s"


def _table(name: str, columns: list[str], keys: list[str]) -> str:
    primary = ", ".join(identifier(key) for key in keys)
    listed = ",\n  ".join([*columns, f"primary key ({primary})"])
    return f"create table if not exists {name} (\n  {listed}\n)"


def _view_query(metric: Metric, shards: str, late: str) -> str:
    groups = [identifier(group.name) for group in metric.groups]
    by = ", ".join(groups)
    measures = ",\n    ".join(_measure(measure) for measure in metric.measures)
    same = " and ".join(f"l.{name} = w.{name}" for name in [*groups, "window_start"])
    # Late events are counted window by window, so that a query for a few windows reads few of them.
    return f"""\
select {by}, window_start, window_start + interval '{metric.window_ms} milliseconds' as window_end,
  {", ".join(identifier(measure.name) for measure in metric.measures)}, is_final,
  (select count(*) from {late} l where {same}) as late_events
from (
  select {by}, window_start,
    {measures},
    bool_and(is_final) as is_final
  from {shards}
  group by {by}, window_start
) w"""


def _measure(measure: Measure) -> str:
    """Combine the shards' partial values into one, in the unit of the source's field."""
    name = identifier(measure.name)
    total = f"{'sum' if measure.function in ('count', 'sum') else measure.function}({name})"
    if measure.scale:
        return f"cast({total} / 1{'0' * measure.scale}::numeric as numeric(38, {measure.scale})) as {name}"
    return f"cast({total} as bigint) as {name}"
