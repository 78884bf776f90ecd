"""Reconcile speed and batch: every final window of a metric must equal the same aggregate over staging, to the unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_end, window_key, window_start
from lake_assets.compile.conform import judged_table
from lake_assets.compile.metric_parity import (
    FINAL,
    differences,
    final_tables,
    judged_rows,
    late_complete,
    staging_columns,
    staging_rows,
)
from lake_assets.compile.metric_tables import SCHEMA, shards_table
from lake_assets.compile.sql import identifier, literal
from lake_assets.landing.files import files
from lake_assets.landing.snapshots import RawTableError
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.window_states import window_states
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect

_SHOWN = 20
# Windows that retention may delete during the comparison are left out.
_BEFORE_EXPIRY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell whose numbers differ: `metric` and `batch` are the measures in their order, None without a row."""

    group: tuple[Any, ...]
    window: datetime
    shard: int
    metric: tuple[int, ...] | None
    batch: tuple[int, ...] | None

    def __str__(self) -> str:
        where = f"{', '.join(map(str, self.group))} at {self.window:%Y-%m-%d %H:%M:%S}, partition {self.shard}"
        return f"{where}: the metric has {_in_words(self.metric)}, staging {_in_words(self.batch)}"


@dataclass(frozen=True, slots=True)
class MetricParity:
    """Result of a comparison. `cells` are final rows (one per group, window and Kafka partition), from `low` to `high`.

    `waiting` is the reason nothing could be compared; a metric with a transform has no batch twin in SQL. `failed` is
    the error of a file that could not be read.
    """

    metric: str
    cells: int
    low: datetime | None
    high: datetime | None
    differing: tuple[Difference, ...]
    more: bool = False
    waiting: str = ""
    failed: str = ""

    @property
    def agrees(self) -> bool:
        return not self.differing and not self.failed

    @property
    def sentence(self) -> str:
        if self.failed:
            return f"could not be compared: {self.failed}"
        if self.waiting:
            return f"nothing to compare: {self.waiting}"
        if self.agrees:
            return f"{self.cells:,} final numbers equal staging"
        return f"{'more than ' if self.more else ''}{len(self.differing)} of {self.cells:,} final numbers DIFFER"


def reconcile_metric(settings: Settings, metric: Metric, asset: Asset, since: timedelta | None = None) -> MetricParity:
    """Compare all final windows whose batch side is complete, or only those of the last `since` before the newest.

    A cell that differs from staging is compared with raw as well: an event that was sent again after its window was
    closed has replaced the first one in staging, which is no difference. Raises Unavailable.
    """
    try:
        return _reconcile(settings, metric, asset, since)
    except (duckdb.IOException, RawTableError) as error:
        return MetricParity(metric.table, 0, None, None, (), failed=str(error).splitlines()[0])


def _reconcile(settings: Settings, metric: Metric, asset: Asset, since: timedelta | None) -> MetricParity:
    if metric.transform:
        return _nothing(metric, "its transform is Python, which staging cannot be asked in")
    with Ledger(settings) as ledger:
        if not ledger.exists():
            return _nothing(metric, "nothing is applied yet")
        covered: dict[int, int] = {}
        for _, count in ledger.partitions(asset):
            covered[count.partition] = max(covered.get(count.partition, 0), count.max_offset + 1)
        # A metric has counted rows that were erased since; staging has not.
        states = window_states(ledger, asset).items()
        pending = {window for window, state in states if not state.is_at_rest or state.erased_rows is not None}
    connection = connect(settings, lake=False)
    try:
        bounds = _bounds(connection, metric, since, datetime.now(UTC))
        if bounds is None:
            return _nothing(metric, "no window is final yet")
        # Late events have a sink of their own, which may lag: without them a window would seem to lack events.
        for shard, _, late, arrived in connection.execute(late_complete(metric)).fetchall():
            if arrived < late:
                covered.pop(shard, None)
        low, high = (moment.isoformat() for moment in bounds)
        for statement in final_tables(metric, low, high, _left_out(asset, sorted(pending)), covered):
            connection.execute(statement)
        (cells,) = connection.execute(f"select count(*) from {FINAL}").fetchall()[0]
        if not cells:
            return _nothing(metric, "the batch side or the late events' sink has not passed the final windows yet")
        staging = warehouse_for(settings).staging(connection, asset, staging_columns(metric, asset), *bounds)
        query = differences(metric, staging_rows(metric, asset, staging, low, high))
        rows = connection.execute(query).fetchmany(10_000)
        if rows:
            rows = _rows_of_raw(settings, connection, metric, asset, suspects=_differing(metric, rows), bounds=bounds)
        differing = _differing(metric, rows)
        return MetricParity(
            metric.table, cells, bounds[0], bounds[1], tuple(differing[:_SHOWN]), more=len(differing) > _SHOWN
        )
    finally:
        connection.close()


def _nothing(metric: Metric, reason: str) -> MetricParity:
    return MetricParity(metric.table, 0, None, None, (), waiting=reason)


def _bounds(
    connection: duckdb.DuckDBPyConnection, metric: Metric, since: timedelta | None, now: datetime
) -> tuple[datetime, datetime] | None:
    table = f"serving.{SCHEMA}.{identifier(shards_table(metric))}"
    query = f"select min(window_start), max(window_start) from {table} where is_final"
    ((low, high),) = connection.execute(query).fetchall()
    if low is None:
        return None
    low, high = low.astimezone(UTC), high.astimezone(UTC)
    if metric.retention is not None:
        low = max(low, now - metric.retention + _BEFORE_EXPIRY)
        if low > high:
            return None
    return (max(low, high - since) if since else low), high + metric.window


def _left_out(asset: Asset, pending: Sequence[str]) -> str:
    spans = (
        f"window_start >= timestamptz {literal(window_start(window, asset.window).isoformat())} "
        f"and window_start < timestamptz {literal(window_end(window, asset.window).isoformat())}"
        for window in pending
    )
    return " or ".join(f"({span})" for span in spans) or "false"


def _differing(metric: Metric, rows: Sequence[Sequence[Any]]) -> list[Difference]:
    groups, measures = len(metric.groups), len(metric.measures)
    cells: list[Difference] = []
    for row in rows:
        group, (window, shard), numbers = row[:groups], row[groups : groups + 2], row[groups + 2 :]
        left, right = tuple(numbers[:measures]), tuple(numbers[measures:])
        cells.append(
            Difference(
                tuple(group),
                window.astimezone(UTC),
                shard,
                None if left[0] is None else left,
                None if right[0] is None else right,
            )
        )
    return cells


def _rows_of_raw(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    metric: Metric,
    asset: Asset,
    *,
    suspects: Sequence[Difference],
    bounds: tuple[datetime, datetime],
) -> list[Any]:
    """Return the cells that differ from raw too, which still has every event that was sent."""
    windows = {window_key(suspect.window, asset.window) for suspect in suspects}
    by_window = files(settings, asset, windows).by_window
    rows: list[Any] = []
    for window in sorted(windows):
        paths = ", ".join(literal(file.path) for file in by_window.get(window, ()))
        if not paths:
            continue
        columns = "payload, _key, _topic, _partition, _offset, _timestamp"
        connection.execute(judged_table(asset, f"(select {columns} from read_parquet([{paths}]))"))
        low = max(bounds[0], window_start(window, asset.window)).isoformat()
        high = min(bounds[1], window_end(window, asset.window)).isoformat()
        span = f"_window_start >= timestamptz {literal(low)} and _window_start < timestamptz {literal(high)}"
        query = differences(metric, judged_rows(metric, asset, low, high), span)
        rows += connection.execute(query).fetchmany(10_000)
    return rows


def _in_words(numbers: tuple[int, ...] | None) -> str:
    return "nothing" if numbers is None else " ".join(map(str, numbers))
