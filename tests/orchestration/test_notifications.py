"""The sensor `notifications`, on a real ledger and Dagster's real storage."""

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest

import lake_assets.operations.notify.problems as module
from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.ledger.failures import try_now
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.notify.channels import LogChannel
from lake_assets.operations.notify.problems import STALE_AFTER, asset_problems
from lake_assets.orchestration.notifications import notifications_sensor
from lake_assets.orchestration.run_requests import Graph
from lake_assets.settings import Settings
from tests.support.lane_runs import run
from tests.support.visits import Visits, make_visits, visit

WRONG = "quality: [{type: sql, name: odd, query: select no_such_column from conformed, mustBe: 0}]\n    properties:"
CHECK = "quality: [{type: sql, name: few, query: select count(*) from conformed, mustBeLessThan: 2}]\n    properties:"
BUDGET = "{property: quarantine, value: {maxRows: 1}}"
MART, STAGING = dg.AssetKey(["visits_data_mart", "visits"]), dg.AssetKey(["visits_staging", "visits"])


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    return make_visits(lake, tmp_path)


def sentences(visits: Visits) -> dict[str, str]:
    """Return the problems of the asset, by key without its name; all are its owner's."""
    with Ledger(visits.settings) as ledger:
        problems = asset_problems(ledger, {visits.asset.name: visits.asset})
    assert {problem.owners for problem in problems} <= {("ops@example.com",)}
    return {problem.key.partition(f" {visits.asset.name}")[0]: problem.sentence for problem in problems}


def test_windows_held_back_and_over_their_budget_are_problems_of_the_owner(visits: Visits) -> None:
    name = visits.asset.name
    visits.apply("properties:", CHECK)
    visits.apply("customProperties:", f"customProperties:\n  - {BUDGET}")
    visits.land(visit(1, 1), visit(2, 1), visit(3, 2), visit(4, 2), visit(5, 3, door="x"), visit(6, 3, door="y"))
    run(visits, "fresh")
    found = sentences(visits)
    assert found.keys() == {"held back", "budget"}
    assert found["held back"].startswith(f"{name}: 2 windows are held back (2026-02-01 to 2026-02-02), because few fai")
    assert f"`lake why {name} 2026-02-02`" in found["held back"]
    assert found["budget"].startswith(f"{name}: window 2026-02-03 is held back, because its quarantine is over the bud")
    assert "2 of 2 rows broke a rule (2 enum of door)" in found["budget"]


def test_failure_is_a_problem_when_its_retry_failed_too(visits: Visits) -> None:
    visits.land(visit(1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lake_assets.conform.duckdb.conform", _no_disk)
        run(visits, "fresh")
        assert sentences(visits) == {}
        with Ledger(visits.settings) as ledger:
            try_now(ledger, [visits.asset.name], set_aside=True)
        run(visits, "retry")
    [sentence] = sentences(visits).values()
    assert "window 2026-02-01 cannot be built: " in sentence
    assert "no room left" in sentence


def test_failure_that_no_retry_can_help_is_a_problem_at_once(visits: Visits) -> None:
    """Errors may quote values, which receivers must not see of a confidential asset."""
    visits.land(visit(1, 1))
    visits.apply("properties:", WRONG)
    run(visits, "fresh")
    [sentence] = sentences(visits).values()
    assert "no_such_column" in sentence
    visits.apply("name: door, logicalType: string", "name: door, logicalType: string, classification: personal")
    [hidden] = sentences(visits).values()
    assert "no_such_column" not in hidden
    assert f"see `lake status {visits.asset.name}`" in hidden


def _no_disk(*_: object) -> None:
    raise LakeError("no room left")


@pytest.fixture
def instance(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> Generator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(Home(lake.home).dagster))
    with dg.DagsterInstance.get() as made:
        yield made


def test_sensor_sends_a_stale_mart_once_and_its_end(
    visits: Visits, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        "lake_assets.orchestration.notifications.read_channels", lambda: [LogChannel(write=lines.append)]
    )
    mart = dg.AssetsDefinition(specs=[dg.AssetSpec(MART, owners=["team:ops"])])
    graph = Graph({MART: frozenset([STAGING])}, {})
    sensor = notifications_sensor(visits.settings, {}, graph, [mart])
    cursor = None

    def tick() -> list[str]:
        nonlocal cursor
        lines.clear()
        result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        return list(lines)

    instance.report_runless_asset_event(dg.AssetMaterialization(MART))
    instance.report_runless_asset_event(dg.AssetMaterialization(STAGING))
    assert tick() == []
    monkeypatch.setattr(module, "STALE_AFTER", 0 * STALE_AFTER)
    [line] = tick()
    assert line.startswith("team:ops: visits_data_mart.visits: was last built at 20")
    assert tick() == []
    instance.report_runless_asset_event(dg.AssetMaterialization(MART))
    [line] = tick()
    assert line.startswith("team:ops: Resolved: visits_data_mart.visits: ")
    assert json.loads(cursor or "") == {"behind": {}, "known": {"log": {}}}


def test_tick_has_as_many_queries_for_many_assets_as_for_one(
    visits: Visits, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits.land(visit(1, 1), visit(2, 2))
    visits.apply("properties:", CHECK)
    run(visits, "fresh")
    many = {name: replace(visits.asset, dataset=name) for name in (visits.asset.name, *(f"v{n}" for n in range(200)))}
    queries: list[str] = []
    genuine = psycopg.Cursor.execute

    def execute(self: psycopg.Cursor, query: str, *args: object, **options: object) -> psycopg.Cursor:
        queries.append(query)
        return genuine(self, query, *args, **options)  # type: ignore[arg-type]

    counts: list[int] = []
    for assets in ({visits.asset.name: visits.asset}, many):
        sensor = notifications_sensor(visits.settings, assets, Graph({}, {}), [])
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", execute)
            queries.clear()
            sensor(dg.build_sensor_context(instance=instance))
        counts.append(len(queries))
    assert counts[0] == counts[1] > 0
