"""Marts that wait between two automatic builds: none is built too often, and no change is forgotten."""

from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.operations.unapplied import Unapplied
from lake_assets.orchestration import definitions as module
from lake_assets.orchestration import paced_marts
from lake_assets.orchestration.marts import Marts
from lake_assets.orchestration.paced_marts import PACED, READ_UNTIL, Attempt, Build, due_marts, paced_marts_sensor
from lake_assets.orchestration.run_requests import Graph
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings

STAGING, OTHER = dg.AssetKey(["sales_staging", "sales"]), dg.AssetKey(["leads_staging", "leads"])
SALES, TOTALS = dg.AssetKey(["sales_data_mart", "sales"]), dg.AssetKey(["sales_data_mart", "totals"])
GRAPH = Graph(
    {SALES: frozenset([STAGING]), TOTALS: frozenset([STAGING, OTHER])},
    {SALES: "1", TOTALS: "1"},
    {SALES: frozenset(), TOTALS: frozenset([SALES])},
)
HOUR = 3600.0


def due(builds: Mapping[dg.AssetKey, Build], now: float, **attempts: Attempt) -> list[dg.AssetKey]:
    keys = {"sales": SALES, "totals": TOTALS}
    return due_marts(GRAPH, builds, {keys[name].to_user_string(): a for name, a in attempts.items()}, now, 60)


def built(storage_id: int, at: float, read_until: int | None = None, version: str | None = "1") -> Build:
    return Build(storage_id, at, read_until, version)


def test_mart_waits_after_its_last_build_and_is_then_built() -> None:
    builds = {STAGING: built(9, 100), SALES: built(5, 50, 1), TOTALS: built(6, 50, 1)}
    assert due(builds, 50 + HOUR - 1) == []
    assert due(builds, 50 + HOUR) == [SALES, TOTALS]


def test_mart_of_unchanged_tables_is_not_built() -> None:
    assert due({STAGING: built(9, 100), SALES: built(10, 50, 9), TOTALS: built(11, 50, 9)}, 9 * HOUR) == []
    assert due({}, 9 * HOUR) == []


def test_change_during_a_build_is_not_forgotten() -> None:
    """Regression guard: its event is older than that of the mart, which may not have it."""
    builds = {STAGING: built(9, 100), SALES: built(10, 110, 8), TOTALS: built(11, 110, 9)}
    assert due(builds, 110 + HOUR) == [SALES, TOTALS]


def test_mart_that_fails_is_tried_once_in_the_pause() -> None:
    builds = {STAGING: built(9, 100), SALES: built(5, 50, 1), TOTALS: built(6, 50, 9)}
    assert due(builds, 5 * HOUR, sales=Attempt(5 * HOUR - 60, "1")) == []
    assert due(builds, 5 * HOUR, sales=Attempt(4 * HOUR, "1"))[0] == SALES


def test_mart_that_was_never_built_is_built_when_it_has_something_to_read() -> None:
    assert due({}, HOUR) == []
    assert due({STAGING: built(9, 100)}, HOUR) == [SALES, TOTALS]


def test_rewritten_mart_is_built_at_once_but_once() -> None:
    builds = {STAGING: built(1, 1), SALES: built(5, HOUR, 1, "0"), TOTALS: built(6, HOUR, 1)}
    assert due(builds, HOUR + 1) == [SALES]
    assert due(builds, HOUR + 31, sales=Attempt(HOUR + 1, "1")) == []


def test_mart_waits_for_a_mart_that_it_reads() -> None:
    """Regression guard: built before it, the reader would have old rows and count as new."""
    builds = {STAGING: built(9, 100), SALES: built(7, 5 * HOUR, 6), TOTALS: built(6, 50, 1)}
    assert due(builds, 5 * HOUR + 60) == []
    assert due(builds, 6 * HOUR) == [SALES, TOTALS]


def test_mart_built_alone_makes_its_readers_due() -> None:
    builds = {STAGING: built(1, 1), SALES: built(7, 9 * HOUR, 1), TOTALS: built(6, 50, 1)}
    assert due(builds, 9 * HOUR) == [TOTALS]


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def test_sensor_builds_each_change_once_and_never_forgets(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset(key=SALES, deps=[STAGING], code_version="1")
    def sales() -> None: ...

    sensor = paced_marts_sensor(sales, Graph({SALES: frozenset([STAGING])}, {SALES: "1"}), 60)
    cursor = None

    def tick(later: float = 0) -> int:
        nonlocal cursor
        with monkeypatch.context() as patch:
            now = datetime.now(UTC) + timedelta(seconds=later)
            patch.setattr(paced_marts, "datetime", SimpleNamespace(now=lambda _: now))
            result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
        if not isinstance(result, dg.SensorResult):
            return 0
        cursor = result.cursor
        [request] = list(result.run_requests or ())
        assert request.tags == {PACED: "true"}
        return len(request.asset_selection or ())

    def publish() -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization(STAGING, partition="2026-01-01"))

    def build() -> None:
        until = instance.get_asset_records([STAGING])[0].asset_entry.last_materialization_storage_id
        instance.report_runless_asset_event(
            dg.AssetMaterialization(SALES, metadata={READ_UNTIL: until}, tags={"dagster/code_version": "1"})
        )

    assert tick() == 0
    publish()
    assert tick() == 1
    build()
    for _ in range(3):
        publish()
        assert tick() == 0
    assert [tick(3601), tick(3601)] == [1, 0]
    build()
    assert tick(7300) == 0


@pytest.mark.parametrize(("minutes", "joint"), [(0, True), (60, False)])
def test_run_of_windows_builds_marts_only_where_they_do_not_wait(
    minutes: int, joint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: in a cloud each commit rebuilt each mart over all history."""

    @dg.asset(key=SALES, deps=[STAGING], code_version="1")
    def sales() -> None: ...

    graphs: list[Graph] = []
    automatic = dg.SensorDefinition("marts", asset_selection=[sales], evaluation_fn=lambda _: None)
    genuine = module.raw_windows_sensor

    def watched(settings: Settings, assets: Mapping[str, Asset], graph: Graph, *rest: object) -> dg.SensorDefinition:
        graphs.append(graph)
        return genuine(settings, assets, graph, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "mart_definitions", lambda *_: Marts([sales], [automatic], {}))
    monkeypatch.setattr(module, "raw_windows_sensor", watched)
    monkeypatch.setattr(module, "unapplied", lambda *_: Unapplied())
    settings = replace(load_settings(), mart_minutes=minutes)
    made = module.build_definitions(settings, read_files(settings))
    assert [bool(graph.marts) for graph in graphs] == [joint]
    [sensor] = [each for each in made.sensors or () if each.name == "marts"]
    assert (sensor is automatic) == joint
