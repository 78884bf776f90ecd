"""Dagster forgets runs of long ago, and nothing that it knows of assets."""

import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner

from lake_assets.cli.status import command as status
from lake_assets.home import Home
from lake_assets.operations import dagster_history as history
from lake_assets.operations import long_runs as module
from lake_assets.operations.dagster_history import KEPT, remove_history
from lake_assets.settings import Settings

LATER = KEPT + timedelta(days=1)
DAYS = dg.DailyPartitionsDefinition("2026-02-01", end_date="2026-02-04")


@dg.asset(partitions_def=DAYS)
def guests(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("counted")
    return dg.MaterializeResult(metadata={"run": context.run.run_id}, tags={"door": "north"})


@dg.asset(check_specs=[dg.AssetCheckSpec("any", asset="total")])
def total() -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="any")])


@dg.asset
def broken() -> None:
    raise RuntimeError("never")


@pytest.fixture
def instance(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> Generator[dg.DagsterInstance]:
    """The lake's own, empty."""
    monkeypatch.setenv("DAGSTER_HOME", str(Home(lake.home).dagster))
    with dg.DagsterInstance.get() as made:
        made.wipe()
        with dagster_database(lake) as connection:
            connection.execute("delete from kvs where key like 'lake.%'")
        yield made


def dagster_database(lake: Settings) -> psycopg.Connection:
    return psycopg.connect(lake.postgres.conninfo("dagster", "dagster"), autocommit=True)


def count(lake: Settings, table: str) -> int:
    with dagster_database(lake) as connection:
        return connection.execute(f"select count(*) from {table}").fetchall()[0][0]  # type: ignore[call-overload]


def make(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, day: str | None = None) -> str:
    made = dg.materialize([asset], instance=instance, partition_key=day, raise_on_error=False)
    return made.run_id


def remove(lake: Settings, later: timedelta = LATER) -> int:
    return remove_history(lake, datetime.now(UTC) + later)


def newest_run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition) -> str:
    event = instance.get_latest_materialization_event(asset.key)
    assert event is not None
    return event.run_id


def outcome(instance: dg.DagsterInstance) -> tuple[str, str]:
    key = dg.AssetCheckKey(total.key, "any")
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    return record.run_id, record.status.value


def test_runs_go_after_a_month_and_what_is_known_of_assets_stays(lake: Settings, instance: dg.DagsterInstance) -> None:
    for day in ("2026-02-01", "2026-02-02", "2026-02-01"):
        last = make(instance, guests, day)
    totals = [make(instance, total) for _ in range(3)]
    failed = make(instance, broken)
    instance.report_runless_asset_event(dg.AssetMaterialization("landed", partition="2026-02-01"))
    instance.report_runless_asset_event(dg.AssetMaterialization("landed", partition="2026-02-01"))
    logs = Home(lake.home).dagster / "compute_logs" / last
    assert logs.exists()

    assert remove(lake, KEPT - timedelta(days=1)) == 0
    assert len(instance.get_runs()) == 7

    assert remove(lake) == 7
    assert instance.get_runs() == []
    assert not logs.exists()
    assert instance.get_materialized_partitions(guests.key) == {"2026-02-01", "2026-02-02"}
    assert newest_run(instance, guests) == last
    assert newest_run(instance, total) == totals[-1]
    assert outcome(instance) == (totals[-1], "SUCCEEDED")
    assert instance.all_logs(failed) == []
    # Two days, the total, what landed.
    assert count(lake, "event_logs") == 4
    assert count(lake, "asset_check_executions") == 1
    assert count(lake, "asset_event_tags") == count(
        lake, "asset_event_tags join event_logs on event_logs.id = event_id"
    )
    assert remove(lake) == 0


def test_whole_and_partitions_of_an_asset_are_known_apart(lake: Settings, instance: dg.DagsterInstance) -> None:
    """An event without a partition stands for no partition, and none of them for it; in one step and in several."""

    def mixed() -> dg.MaterializeResult:
        return dg.MaterializeResult(tags={"door": "north"})

    days, whole = (dg.asset(mixed, partitions_def=DAYS), dg.asset(mixed))  # as the asset was, and as it became
    for later in (False, True):
        make(instance, whole)
        make(instance, days, "2026-02-01")
        if later:
            remove(lake)
    assert (count(lake, "event_logs"), count(lake, "asset_event_tags")) == (2, 2)
    make(instance, whole)
    remove(lake)
    make(instance, days, "2026-02-02")
    remove(lake)
    assert instance.get_materialized_partitions(days.key) == {"2026-02-01", "2026-02-02"}
    # Two partitions, the whole.
    assert (count(lake, "event_logs"), count(lake, "asset_event_tags")) == (3, 3)


def test_outcomes_of_two_checks_of_an_asset_are_kept_apart(lake: Settings, instance: dg.DagsterInstance) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec(name, asset="twice") for name in ("first", "second")])
    def twice() -> dg.MaterializeResult:
        return dg.MaterializeResult(
            check_results=[dg.AssetCheckResult(passed=True, check_name=name) for name in ("first", "second")]
        )

    for _ in range(2):
        last = make(instance, twice)
    assert remove(lake) == 2
    keys = [dg.AssetCheckKey(twice.key, name) for name in ("first", "second")]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {key: record.run_id for key, record in found.items()} == dict.fromkeys(keys, last)
    assert count(lake, "asset_check_executions") == 2


def test_what_was_the_newest_goes_when_a_newer_one_is_old(lake: Settings, instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        for day in ("2026-02-01", "2026-02-02"):
            make(instance, guests, day)
        last = make(instance, total)
        assert remove(lake) == 3
        assert (count(lake, "event_logs"), count(lake, "asset_check_executions")) == (3, 1)
    assert newest_run(instance, total) == last == outcome(instance)[0]


def test_a_run_that_goes_on_and_all_that_is_young_stays(lake: Settings, instance: dg.DagsterInstance) -> None:
    old = make(instance, guests, "2026-02-01")
    with dagster_database(lake) as connection:
        connection.execute("update runs set status = 'STARTED' where run_id = %s", (old,))
    assert remove(lake) == 0
    young = make(instance, guests, "2026-02-02")
    events = len(instance.all_logs(young))
    assert events > 5
    assert remove(lake, timedelta()) == 0
    assert {run.run_id for run in instance.get_runs()} == {old, young}
    assert len(instance.all_logs(young)) == events


def test_in_small_steps_it_comes_to_the_same(
    lake: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_ROWS", 3)
    monkeypatch.setattr(history, "_RUNS", 1)
    for day in ("2026-02-01", "2026-02-02", "2026-02-01"):
        make(instance, guests, day)
        make(instance, total)
    assert remove(lake) == 6
    assert (count(lake, "event_logs"), count(lake, "asset_check_executions")) == (3, 1)
    assert instance.get_materialized_partitions(guests.key) == {"2026-02-01", "2026-02-02"}


def test_a_run_that_does_not_end_is_named_with_its_age(
    lake: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(instance, total)
    run_id = make(instance, total)
    with dagster_database(lake) as connection:
        connection.execute("update runs set status = 'STARTED' where run_id = %s", (run_id,))
    now = datetime.now(UTC)
    assert module.long_runs(lake, now) == []
    [found] = module.long_runs(lake, now + timedelta(minutes=31))
    assert (found.run_id, found.age_seconds // 60) == (run_id, 31)
    monkeypatch.setattr(module, "LONG", timedelta())
    shown = CliRunner().invoke(status, [])
    assert f"Run {run_id[:8]} has not ended for 0:0" in shown.output
    result = CliRunner().invoke(status, ["--json"])
    assert [entry["run_id"] for entry in json.loads(result.output)["long_runs"]] == [run_id]
