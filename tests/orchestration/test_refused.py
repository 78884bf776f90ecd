"""A file whose change is refused leaves out itself only: it is named, and what is applied of it runs on."""

import shutil
from pathlib import Path

import pytest

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.metric_parse import parse_metric
from lake_assets.errors import LakeError
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.unapplied import refuse_left_out
from lake_assets.operations.wanted import wanted_catalog
from lake_assets.settings import Settings, load_settings
from lake_assets.warehouse.metric_tables import ensure_metric_tables
from tests.orchestration.test_metric_parity import METRIC
from tests.support.visits import Visits, make_visits, visit

BREAKING = ("guests, logicalType: integer, logicalTypeOptions: {maximum: 10}", "guests, logicalType: boolean")
ALLOWED = ("maximum: 10", "maximum: 20")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def lake_of_three(
    lake: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Settings, list[Visits], Metric, Path]:
    """Three applied contracts with rows, a metric of the first, and the metric's file."""
    # Readers of a table do not matter here, and take dbt a while to list.
    nothing = {"sources": {}, "nodes": {}, "child_map": {}}
    monkeypatch.setattr("lake_assets.operations.wanted.load_manifest", lambda _: nothing)
    made: list[Visits] = []
    catalog = tmp_path / "catalog" / "assets"
    catalog.mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"{number}").mkdir()
        one = make_visits(lake, tmp_path / f"{number}")
        if not number:
            # A metric takes what every event has.
            one.apply("name: door, logical", "name: door, required: true, logical")
            one.apply("name: guests, logical", "name: guests, required: true, logical")
        one.land(visit(1, 1))
        one.refresh()
        one.path = Path(shutil.move(one.path, catalog))
        made.append(one)
    path = tmp_path / "catalog" / "metrics" / "by_door.yaml"
    path.parent.mkdir()
    path.write_text(METRIC.replace("NAME", made[0].asset.name), "utf-8")
    metric = parse_metric(path.read_text("utf-8"), path, {made[0].asset.name: made[0].asset})
    ensure_metric_tables(lake, metric)
    with Ledger(lake) as ledger:
        names = [one.asset.name for one in made]
        ledger.connection.execute("delete from ledger.contract where asset <> all(%s)", (names,))
        ledger.save_metrics({metric.name: path.read_text("utf-8")})
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path / "catalog"))
    return load_settings(), made, metric, path


def test_refused_changes_leave_out_their_own_files_only(
    lake_of_three: tuple[Settings, list[Visits], Metric, Path],
) -> None:
    settings, (moved, broken, changed), metric, path = lake_of_three
    refuse_left_out(settings)
    names = [one.asset.name for one in (moved, broken, changed)]
    edit(broken.path, *BREAKING)
    edit(changed.path, *ALLOWED)
    edit(moved.path, "domain: ops", "domain: other")
    edit(moved.path, "status: active", "status: draft")
    edit(path, "window: 1h", "window: 2h")
    with Ledger(settings) as ledger:
        applied = read_applied(ledger)
        wanted = wanted_catalog(settings, ledger, applied)
    catalog = wanted.catalog
    assert {problem.file for problem in catalog.problems} == {broken.path, moved.path, path}
    assert catalog.text(catalog.assets[names[2]]) == changed.path.read_text("utf-8")
    for name in names[:2]:
        assert catalog.assets[name] is applied.assets[name]
    assert catalog.text(catalog.metrics[metric.name]) == applied.text(applied.metrics[metric.name])
    assert {name for name, change in wanted.changes.items() if change.kind != "none"} == {names[2]}
    with pytest.raises(LakeError, match="left out, and all else is as above") as caught:
        refuse_left_out(settings)
    assert caught.value.exit_code == 2
    for sentence in (
        f"{broken.path}:1: the change would break those who read the tables",
        f"{broken.asset.dataset}_v2.yaml",
        f"{moved.path}:1: {names[0]} cannot become a draft, because it is read by metric {metric.name}",
        f"{path}:1: the definition of '{metric.name}' changed",
        f"What is applied of {names[1]} runs on.",
        f"What is applied of {metric.name} runs on.",
    ):
        assert sentence in str(caught.value)


def test_file_of_an_asset_whose_removal_is_unfinished_leaves_out_itself(
    lake_of_three: tuple[Settings, list[Visits], Metric, Path],
) -> None:
    settings, (_, removed, changed), _, _ = lake_of_three
    edit(changed.path, *ALLOWED)
    with Ledger(settings) as ledger:
        ledger.connection.execute(
            "insert into ledger.removed_asset (asset, domain, topic, text, kept, checksum) "
            "values (%s, 'ops', %s, '', '{}', 'abc')",
            (removed.asset.name, removed.asset.topic),
        )
        ledger.connection.execute("delete from ledger.contract where asset = %s", (removed.asset.name,))
        wanted = wanted_catalog(settings, ledger, read_applied(ledger)).catalog
        ledger.connection.execute("delete from ledger.removed_asset")
    assert [problem.file for problem in wanted.problems] == [removed.path]
    assert f"lake remove {removed.asset.name} --confirm abc" in wanted.problems[0].message
    assert removed.asset.name not in wanted.assets
    assert wanted.text(wanted.assets[changed.asset.name]) == changed.path.read_text("utf-8")
