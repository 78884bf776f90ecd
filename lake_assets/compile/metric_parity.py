"""Comparison of a metric's final windows with the same aggregate over batch rows, as DuckDB SQL.

Both sides are cut at the same place: a final row counts its shard's events up to `source_offset`. The batch side takes
rows of that Kafka partition below it, without those the metric has set aside as late.
"""

from collections.abc import Callable, Mapping

from lake_assets.catalog.metric import Measure, Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.metric_tables import EXPIRED, MOST_GROUP_BYTES, SCHEMA, late_table, shards_table, text_bytes
from lake_assets.compile.sql import identifier, judged_column, literal

# Comparable final rows, and the offset at which each shard's windows were closed. Temporary tables, created in this
# order.
FINAL, CLOSED, LATE = "final_rows", "closed_windows", "late_rows"


def final_tables(metric: Metric, low: str, high: str, left_out: str, covered: Mapping[int, int]) -> list[str]:
    """Return statements that create the temporary tables from the metrics' database.

    `low` and `high` are ISO 8601 times; `left_out` is SQL that is true for window starts whose batch side is
    incomplete. `covered` is the end offset of each shard's batch rows.
    """
    table = f"serving.{SCHEMA}.{identifier(shards_table(metric))}"
    late = f"serving.{SCHEMA}.{identifier(late_table(metric))}"
    span = f"window_start >= timestamptz {literal(low)} and window_start < timestamptz {literal(high)}"
    is_covered = " or ".join(f"(shard = {shard} and source_offset <= {offset})" for shard, offset in covered.items())
    return [
        f"create or replace temp table {FINAL} as\n"
        f"select *, window_start as _window_start, shard as _shard, source_offset as _source_offset from {table}\n"
        f"where is_final and {span} and not ({left_out}) and ({is_covered or 'false'})",
        f"create or replace temp table {CLOSED} as\n"
        f"select _shard, _window_start, max(_source_offset) as _source_offset from {FINAL} group by all",
        f"create or replace temp table {LATE} as\n"
        f"select shard as _shard, source_offset as _source_offset from {late} where {span}",
    ]


def late_complete(metric: Metric) -> str:
    """Select per shard the newest final row's `source_offset`, late events until then, and those that arrived."""
    shards = f"serving.{SCHEMA}.{identifier(shards_table(metric))}"
    late = f"serving.{SCHEMA}.{identifier(late_table(metric))}"
    return (
        f"select shard, source_offset, late_before,\n"
        f"  (select count(*) from {late} l where l.shard = f.shard and l.source_offset < f.source_offset)\n"
        f"  + coalesce((select max(late_rows) from serving.{EXPIRED} e\n"
        f"      where e.metric = {literal(metric.table)} and e.shard = f.shard), 0)\n"
        f"from (select shard, max(source_offset) as source_offset, max(late_before) as late_before\n"
        f"  from {shards} where is_final group by shard) f"
    )


def staging_columns(metric: Metric, asset: Asset) -> list[str]:
    """Return the columns of staging that `staging_rows` reads."""
    names = [*(group.name for group in metric.groups), *asset.key, *(f.field for f in metric.filters)]
    names += [str(measure.field) for measure in metric.measures if measure.field]
    return list(dict.fromkeys([*names, asset.event_time_column, "_kafka_partition", "_offset"]))


def staging_rows(metric: Metric, asset: Asset, relation: str, low: str, high: str) -> str:
    """Select the source's staging rows of a span, which analysts' marts are built from, from a relation with them."""
    return _rows(metric, asset, relation, "_kafka_partition", f"{_within(asset, low, high)}")


def judged_rows(metric: Metric, asset: Asset, low: str, high: str) -> str:
    """Select the good rows of `judged` (raw, judged again), of equal keys the one that the metric saw first."""
    good = f"_errors is null and {_within(asset, low, high, judged_column)}"
    rows = _rows(metric, asset, "judged", "_partition", good, judged_column)
    if not asset.key:
        return rows
    keys = ", ".join(judged_column(name) for name in asset.key)
    return f"{rows}\nqualify row_number() over (partition by {keys}, _window_start, _shard order by _offset) = 1"


def differences(metric: Metric, rows: str, cells: str = "true") -> str:
    """Select one row per cell that differs: groups, start of window, shard, the metric's and the batch's numbers.

    Numbers are null where a side has no row. `cells` is SQL on groups, `_window_start` and `_shard`.
    """
    by = ", ".join([*(identifier(group.name) for group in metric.groups), "_window_start", "_shard"])
    names = [identifier(measure.name) for measure in metric.measures]
    totals = ", ".join(f"{_total(measure)} as {identifier(measure.name)}" for measure in metric.measures)
    values = ", ".join([*(f"_f.{name}" for name in names), *(f"_b.{name}" for name in names)])
    differ = " or ".join(f"_f.{name} is distinct from _b.{name}" for name in names)
    return f"""\
with _source as (
{rows}
),
_counted as (
  -- A window without a final row of its own was closed when a later one was.
  select _s.* from _source as _s
  asof join {CLOSED} as _c on _s._shard = _c._shard and _s._window_start <= _c._window_start
  where _s._offset < _c._source_offset
    and not exists (select 1 from {LATE} as _l where _l._shard = _s._shard and _l._source_offset = _s._offset)
),
_batch as (
  select {by}, {totals} from _counted group by {by}
)
select {by}, {values}
from (select * from {FINAL} where {cells}) as _f full join (select * from _batch where {cells}) as _b using ({by})
where {differ}
order by _window_start, _shard"""


def _rows(
    metric: Metric, asset: Asset, relation: str, shard: str, where: str, column: Callable[[str], str] = identifier
) -> str:
    groups = [group.name for group in metric.groups]
    fields = [*groups, *(name for name in asset.key if name not in groups)]
    columns = [f"{column(name)} as {identifier(name)}" if column(name) != identifier(name) else column(name)
               for name in fields]  # fmt: skip
    columns += [f"{_minor_units(m, column)} as {identifier(f'_value_{m.name}')}" for m in metric.measures if m.field]
    conditions = "".join(
        f" and {column(f.field)} in ({', '.join(_value(value) for value in f.values)})" for f in metric.filters
    )
    # The metric refuses rows that its table could not store.
    conditions += f" and {text_bytes(metric, column)} <= {MOST_GROUP_BYTES}"
    length = metric.window_ms * 1000
    time = f"epoch_us({column(asset.event_time_column)})"
    # Times before 1970 too, where % is negative.
    window = f"make_timestamptz({time} - ({time} % {length} + {length}) % {length})"
    column_list = ", ".join(columns)
    return (
        f"select {column_list}, {window} as _window_start, {shard} as _shard, _offset\nfrom {relation}\n"
        f"where {where}{conditions}"
    )


def _within(asset: Asset, low: str, high: str, column: Callable[[str], str] = identifier) -> str:
    time = column(asset.event_time_column)
    return f"{time} >= timestamptz {literal(low)} and {time} < timestamptz {literal(high)}"


def _minor_units(measure: Measure, column: Callable[[str], str]) -> str:
    name = column(str(measure.field))
    return f"cast({name} * 1{'0' * measure.scale} as hugeint)" if measure.scale else f"cast({name} as hugeint)"


def _total(measure: Measure) -> str:
    if measure.function == "count":
        return "count(*)"
    return f"{measure.function}({identifier(f'_value_{measure.name}')})"


def _value(value: str | int | bool) -> str:
    return literal(value) if isinstance(value, str) else str(value).lower()
