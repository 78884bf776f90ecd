"""A failure of one asset is reported for it, and keeps nothing from the others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from lake_assets.bucket import local_path
from lake_assets.cli.audit import command as audit_command
from lake_assets.cli.maintain import command as maintain_command
from lake_assets.cli.quarantine import command as quarantine_command
from lake_assets.cli.why import command as why_command
from lake_assets.compile.raw_table import raw_table
from lake_assets.errors import Unavailable, Unreadable
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.backlog import backlog
from lake_assets.orchestration.assets import conforming_definition
from lake_assets.orchestration.raw_checks import READABLE, readable_checks
from lake_assets.orchestration.run_requests import Graph
from lake_assets.orchestration.sensors import raw_windows_sensor, read_cursor
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.visits import Visits, make_visits, visit


@dataclass(frozen=True)
class Pair:
    good: Visits
    bad: Visits

    def refresh(self) -> None:
        for one in (self.good, self.bad):
            one.land(visit(1, 1))
            one.refresh()

    @property
    def metadata(self) -> Path:
        """The newest metadata of the bad one's raw table."""
        with raw_catalog(self.bad.settings) as catalog:
            return Path(local_path(catalog.load_table(raw_table(self.bad.asset).identifier).metadata_location))


@pytest.fixture
def pair(lake: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Two assets, and no others. No broker is asked: it has neither."""
    for module in ("operations.audit", "landing.lag"):
        monkeypatch.setattr(f"lake_assets.{module}.offsets", lambda *_: {})
    made: list[Visits] = []
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        made.append(make_visits(lake, tmp_path / name))
    with Ledger(lake) as ledger:
        ledger.connection.execute(
            "delete from ledger.contract where asset <> all(%s)", ([one.asset.name for one in made],)
        )
    return Pair(*made)


def audited(*arguments: str) -> Result:
    return CliRunner().invoke(audit_command, arguments, catch_exceptions=False)


def test_asset_whose_staging_file_is_missing_is_a_finding_of_the_audit(pair: Pair) -> None:
    pair.refresh()
    assert audited().exit_code == 0
    with Ledger(pair.bad.settings) as ledger:
        (output,) = ledger.connection.execute(
            "select output from ledger.window where asset = %s", (pair.bad.asset.name,)
        ).fetchall()[0]
    for url in json.loads(output)["good_files"]:
        Path(local_path(url)).unlink()
    result = audited()
    assert result.exit_code == 1
    assert f"{pair.bad.asset.name} could not be audited: " in result.stdout
    assert "NOT AUDITED" in result.stdout
    found = audited("--json")
    assert found.exit_code == 1
    by_name = {one["asset"]: one for one in json.loads(found.stdout)}
    assert by_name[pair.good.asset.name]["in_balance"]
    assert by_name[pair.good.asset.name]["windows"]
    assert not by_name[pair.bad.asset.name]["in_balance"]
    assert "staging tables" in by_name[pair.bad.asset.name]["failed"]
    assert audited(pair.bad.asset.name).exit_code == 1


def test_quarantine_shows_reasons_of_other_assets_beside_an_unreadable_one(pair: Pair) -> None:
    for one in (pair.good, pair.bad):
        one.land(visit(1, 1), visit(2, 1, guests=99))
        one.refresh()
    folder = Path(local_path(pair.bad.settings.staging_data)) / pair.bad.asset.staging_schema
    for path in (folder / pair.bad.asset.quarantine_table).rglob("*.parquet"):
        path.unlink()
    result = CliRunner().invoke(quarantine_command, ["--json"])
    assert [(reason["asset"], reason["rows"]) for reason in json.loads(result.stdout)] == [(pair.good.asset.name, 1)]
    assert isinstance(result.exception, Unreadable)
    assert f"the quarantine of {pair.bad.asset.name} is not shown: " in str(result.exception)


def test_asset_whose_raw_metadata_is_damaged_is_a_finding_of_the_audit(pair: Pair) -> None:
    pair.refresh()
    pair.metadata.write_text("{")
    found = audited("--json")
    assert found.exit_code == 1
    by_name = {one["asset"]: one for one in json.loads(found.stdout)}
    assert by_name[pair.good.asset.name]["in_balance"]
    assert f"raw table ops.{pair.bad.asset.name} cannot be read" in by_name[pair.bad.asset.name]["failed"]


def test_what_is_too_old_is_found_beside_an_asset_that_cannot_be_read(pair: Pair) -> None:
    kept = "slaProperties: [{property: retention, element: raw, value: 10, unit: d}]\n"
    for one in (pair.good, pair.bad):
        one.apply("customProperties:", f"{kept}customProperties:")
        one.land(visit(1, 1), visit(2, 20))
        one.refresh()
    pair.metadata.write_text("{")
    result = CliRunner().invoke(maintain_command, ["--json"])
    found = json.loads(result.stdout)
    beginnings = (
        f"{pair.good.asset.name} raw: all 2 windows are too old",
        f"Nothing of {pair.bad.asset.name} is removed now: ",
    )
    # In the order of their names, of which a number is a part.
    assert len(found["kept_back"]) == 2
    assert all(any(sentence.startswith(each) for sentence in found["kept_back"]) for each in beginnings)
    # What could not be cleaned is reported in the end.
    assert f"not all is clean, the next hour tries again: {pair.bad.asset.name}: " in str(result.exception)


def test_files_and_postgres_are_distinguished(lake: Settings) -> None:
    """A part that is away is no asset's finding."""
    away = replace(lake, postgres=replace(lake.postgres, port=1))
    for settings, kind in ((lake, Unreadable), (away, Unavailable)):
        with pytest.raises(Unavailable) as caught, DuckLake(settings)._clear_errors():
            raise duckdb.IOException("no such file")
        assert type(caught.value) is kind


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_raw_table_that_cannot_be_read_is_named_and_the_others_go_on(pair: Pair, damage: object) -> None:
    settings = pair.bad.settings
    assets = {one.asset.name: one.asset for one in (pair.good, pair.bad)}
    steps = [conforming_definition(settings, asset) for asset in assets.values()]
    checks = [readable_checks(settings, list(assets.values()))]
    sensor = raw_windows_sensor(settings, assets, Graph({}, {}), steps)
    definitions = dg.Definitions(assets=steps, asset_checks=checks, sensors=[sensor])
    good, bad = pair.good.asset.name, pair.bad.asset.name

    def tick(cursor: str | None) -> tuple[list[str], dict[str, bool], str]:
        """The raw tables of which windows are reported, and those whose check became another."""
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance, cursor=cursor, definitions=definitions) as context,
        ):
            result = sensor.evaluate_tick(context)
        events: Sequence[object] = result.asset_events
        landed = [one.asset_key.path[-1] for one in events if isinstance(one, dg.AssetMaterialization)]
        seen = {
            one.asset_key.path[-1]: one.passed
            for one in events
            if isinstance(one, dg.AssetCheckEvaluation) and one.check_name == READABLE
        }
        assert result.cursor is not None
        return landed, seen, result.cursor

    pair.refresh()
    _, _, cursor = tick(None)
    for one in (pair.good, pair.bad):
        one.land(visit(2, 2))
    path = pair.metadata
    content = path.read_text()
    damage(path)  # type: ignore[operator]
    landed, seen, cursor = tick(cursor)
    assert (landed, seen) == ([good], {bad: False})
    assert read_cursor(cursor).cursors.keys() == {good, bad}
    assert tick(cursor)[:2] == ([], {})
    with Ledger(settings) as ledger:
        assert [entry.asset for entry in ledger.pending(list(assets))] == [good]
    for window in ([], ["2026-02-01"]):
        output = CliRunner().invoke(why_command, [bad, *window], catch_exceptions=False).stdout
        assert f"raw table ops.{bad} cannot be read" in output
    specs = [raw_table(asset) for asset in assets.values()]
    assert [report.outcome for report in ensure_raw_tables(settings, specs)] == ["unchanged", "differs"]
    of_good, of_bad = backlog(settings, list(assets.values()))
    assert (of_good.queued, of_good.under_way, of_good.unreadable) == (1, 0, None)
    assert (of_bad.queued, of_bad.under_way) == (0, None)
    assert "cannot be read" in str(of_bad.unreadable)
    path.write_text(content)
    landed, seen, cursor = tick(cursor)
    assert (landed, seen) == ([bad], {bad: True})
    with Ledger(settings) as ledger:
        assert ledger.unreadable_raw(pair.bad.asset) is None
        assert {(entry.asset, entry.window) for entry in ledger.pending([bad])} == {(bad, "2026-02-02")}
