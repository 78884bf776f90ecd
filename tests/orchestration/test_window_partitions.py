"""Runs that plan, build and show the windows that hold events, and no other."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType

from lake_assets.home import Home
from lake_assets.landing.files import files
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.refresh import observe
from lake_assets.operations.retention import maintain, plan_retention
from lake_assets.orchestration.assets import EVERY_WINDOW_MADE, conforming_definition, landing_definitions
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key
from lake_assets.orchestration.partitions import add_windows, window_partitions
from lake_assets.orchestration.run_requests import Graph, request_for
from lake_assets.orchestration.sensors import raw_events
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.visits import Visits, make_visits

YEARS = tuple(range(1971, 2027, 5))
FAR_APART = tuple(f"{year}-01-02" for year in YEARS)
MADE, PLANNED = DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def visit_on(day: str, number: int = 0, door: str = "north") -> bytes:
    return json.dumps({"visit_id": f"v{day}-{number}", "door": door, "came_at": f"{day}T10:00:00"}).encode()


@dataclass
class Graphed:
    """Assets with raw rows put there by hand, as Dagster runs them."""

    settings: Settings
    instance: dg.DagsterInstance
    all: Sequence[Visits]

    def __post_init__(self) -> None:
        self.assets = {one.asset.name: one.asset for one in self.all}
        nodes = [
            node
            for asset in self.assets.values()
            for node in (*landing_definitions(self.settings, asset), conforming_definition(self.settings, asset))
        ]
        self.job = dg.Definitions(nodes, executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()

    def keys(self, one: Visits) -> list[dg.AssetKey]:
        return [key(one.asset) for key in (conformed_key, staging_key, quarantine_key)]

    def make(self) -> dg.ExecuteInProcessResult:
        """Conform all queued windows, as sensor and `lake run` do."""
        with Ledger(self.settings) as ledger:
            since = ledger.cursors()
            landed = observe(self.settings, ledger, list(self.assets.values()), since).landed
            for name, windows in landed.items():
                add_windows(self.instance, ledger, self.assets[name], [window.window for window in windows])
            request = request_for(ledger.pending(list(self.assets)), self.assets, Graph({}, {}), "both")
        for event in raw_events(self.assets, landed, since):
            self.instance.report_runless_asset_event(event)
        return self.execute(request.run.asset_selection or (), dict(request.run.tags))

    def execute(self, selection: Sequence[dg.AssetKey], tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(
            instance=self.instance, asset_selection=list(selection), tags=tags, raise_on_error=False
        )

    def partitions(self, one: Visits) -> list[str]:
        definition = window_partitions(one.asset)
        return sorted(definition.get_partition_keys(dynamic_partitions_store=self.instance))

    def shown(self, key: dg.AssetKey) -> set[str]:
        return self.instance.get_materialized_partitions(key)

    def events(self, result: dg.ExecuteInProcessResult, kind: DagsterEventType) -> list[str | None]:
        """The partition of each such event of a run."""
        found = self.instance.all_logs(result.run_id, of_type=kind)
        return [event.dagster_event.partition for event in found if event.dagster_event]


@pytest.fixture
def graphed(lake: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Graphed]:
    monkeypatch.setenv("DAGSTER_HOME", str(Home(lake.home).dagster))
    made: list[Visits] = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        made.append(make_visits(lake, folder))
    with dg.DagsterInstance.get() as instance:
        yield Graphed(lake, instance, made)


def test_windows_years_apart_are_all_that_a_run_plans_and_shows(graphed: Graphed) -> None:
    for one in graphed.all:
        one.land(*map(visit_on, FAR_APART))
    result = graphed.make()
    assert result.success
    for one in graphed.all:
        for key in (raw_key(one.asset), *graphed.keys(one)):
            assert graphed.shown(key) == set(FAR_APART)
        assert graphed.partitions(one) == [*FAR_APART]
        assert one.in_balance()
    # For each asset one that is planned, and beside its windows one for the run.
    assert graphed.events(result, PLANNED) == [None] * 9
    assert sorted(window or "" for window in graphed.events(result, MADE)) == sorted([*FAR_APART, ""] * 9)
    with Ledger(graphed.settings) as ledger:
        assert ledger.pending(list(graphed.assets)) == []


def test_a_rebuilt_window_is_the_only_one_reported(graphed: Graphed) -> None:
    first, second, _ = graphed.all
    first.land(*map(visit_on, FAR_APART))
    second.land(visit_on(FAR_APART[0]))
    graphed.make()
    second.land(visit_on(FAR_APART[5], 1))
    result = graphed.make()
    assert set(result.get_asset_materialization_events()[0].asset_key.path) <= {second.asset.name, "conformed"}  # type: ignore[union-attr]
    assert {window for window in graphed.events(result, MADE) if window} == {FAR_APART[5]}
    assert graphed.shown(staging_key(second.asset)) == {FAR_APART[0], FAR_APART[5]}


def test_a_window_that_cannot_be_made_is_not_shown_as_made(graphed: Graphed) -> None:
    one = graphed.all[0]
    one.land(*map(visit_on, FAR_APART[:3]))
    (broken,) = files(one.settings, one.asset, [FAR_APART[1]]).by_window[FAR_APART[1]]
    Path(broken.path).write_bytes(b"no Parquet")
    result = graphed.make()
    # The windows that were made are no less made, and the marts behind them are due.
    assert result.success
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == EVERY_WINDOW_MADE]
    assert not check.passed
    assert f"{FAR_APART[1]} was not published" in str(check.description)
    assert graphed.shown(staging_key(one.asset)) == {FAR_APART[0], FAR_APART[2]}
    with Ledger(graphed.settings) as ledger:
        assert [entry.window for entry in ledger.pending([one.asset.name])] == [FAR_APART[1]]


def test_partitions_that_a_person_names_are_made_with_their_numbers(graphed: Graphed) -> None:
    one = graphed.all[0]
    one.land(*map(visit_on, FAR_APART))
    graphed.make()
    tags = {"dagster/asset_partition_range_start": FAR_APART[2], "dagster/asset_partition_range_end": FAR_APART[4]}
    result = graphed.execute(graphed.keys(one), tags)
    assert result.success
    assert sorted(map(str, graphed.events(result, MADE))) == sorted([*FAR_APART[2:5]] * 3)
    for event in result.get_asset_materialization_events():
        assert event.materialization.metadata["rows_in"].value == 1


def test_a_named_window_that_retention_emptied_is_not_shown_as_made(graphed: Graphed) -> None:
    one = graphed.all[0]
    one.land(*map(visit_on, FAR_APART), *(visit_on(day, 1, "south") for day in FAR_APART[-2:]))
    graphed.make()
    retention = "slaProperties: [{property: retention, element: raw, value: 10, unit: d}, "
    retention += "{property: retention, element: quarantine, value: 10, unit: d}]"
    one.apply("customProperties:", f"{retention}\ncustomProperties:")
    now = datetime.fromisoformat(f"{FAR_APART[-1]}T00:00:00Z")
    with Ledger(one.settings) as ledger:
        warehouse = DuckLake(one.settings)
        checksum = plan_retention(one.settings, ledger, warehouse, [one.asset], now).checksum
        maintain(one.settings, ledger, warehouse, [one.asset], now, checksum)
    tags = {"dagster/asset_partition_range_start": FAR_APART[-2], "dagster/asset_partition_range_end": FAR_APART[-1]}
    result = graphed.execute(graphed.keys(one), tags)
    assert not result.success
    assert set(graphed.events(result, MADE)) == {FAR_APART[-1]}
    (failure,) = result.get_step_failure_events()
    assert f"{FAR_APART[-2]} was not published: retention removed" in str(failure.step_failure_data.error)


def test_windows_published_before_partitions_were_kept_become_some(graphed: Graphed) -> None:
    one = graphed.all[0]
    one.land(*map(visit_on, FAR_APART))
    one.refresh()
    assert graphed.partitions(one) == []
    one.land(visit_on("2030-01-01"))
    assert graphed.make().success
    assert graphed.partitions(one) == [*FAR_APART, "2030-01-01"]
