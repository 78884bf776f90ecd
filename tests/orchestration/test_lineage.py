"""The sensor `lineage`: runs of Dagster as events, from real records of Dagster's storage."""

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import lake_assets.orchestration.assets as assets
import lake_assets.orchestration.finished_runs as finished_runs
import lake_assets.orchestration.lineage as module
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.raw_tables import raw_location
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.operations.lineage.files import Position, lineage_folder, read_from
from lake_assets.operations.lineage.names import file_name
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.assets import QUEUED_ONLY, conforming_definition
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key
from lake_assets.orchestration.lineage import lineage_sensor
from lake_assets.orchestration.metadata import landed_metadata
from lake_assets.settings import Settings, load_settings
from tests.support.contracts import parse
from tests.support.mail_servers import webhook_server
from tests.support.openlineage_readers import Event, check_by_schema
from tests.support.visits import make_visits, visit

# Dagster's name of the job of `materialize`.
JOB = "__ephemeral_asset_job__"


class Ticking:
    """The sensor of some assets, tick by tick."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, *contracts: Asset) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self._folder = lineage_folder(settings)
        self._read = Position()
        self._sensor = lineage_sensor(settings, Catalog({asset.name: asset for asset in contracts}))

    def tick(self) -> list[Event]:
        """Return the events that a tick writes."""
        result = self._sensor(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))
        self.message = result.skip_message if isinstance(result, dg.SkipReason) else ""
        if isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        lines = list(read_from(self._folder, self._read))
        self._read = lines[-1].after if lines else self._read
        events = [json.loads(line.content) for line in lines]
        for event in events:
            check_by_schema(event)
        return events


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Generator[dg.DagsterInstance]:
    monkeypatch.setattr(module, "SETTLED_AFTER", timedelta(0))
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    return load_settings()


@pytest.fixture
def ticking(home: Settings, instance: dg.DagsterInstance) -> Ticking:
    return Ticking(home, instance, parse())


def run(instance: dg.DagsterInstance, *keys: dg.AssetKey, fails: bool = False) -> str:
    """Materialize these tables in a run, or fail before it; return the run's id."""

    @dg.multi_asset(specs=[dg.AssetSpec(key) for key in keys])
    def tables() -> Any:
        if fails:
            raise dg.Failure("row v1 of me@example.com is wrong")
        for key in keys:
            yield dg.MaterializeResult(key)

    return dg.materialize([tables], instance=instance, raise_on_error=False).run_id


def ends(events: list[Event]) -> dict[str, Event]:
    return {event["job"]["name"]: event for event in events if event["eventType"] != "START"}


def test_finished_run_is_written_once(ticking: Ticking) -> None:
    keys = conformed_key(parse()), staging_key(parse()), quarantine_key(parse())
    run_id = run(ticking.instance, *keys)
    events = ticking.tick()
    assert [(event["job"]["name"], event["eventType"]) for event in events] == [
        (JOB, "START"),
        (JOB, "COMPLETE"),
        ("conform.orders", "START"),
        ("conform.orders", "COMPLETE"),
        ("staging.orders", "START"),
        ("staging.orders", "COMPLETE"),
    ]
    assert events[0]["run"]["runId"] == run_id
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in events[2:]} == {run_id}
    record = ticking.instance.get_run_record_by_id(run_id)
    assert record is not None
    assert events[0]["eventTime"].endswith("Z")
    assert ticking.tick() == []


def test_failed_run_is_written_without_its_error(ticking: Ticking) -> None:
    run_id = run(ticking.instance, conformed_key(parse()), fails=True)
    found = ends(ticking.tick())
    assert {name: event["eventType"] for name, event in found.items()} == {
        JOB: "FAIL",
        "conform.orders": "FAIL",
    }
    assert run_id in found["conform.orders"]["run"]["facets"]["errorMessage"]["message"]
    assert "me@example.com" not in json.dumps(found)


def test_run_of_other_tables_is_passed_over(ticking: Ticking) -> None:
    run(ticking.instance, dg.AssetKey("leftovers"))
    assert ticking.tick() == []
    assert json.loads(ticking.cursor or "")["run"] > 0


def test_tick_reads_a_bounded_number_of_runs_and_the_next_one_the_rest(
    ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ticking.tick() == []
    monkeypatch.setattr(finished_runs, "RUNS", 2)
    ids = [run(ticking.instance, conformed_key(parse()), fails=number == 2) for number in range(5)]
    written = [list(ends(ticking.tick()).items()) for _ in range(4)]
    assert [len(events) for events in written] == [2, 2, 2, 0]
    ticking.cursor = None
    assert {event["run"]["runId"] for event in ticking.tick()} >= {*ids[3:]}


def test_first_tick_begins_with_the_newest_runs(ticking: Ticking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_runs, "RUNS", 2)
    ids = [run(ticking.instance, conformed_key(parse())) for _ in range(5)]
    events = ticking.tick()
    assert {event["run"]["runId"] for event in events if event["job"]["name"] == JOB} == {*ids[3:]}
    assert ticking.tick() == []


def test_run_that_may_have_an_unstored_neighbour_waits(ticking: Ticking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED_AFTER", timedelta(hours=1))
    run(ticking.instance, conformed_key(parse()))
    assert ticking.tick() == []
    monkeypatch.setattr(module, "SETTLED_AFTER", timedelta(0))
    assert len(ticking.tick()) == 4


def test_cursor_does_not_grow_with_history(ticking: Ticking) -> None:
    landed = dg.AssetMaterialization(raw_key(parse()))
    sizes: list[int] = []
    for _ in range(3):
        run(ticking.instance, conformed_key(parse()))
        ticking.instance.report_runless_asset_event(landed)
        assert ticking.tick() != []
        sizes.append(len(json.loads(ticking.cursor or "")["tables"]))
    assert sizes == [1, 1, 1]


def test_records_that_landed_are_a_run_of_the_connector(ticking: Ticking) -> None:
    key = raw_key(parse())

    def land(window: str, rows: int) -> None:
        metadata = landed_metadata(Landed(window, 1, rows, 10 * rows, 1, 0, rows))
        ticking.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=window, metadata=metadata))

    land("2026-11-29", 3)
    land("2026-11-30", 4)
    start, end = ticking.tick()
    assert (start["eventType"], end["eventType"], end["job"]["name"]) == ("START", "COMPLETE", "landing.orders")
    [output] = end["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (7, 70)
    assert end["run"]["facets"] == {}
    land("2026-11-30", 5)
    _, end = ticking.tick()
    assert end["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 5


def test_failing_server_fails_no_tick(ticking: Ticking, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook_server() as server:
        monkeypatch.setenv("LAKE_LINEAGE_URL", server.url)
        server.code = 500
        run(ticking.instance, conformed_key(parse()))
        assert len(ticking.tick()) == 4
        server.code = 200
        assert ticking.tick() == []
        assert len(server.bodies) == 4


def test_wrong_setting_or_unwritable_folder_skips_the_tick(
    ticking: Ticking, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ticking.instance, conformed_key(parse()))
    monkeypatch.setenv("LAKE_LINEAGE", "on")
    assert ticking.tick() == []
    assert "LAKE_LINEAGE is 'on'" in (ticking.message or "")
    monkeypatch.setenv("LAKE_LINEAGE", "file")
    home.home.mkdir()
    lineage_folder(home).write_text("a file where the folder should be", "utf-8")
    assert ticking._sensor(dg.build_sensor_context(instance=ticking.instance)).skip_message.startswith(  # type: ignore[union-attr]
        "The events cannot be written"
    )
    lineage_folder(home).unlink()
    assert len(ticking.tick()) == 4


def test_lineage_that_is_off_writes_nothing(ticking: Ticking, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LINEAGE", "off")
    run(ticking.instance, conformed_key(parse()))
    assert ticking.tick() == []
    assert not lineage_folder(home).exists()


def test_real_run_is_written_with_rows_checks_and_real_names(
    lake: Settings, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    visits = make_visits(lake, tmp_path)
    visits.land(visit(1, 1), visit(2, 1, "south"), visit(3, 2))
    with Ledger(lake) as ledger:
        observe(lake, ledger, [visits.asset], ledger.cursors())
    definition = conforming_definition(lake, visits.asset)
    assert dg.materialize([definition], instance=instance, tags={QUEUED_ONLY: "true"}).success
    name, found = visits.asset.name, ends(Ticking(lake, instance, visits.asset).tick())
    assert {job: event["eventType"] for job, event in found.items()} == dict.fromkeys(
        [JOB, f"conform.{name}", f"staging.{name}", f"{name}_staging.{name}.checks"], "COMPLETE"
    )
    rows = {
        output["name"].rpartition("/" if "/" in output["name"] else ".")[2]: output["outputFacets"]["outputStatistics"]
        for event in found.values()
        for output in event["outputs"]
    }
    assert {table: numbers["rowCount"] for table, numbers in rows.items()} == {
        "v1": 3,
        name: 2,
        f"{name}_quarantine": 1,
    }
    assert rows["v1"]["size"] > 0
    [checked] = found[f"{name}_staging.{name}.checks"]["inputs"]
    assertions = checked["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {each["name"]: each["success"] for each in assertions} == {
        "rows_match_ledger": True,
        "every_window_made": True,
    }
    [raw] = found[f"conform.{name}"]["inputs"]
    location = raw_location(lake, raw_table(visits.asset))
    assert location is not None
    expected = file_name(location)
    assert (raw["namespace"], raw["name"]) == (expected.namespace, expected.name)


def test_step_that_fails_fails_the_jobs_of_its_tables_alone(
    home: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = parse(), replace(parse(), dataset="parcels")

    def build(context: dg.AssetExecutionContext, _: Settings, asset: Asset, keys: Mapping[str, dg.AssetKey]) -> Any:
        context.log_event(dg.AssetMaterialization(keys["staging"], partition="2026-02-01"))
        if asset.name == broken.name:
            raise RuntimeError("killed after its first window")
        for name in keys:
            yield dg.Output(None, name)

    monkeypatch.setattr(assets, "_build_windows", build)
    definitions = dg.Definitions([conforming_definition(home, asset) for asset in (broken, sound)])
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [key(asset) for asset in (broken, sound) for key in (conformed_key, staging_key, quarantine_key)]
    job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)
    found = ends(Ticking(home, instance, broken, sound).tick())
    assert found["staging.orders"]["eventType"] == "FAIL"
    assert found["staging.parcels"]["eventType"] == "COMPLETE"
