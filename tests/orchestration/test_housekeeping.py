"""Hourly housekeeping loses no data."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from lake_assets.compile.raw_table import raw_table
from lake_assets.errors import LakeError
from lake_assets.landing import expire
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.operations import housekeeping as cleaning
from lake_assets.operations import retention
from lake_assets.operations.housekeeping import KEPT, clean
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.orchestration.in_process import graph_of_marts
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from tests.support.visits import Visits, make_visits, visit


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    made = make_visits(stack, tmp_path)
    for number in range(3):
        made.land(visit(number, 1))
    made.refresh()
    return made


def snapshots(visits: Visits) -> int:
    with raw_catalog(visits.settings) as catalog:
        return len(catalog.load_table(raw_table(visits.asset).identifier).metadata.snapshots)


def test_old_snapshots_go_and_every_event_stays(visits: Visits) -> None:
    assert snapshots(visits) == 3
    clean(visits.settings, [visits.asset], datetime.now(UTC), print)
    assert snapshots(visits) == 3, "they are not old"
    lines: list[str] = []
    clean(visits.settings, [visits.asset], datetime.now(UTC) + KEPT, lines.append)
    assert snapshots(visits) == 1
    assert len([line for line in lines if line.startswith(f"{visits.asset.dataset}: ")]) == 1
    visits.land(visit(9, 1))
    visits.refresh()
    assert visits.staged() == ["v0", "v1", "v2", "v9"]
    assert visits.in_balance()


def test_a_refresh_keeps_the_newest_of_too_many_snapshots(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_SNAPSHOTS", 3)
    monkeypatch.setattr(expire, "MOST_SNAPSHOTS", 3)
    monkeypatch.setattr(expire, "KEPT_SNAPSHOTS", 2)
    visits.refresh()
    assert snapshots(visits) == 3, "they are not too many"
    visits.land(visit(9, 1))
    visits.refresh()
    assert snapshots(visits) == 2
    visits.land(visit(10, 1))
    visits.refresh()
    assert visits.staged() == ["v0", "v1", "v10", "v2", "v9"]
    assert visits.in_balance()


def test_a_failure_of_one_asset_is_reported_after_the_others_are_done(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = make_visits(visits.settings, tmp_path / "other")
    genuine = cleaning.expire

    def fail_for_one(settings: Settings, ledger: object, asset: object, before: datetime) -> int:
        if asset == other.asset:
            raise LakeError("not tonight")
        return genuine(settings, ledger, asset, before)  # type: ignore[arg-type]

    monkeypatch.setattr(cleaning, "expire", fail_for_one)
    with pytest.raises(LakeError, match=rf"{other.asset.name}: not tonight"):
        clean(visits.settings, [other.asset, visits.asset], datetime.now(UTC) + KEPT, print)
    assert snapshots(visits) == 1


def test_it_runs_each_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    definitions = build_definitions(load_settings(), read_files(load_settings()))
    (schedule,) = [one for one in definitions.schedules or () if one.name == "leftovers_hourly"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert dg.AssetKey("leftovers") in definitions.resolve_asset_graph().get_all_asset_keys()


def test_it_is_no_mart_that_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    definitions = build_definitions(load_settings(), read_files(load_settings()))
    assert dg.AssetKey("leftovers") not in graph_of_marts(definitions).marts
