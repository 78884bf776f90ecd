"""Speed against batch by themselves: the sensor `metrics`, its cursor, and the check, on real tables of both sides."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.metric_parse import parse_metric
from lake_assets.compile.metric_tables import (
    EXPIRED,
    LATE_KEYS,
    expire_late,
    expire_rows,
    late_table,
    shard_keys,
    shards_table,
)
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.metric_parity import MetricParity, reconcile_metric
from lake_assets.operations.metric_retention import expire_metrics
from lake_assets.orchestration.keys import metric_key
from lake_assets.orchestration.metrics import AGREES, metrics_sensor, parity_check
from lake_assets.settings import Settings
from lake_assets.warehouse.metric_tables import ensure_metric_tables
from stream_app.events import events_of
from stream_app.state import PartitionState, late_as_json, rows_as_json
from stream_app.validate import Judge
from tests.support.visits import Visits, make_visits, visit

METRIC = """\
name: NAME_by_door
version: 1.0.0
description: Visits of each door and hour.
owners: [ops@example.com]
source: NAME
groupBy: [door]
window: 1h
lateness: 1h
measures:
  - {name: visits, function: count, description: "Visits."}
  - {name: guests, function: sum, field: guests, description: "Guests."}
"""


@dataclass
class Counting:
    """Visits on their batch path, and a metric of them: folded by the application's own state, written as its sink
    writes."""

    visits: Visits
    metric: Metric
    states: dict[int, PartitionState] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.visits.settings

    def send(self, *payloads: bytes, late_arrive: bool = True) -> None:
        """Land these and count them; partitions take turns."""
        first, judge = self.visits.landed, Judge(self.visits.asset, self.metric)
        self.visits.land(*payloads)
        for shard in (0, 1):
            given = [(number // 2, payload) for number, payload in enumerate(payloads, first) if number % 2 == shard]
            if not given:
                continue
            state = self.states.setdefault(shard, PartitionState(self.visits.asset, self.metric))
            good = judge.judge([payload for _, payload in given]).good
            if len(good):
                state.fold(events_of(good), [offset for offset, _ in given], time.time_ns() // 1_000_000)
            delta = state.take_delta(given[-1][0] + 1, 0)
            rows = rows_as_json(self.metric, shard, state, delta.rows)
            self.write(shards_table(self.metric), shard_keys(self.metric), (value for _, value in rows))
            if late_arrive:
                late = late_as_json(self.metric, shard, delta.late)
                self.write(late_table(self.metric), LATE_KEYS, (value for _, value in late))

    def write(self, table: str, keys: Sequence[str], rows: Iterable[bytes]) -> None:
        with psycopg.connect(self.settings.postgres.conninfo("connect")) as session:
            for text in rows:
                row = json.loads(text)
                row["window_start"] = datetime.fromtimestamp(row["window_start"] / 1000, UTC)
                names = [sql.Identifier(name) for name in row]
                session.execute(
                    sql.SQL("insert into {} ({}) values ({}) on conflict ({}) do update set ({}) = row({})").format(
                        sql.Identifier("metrics", table),
                        sql.SQL(", ").join(names),
                        sql.SQL(", ").join(map(sql.Placeholder, row)),
                        sql.SQL(", ").join(map(sql.Identifier, keys)),
                        sql.SQL(", ").join(names),
                        sql.SQL(", ").join(sql.Identifier("excluded", name) for name in row),
                    ),
                    row,
                )

    def add(self, visits: int, where: str) -> None:
        """Change the final rows' number of visits, as an application that counts wrongly would."""
        with psycopg.connect(self.settings.postgres.conninfo("connect")) as session:
            text = f"update metrics.{shards_table(self.metric)} set visits = visits + {visits} where is_final and "
            assert session.execute((text + where).encode()).rowcount == 1

    def parity(self) -> MetricParity:
        return reconcile_metric(self.settings, self.metric, self.visits.asset)

    def tick(self, cursor: str | None) -> tuple[list[Any], str]:
        """Return the report of the sensor, and its cursor."""
        asset = self.visits.asset
        sensor = metrics_sensor(self.settings, {self.metric.table: self.metric}, {asset.name: asset})
        result = sensor(dg.build_sensor_context(cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        assert result.cursor is not None
        return list(result.asset_events), result.cursor

    def check(self) -> dg.AssetCheckResult:
        """The check as a user runs it by hand."""
        result = parity_check(self.settings, self.metric, self.visits.asset)()
        assert isinstance(result, dg.AssetCheckResult)
        return result


@pytest.fixture
def counting(lake: Settings, tmp_path: Path) -> Counting:
    """Return a metric with one final number, of the first day, in each of two partitions, whose batch side is due."""
    visits = make_visits(lake, tmp_path)
    for name, kind in (("door", "string"), ("guests", "integer")):
        visits.apply(f"name: {name}, logicalType: {kind}", f"name: {name}, logicalType: {kind}, required: true")
    text = METRIC.replace("NAME", visits.asset.name)
    made = Counting(visits, parse_metric(text, PurePath("metric.yaml"), {visits.asset.name: visits.asset}))
    ensure_metric_tables(lake, made.metric)
    broken = visit(4, 1, "nowhere")
    made.send(visit(1, 1), visit(2, 1, guests=3), visit(3, 1), broken, visit(5, 2), visit(6, 2))
    return made


def results(events: Sequence[Any]) -> list[tuple[bool, str, Any]]:
    """Return of each check its result, what it compared, and the differences."""
    checks = [event for event in events if isinstance(event, dg.AssetCheckEvaluation)]
    return [(one.passed, one.metadata["compared"].value, one.metadata["differing"].value) for one in checks]


def test_sensor_reports_what_became_comparable_once(counting: Counting) -> None:
    events, cursor = counting.tick(None)
    assert events == [], "the batch side has not come so far"
    counting.visits.refresh()
    events, cursor = counting.tick(cursor)
    key = metric_key(counting.metric)
    (materialized, check) = events
    assert isinstance(materialized, dg.AssetMaterialization)
    assert (materialized.asset_key, materialized.metadata["final_through"].value) == (key, "2026-02-01 11:00:00+00:00")
    assert (check.asset_key, check.check_name) == (key, AGREES)
    assert results(events) == [(True, "2 final numbers equal staging", [])]
    assert counting.tick(cursor) == ([], cursor)
    counting.send(visit(7, 3), visit(8, 3))
    events, after = counting.tick(cursor)
    assert events[0].metadata["final_through"].value == "2026-02-02 11:00:00+00:00"
    assert results(events) == [(True, "2 final numbers equal staging", [])], "the new ones are not staged yet"
    counting.visits.refresh()
    events, after = counting.tick(after)
    assert results(events) == [(True, "4 final numbers equal staging", [])]
    assert after != cursor
    assert counting.tick(after) == ([], after)


def test_disagreement_turns_the_check_red_and_names_the_numbers(counting: Counting) -> None:
    counting.visits.refresh()
    _, cursor = counting.tick(None)
    counting.add(5, "shard = 1")
    events, cursor = counting.tick(cursor)
    sentence = "north at 2026-02-01 10:00:00, partition 1: the metric has 6 3, staging 1 3"
    assert results(events) == [(False, "1 of 2 final numbers DIFFER", [sentence])]
    assert counting.tick(cursor) == ([], cursor), "it was red already"
    assert counting.check().passed is False
    assert counting.check().metadata["differing"].value == [sentence]
    counting.add(-5, "shard = 1")
    events, _ = counting.tick(cursor)
    assert results(events) == [(True, "2 final numbers equal staging", [])]
    assert counting.check().passed is True


def test_sensor_compares_the_last_day_and_the_check_everything(counting: Counting) -> None:
    counting.send(visit(7, 3), visit(8, 3), visit(9, 4), visit(10, 4))
    counting.visits.refresh()
    counting.add(1, "shard = 0 and window_start < '2026-02-02'")
    assert results(counting.tick(None)[0]) == [(True, "4 final numbers equal staging", [])]
    check = counting.check()
    assert (check.passed, check.metadata["compared"].value) == (False, "1 of 6 final numbers DIFFER")


def test_number_without_a_batch_row_or_a_metric_row_differs(counting: Counting) -> None:
    counting.visits.refresh()
    with psycopg.connect(counting.settings.postgres.conninfo("lake")) as session:
        table = f"metrics.{shards_table(counting.metric)}"
        session.execute(f"update {table} set door = 'attic' where is_final and shard = 0".encode())
    assert sorted(str(one) for one in counting.parity().differing) == [
        "attic at 2026-02-01 10:00:00, partition 0: the metric has 2 2, staging nothing",
        "north at 2026-02-01 10:00:00, partition 0: the metric has nothing, staging 2 2",
    ]


def test_late_event_in_flight_to_the_database_is_no_difference(counting: Counting) -> None:
    """The offset of the event is the very one at which its window was closed."""
    counting.send(visit(7, 1), late_arrive=False)
    counting.visits.refresh()
    found = counting.parity()
    assert (found.cells, found.differing) == (2, ())


def test_partition_is_compared_once_its_late_events_have_arrived(counting: Counting) -> None:
    """A later one that has arrived does not stand for an earlier one that has not."""
    counting.send(visit(7, 1), visit(8, 2), late_arrive=False)
    counting.send(visit(9, 3), visit(10, 3))
    counting.send(visit(11, 1))
    counting.visits.refresh()
    assert {state.late_events for state in counting.states.values()} == {0, 2}
    found = counting.parity()
    assert (found.cells, found.differing) == (2, ()), "only partition 1"
    late = f"metrics.{late_table(counting.metric)}"
    with psycopg.connect(counting.settings.postgres.conninfo("connect")) as session:
        session.execute(f"insert into {late} select door, window_start, 0, 1, 1, 3 from {late}".encode())
    found = counting.parity()
    assert (found.cells, found.differing) == (4, ())


def test_expired_windows_are_deleted_and_the_others_still_agree(counting: Counting) -> None:
    """Late events included, which the comparison waits for: one that was deleted counts as arrived."""
    counting.send(visit(7, 3), visit(8, 3))
    counting.send(visit(9, 1))
    counting.send(visit(10, 4), visit(11, 4))
    counting.visits.refresh()
    now = datetime.now(UTC)
    kept = replace(counting.metric, retention=now - datetime(2026, 2, 1, 13, tzinfo=UTC))
    tables = [f"metrics.{name(kept)}" for name in (shards_table, late_table)]
    with Ledger(counting.settings) as ledger:
        assert expire_metrics(ledger, [counting.metric], now) == {}
        assert expire_metrics(ledger, [kept], now) == {kept.table: 2}
        assert expire_metrics(ledger, [kept], now) == {}
        oldest = [ledger.connection.execute(f"select min(window_start) from {t}".encode()).fetchone() for t in tables]
    assert oldest == [(datetime(2026, 2, 2, 10, tzinfo=UTC),), (None,)]
    found = reconcile_metric(counting.settings, kept, counting.visits.asset)
    assert (found.cells, found.differing) == (2, ())


def test_late_events_that_no_final_row_has_counted_outlive_their_window(counting: Counting) -> None:
    """Late events of old windows are deleted if they come before the newest final row of their own partition."""
    metric, old, young = counting.metric, datetime(2026, 2, 1, 10, tzinfo=UTC), datetime(2026, 2, 8, 10, tzinfo=UTC)
    shards, late = f"metrics.{shards_table(metric)}", f"metrics.{late_table(metric)}"
    measures = {measure.name: 1 for measure in metric.measures}
    with psycopg.connect(counting.settings.postgres.conninfo("lake"), autocommit=True) as session:
        # By partition: the offsets of its final row and of one that is open.
        for shard, final, still_open in ((0, 5, 9), (1, 2, 9)):
            for begins, offset, is_final in ((young, final, True), (young + timedelta(hours=1), still_open, False)):
                row = {"door": "north", "window_start": begins, "shard": shard, **measures, "source_offset": offset,
                       "late_before": 0, "revision": 1, "is_final": is_final}  # fmt: skip
                insert(session, shards, row)
            for begins, offset in ((old, 1), (old, 4), (young, 3), (old, 5), (old, 8)):
                row = {"door": "north", "window_start": begins, "shard": shard, **measures, "source_offset": offset}
                insert(session, late, row)
        session.execute(expire_late(metric).encode(), {"before": young})
        left = session.execute(f"select shard, source_offset from {late} order by 1, 2".encode()).fetchall()
        counted = session.execute(f"select shard, late_rows from {EXPIRED} where metric = %s order by 1".encode(),
                                  [metric.table]).fetchall()  # fmt: skip
        # Windows that begin then stay, rows of results too.
        session.execute(expire_rows(metric).encode(), {"before": young})
        assert session.execute(f"select min(window_start) from {shards}".encode()).fetchone() == (young,)
        session.execute(expire_late(metric).encode(), {"before": young + timedelta(hours=1)})
        added = session.execute(f"select shard, late_rows from {EXPIRED} where metric = %s order by 1".encode(),
                                [metric.table]).fetchall()  # fmt: skip
    assert left == [(0, 3), (0, 5), (0, 8), (1, 3), (1, 4), (1, 5), (1, 8)]
    assert counted == [(0, 2), (1, 1)]
    assert added == [(0, 3), (1, 1)]


def insert(session: psycopg.Connection, table: str, row: dict[str, object]) -> None:
    names, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    session.execute(f"insert into {table} ({names}) values ({marks})".encode(), row)


def test_row_of_a_lower_revision_does_not_come_back(counting: Counting) -> None:
    """A sink that was away writes again what it had read before; the same row again is how it goes on."""
    table = f"metrics.{shards_table(counting.metric)}"
    with psycopg.connect(counting.settings.postgres.conninfo("connect")) as session:
        older = session.execute(f"update {table} set visits = 999, revision = revision - 1".encode())
        equal = session.execute(f"update {table} set visits = visits + 1 where is_final".encode())
        assert (older.rowcount, equal.rowcount) == (0, 2)
        rows = session.execute(f"select visits from {table} where is_final order by shard".encode()).fetchall()
    assert rows == [(3,), (2,)]
