"""A tick of the sensor that has nothing to do waits for a commit to a raw table."""

import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME

from lake_assets.landing.changes import has_changes
from lake_assets.ledger.attempts import begin_attempt
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration import sensors
from lake_assets.orchestration.assets import QUEUED_ONLY, conforming_definition
from lake_assets.orchestration.run_requests import Graph
from lake_assets.orchestration.sensors import raw_windows_sensor
from lake_assets.settings import Settings
from tests.support.conditions import wait_until
from tests.support.visits import Visits, make_visits, visit

LONG = 3600.0


class Watched:
    """The sensor of one asset, whose ticks wait for an hour."""

    def __init__(self, visits: Visits) -> None:
        self.visits = visits
        self.cursor: str | None = None
        self.landed: list[str] = []
        self.requested: list[str] = []
        asset = visits.asset
        step = conforming_definition(visits.settings, asset)
        self.sensor = raw_windows_sensor(visits.settings, {asset.name: asset}, Graph({}, {}), [step], LONG)
        self._definitions = dg.Definitions(assets=[step], sensors=[self.sensor])

    def tick(self) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            self.tick_of(instance)

    def tick_of(self, instance: dg.DagsterInstance) -> None:
        with dg.build_sensor_context(instance, cursor=self.cursor, definitions=self._definitions) as context:
            result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        self.requested = [request.tags[QUEUED_ONLY] for request in result.run_requests or []]
        self.landed = [e.partition or "" for e in result.asset_events if isinstance(e, dg.AssetMaterialization)]


@pytest.fixture
def watched(lake: Settings, tmp_path: Path) -> Watched:
    visits = make_visits(lake, tmp_path)
    visits.land(visit(1, 1))
    visits.refresh()
    return Watched(visits)


def test_waiting_tick_ends_at_the_commit(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.tick()
    assert watched.landed == ["2026-02-01"]
    # It looks once, and then relies on the notification.
    looks = looks_of(monkeypatch)
    ticking = threading.Thread(target=watched.tick, daemon=True)
    ticking.start()
    wait_until(lambda: looks == [False] and is_listening(watched.visits.settings))
    watched.visits.land(visit(2, 2))
    wait_until(lambda: not ticking.is_alive())
    assert looks == [False, True]
    assert watched.landed == ["2026-02-02"]


def test_no_round_of_the_daemon_finds_the_last_tick_too_young(watched: Watched) -> None:
    # A tick begins a moment after its round: with the round's own length every second one passed without a tick.
    assert (watched.sensor.minimum_interval_seconds or 30) < MIN_INTERVAL_LOOP_TIME - 1


def test_notifications_of_nothing_make_looks_rarer(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any role of Postgres may notify. Regression guard: each notification was a look, ten in a second."""
    watched.tick()
    looks = looks_of(monkeypatch)
    ticking = threading.Thread(target=watched.tick, daemon=True)
    ticking.start()
    wait_until(lambda: looks == [False] and is_listening(watched.visits.settings))
    began = time.monotonic()
    with psycopg.connect(watched.visits.settings.postgres.conninfo("analyst"), autocommit=True) as analyst:

        def has_notified_of_six_looks() -> bool:
            analyst.execute("notify raw_commits")
            return len(looks) >= 6

        wait_until(has_notified_of_six_looks, every=0.02)
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4 + 0.8 + 1.6
    watched.visits.land(visit(2, 2))
    wait_until(lambda: not ticking.is_alive())
    assert watched.landed == ["2026-02-02"]


def test_waiting_tick_looks_for_new_sessions_of_analysts(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "POLL_SECONDS", 0.2)
    watched.tick()
    looks: list[Ledger] = []
    monkeypatch.setattr(sensors, "limit_readers", looks.append)
    ticking = threading.Thread(target=watched.tick, daemon=True)
    ticking.start()
    wait_until(lambda: len(looks) > 3)
    watched.visits.land(visit(2, 2))
    wait_until(lambda: not ticking.is_alive())


def test_tick_waits_on_after_a_run_with_nothing_behind_it(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression guard: the tick ended with the run, and an event waited for the next one, up to five seconds."""
    watched.tick()
    looks = looks_of(monkeypatch)
    with dg.DagsterInstance.ephemeral() as instance:
        ticking = amid_a_run(watched, instance)
        wait_until(lambda: looks == [False] or not ticking.is_alive())
        watched.visits.land(visit(2, 2))
        wait_until(lambda: not ticking.is_alive())
    assert looks == [False, True]
    assert watched.landed == ["2026-02-02"]


def test_tick_that_waited_for_a_run_that_died_asks_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.tick()
    watched.visits.land(visit(2, 2))
    watched.tick()
    looks_of(monkeypatch)
    with Ledger(watched.visits.settings) as ledger:
        begin_attempt(ledger, watched.visits.asset, ["2026-02-02"])
    with dg.DagsterInstance.ephemeral() as instance:
        ticking = amid_a_run(watched, instance)
        wait_until(lambda: not ticking.is_alive())
    assert watched.requested == ["retry"]


def looks_of(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return what a waiting tick saw each time that it looked for changes: without a notification, once."""
    monkeypatch.setattr(sensors, "POLL_SECONDS", LONG)
    looks: list[bool] = []

    def look(*arguments: object) -> bool:
        looks.append(has_changes(*arguments))  # type: ignore[arg-type]
        return looks[-1]

    monkeypatch.setattr(sensors, "has_changes", look)
    return looks


def amid_a_run(watched: Watched, instance: dg.DagsterInstance) -> threading.Thread:
    """Begin a tick during a run for queued windows, and end the run when the tick has seen it."""
    run = instance.add_run(dg.DagsterRun("made", tags={QUEUED_ONLY: "true"}, status=dg.DagsterRunStatus.STARTED))
    seen: list[bool] = []
    read = instance.get_run_records

    def reading(*arguments: Any, **named: Any) -> Any:
        records = read(*arguments, **named)
        seen.append(bool(records))
        return records

    instance.get_run_records = reading  # type: ignore[method-assign]
    ticking = threading.Thread(target=watched.tick_of, args=[instance], daemon=True)
    ticking.start()
    wait_until(lambda: any(seen))
    instance.delete_run(run.run_id)
    return ticking


def is_listening(settings: Settings) -> bool:
    with psycopg.connect(settings.postgres.conninfo("lake")) as connection:
        query = "select from pg_stat_activity where query = 'listen raw_commits' and state = 'idle'"
        return connection.execute(query).fetchone() is not None


def test_tick_with_a_queued_window_does_not_wait(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.tick()
    watched.visits.land(visit(2, 2))
    watched.tick()
    assert watched.landed == ["2026-02-02"]
    # Its run was requested, and there is none: it is requested again.
    watched.tick()
    assert watched.landed == []
