"""A metric's final windows against the same aggregate over the source's batch rows, as DuckDB SQL.

Both sides are cut at the same place: a final row counts its shard's events up to `source_offset`, so the batch side
takes rows of that Kafka partition below it, without those that the metric has set aside as late.
"""

from collections.abc import Mapping

from lake_assets.catalog.metric import Measure, Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.metric_tables import SCHEMA, late_table, shards_table
from lake_assets.compile.sql import identifier, literal

# Finals that can be compared, and where each shard's windows were closed. Temporary tables, made in this order.
FINAL, CLOSED, LATE = "final_rows", "closed_windows", "late_rows"


def final_tables(metric: Metric, low: str, high: str, left_out: str, covered: Mapping[int, int]) -> list[str]:
    """Statements that make the temporary tables from the database of the metrics.

    `low` and `high` are ISO 8601 times; `left_out` is SQL that is true for window starts whose batch side is not
    complete; `covered` says for each shard below which offset it is.
    """
    table = f"serving.{SCHEMA}.{identifier(shards_table(metric))}"
    late = f"serving.{SCHEMA}.{identifier(late_table(metric))}"
    span = f"window_start >= timestamptz {literal(low)} and window_start < timestamptz {literal(high)}"
    known = " or ".join(f"(shard = {shard} and source_offset <= {offset})" for shard, offset in covered.items())
    return [
        f"create or replace temp table {FINAL} as select * from {table}\n"
        f"where is_final and {span} and not ({left_out}) and ({known or 'false'})",
        f"create or replace temp table {CLOSED} as\n"
        f"select shard, window_start, max(source_offset) as source_offset from {FINAL} group by all",
        f"create or replace temp table {LATE} as select shard, source_offset from {late} where {span}",
    ]


def late_complete(metric: Metric) -> str:
    """Per shard: the newest final row's `source_offset`, how many late events there were until then, and how many of
    them have arrived in the database."""
    shards = f"serving.{SCHEMA}.{identifier(shards_table(metric))}"
    late = f"serving.{SCHEMA}.{identifier(late_table(metric))}"
    return (
        f"select shard, source_offset, late_before,\n"
        f"  (select count(*) from {late} l where l.shard = f.shard and l.source_offset < f.source_offset)\n"
        f"from (select shard, max(source_offset) as source_offset, max(late_before) as late_before\n"
        f"  from {shards} where is_final group by shard) f"
    )


def staging_columns(metric: Metric, asset: Asset) -> list[str]:
    """The columns of staging that `staging_rows` reads."""
    names = [*(group.name for group in metric.groups), *asset.key, *(f.field for f in metric.filters)]
    names += [str(measure.field) for measure in metric.measures if measure.field]
    return list(dict.fromkeys([*names, asset.event_time_column, "_kafka_partition", "_offset"]))


def staging_rows(metric: Metric, asset: Asset, relation: str, low: str, high: str) -> str:
    """The source's staging rows of a span, of a relation that holds them: what analysts' marts are made of."""
    return _rows(metric, asset, relation, "_kafka_partition", f"{_within(asset, low, high)}")


def judged_rows(metric: Metric, asset: Asset, low: str, high: str) -> str:
    """The good rows of `judged` (raw, judged again), of equal keys the one that the metric saw first."""
    rows = _rows(metric, asset, "judged", "_partition", f"_errors is null and {_within(asset, low, high)}")
    if not asset.key:
        return rows
    keys = ", ".join(identifier(name) for name in asset.key)
    return f"{rows}\nqualify row_number() over (partition by {keys}, window_start, shard order by _offset) = 1"


def differences(metric: Metric, rows: str, cells: str = "true") -> str:
    """One line per cell whose numbers differ: groups, window_start, shard, then the metric's and the batch's numbers
    (null where a side has no row). `cells` is SQL on groups, window_start and shard."""
    by = ", ".join([*(identifier(group.name) for group in metric.groups), "window_start", "shard"])
    names = [identifier(measure.name) for measure in metric.measures]
    totals = ", ".join(f"{_total(measure)} as {identifier(measure.name)}" for measure in metric.measures)
    both = ", ".join([*(f"f.{name}" for name in names), *(f"b.{name}" for name in names)])
    differ = " or ".join(f"f.{name} is distinct from b.{name}" for name in names)
    return f"""\
with source as (
{rows}
),
counted as (
  -- A window without a final row of its own was closed when a later one was.
  select s.* from source s asof join {CLOSED} c on s.shard = c.shard and s.window_start <= c.window_start
  where s._offset < c.source_offset
    and not exists (select 1 from {LATE} l where l.shard = s.shard and l.source_offset = s._offset)
),
batch as (
  select {by}, {totals} from counted group by {by}
)
select {by}, {both}
from (select * from {FINAL} where {cells}) f full join (select * from batch where {cells}) b using ({by})
where {differ}
order by window_start, shard"""


def _rows(metric: Metric, asset: Asset, relation: str, shard: str, where: str) -> str:
    groups = ", ".join(identifier(group.name) for group in metric.groups)
    keys = [identifier(name) for name in asset.key if name not in {group.name for group in metric.groups}]
    values = ", ".join(f"{_minor_units(m)} as {identifier(f'value_{m.name}')}" for m in metric.measures if m.field)
    chosen = "".join(
        f" and {identifier(f.field)} in ({', '.join(_value(value) for value in f.values)})" for f in metric.filters
    )
    length = metric.window_ms * 1000
    window = f"make_timestamptz(epoch_us({identifier(asset.event_time_column)}) // {length} * {length})"
    columns = ", ".join(part for part in (groups, *keys, values) if part)
    return (
        f"select {columns}, {window} as window_start, {shard} as shard, _offset\nfrom {relation}\nwhere {where}{chosen}"
    )


def _within(asset: Asset, low: str, high: str) -> str:
    time = identifier(asset.event_time_column)
    return f"{time} >= timestamptz {literal(low)} and {time} < timestamptz {literal(high)}"


def _minor_units(measure: Measure) -> str:
    name = identifier(str(measure.field))
    return f"cast({name} * 1{'0' * measure.scale} as hugeint)" if measure.scale else f"cast({name} as hugeint)"


def _total(measure: Measure) -> str:
    if measure.function == "count":
        return "count(*)"
    return f"{measure.function}({identifier(f'value_{measure.name}')})"


def _value(value: str | int | bool) -> str:
    return literal(value) if isinstance(value, str) else str(value).lower()
