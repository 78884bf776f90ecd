"""A draft's tables are dropped and rebuilt from raw, on this machine and in each cloud."""

from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath

import pytest

from lake_assets.catalog.texts import Catalog, read_texts
from lake_assets.landing.files import window_rows
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import record_decision
from lake_assets.operations.drafts import NotRebuilt, rebuild_tables, windows_to_rebuild
from lake_assets.operations.housekeeping import remove_old_states, remove_unreferenced_files
from lake_assets.operations.wanted import contract_change
from lake_assets.orchestration.dagster_records import DagsterRecords
from lake_assets.settings import Settings
from tests.support.visits import Visits, make_visits, visit

INTEGER = "guests, logicalType: integer, logicalTypeOptions: {maximum: 10}"
DOUBLE = "guests, logicalType: number, physicalType: double"


def edit(visits: Visits, old: str, new: str) -> None:
    text = visits.path.read_text("utf-8")
    assert old in text
    visits.path.write_text(text.replace(old, new), "utf-8")


def wanted(visits: Visits) -> Catalog:
    return read_texts({visits.path: visits.path.read_text("utf-8")}, {})


def rebuilt(visits: Visits) -> dict[str, list[str]]:
    """Return the windows that `lake apply` would rebuild from raw if this were the only contract."""
    name = visits.asset.name
    with Ledger(visits.settings) as ledger:
        applied = read_texts({PurePath(f"{name}.yaml"): ledger.contracts()[name]}, {})
        change = contract_change(visits.settings, wanted(visits), applied, name)
        windows = windows_to_rebuild(visits.settings, ledger, applied.assets[name], visits.asset, change)
    return {} if windows is None else {name: windows}


def test_only_the_tables_of_a_changed_draft_are_rebuilt(target: Settings, tmp_path: Path) -> None:
    visits = make_visits(target, tmp_path)
    visits.apply("status: active", "status: draft")
    visits.land(visit(1, 1), visit(2, 2), visit(3, 2, "south"))
    beside = visits.beside()
    for one in (visits, beside):
        one.refresh()
    old = visits.asset
    edit(visits, INTEGER, DOUBLE)
    windows = rebuilt(visits)[old.name]
    assert windows == ["2026-02-01", "2026-02-02"]
    with Ledger(target) as ledger:
        rebuild_tables(ledger, DagsterRecords(target), visits.warehouse, old, wanted(visits), windows)
        assert ledger.windows(visits.asset) == []
    assert visits.warehouse.missing(visits.asset) == []
    assert visits.staged() == []
    assert visits.kept() == []
    visits.refresh()
    assert visits.rows("visit_id, guests") == [("v1", 1.0), ("v2", 1.0)]
    assert {type(guests) for _, guests in visits.rows("visit_id, guests")} == {float}
    assert len(visits.kept()) == 1
    # Of the old tables nothing is left after a while, and the new ones do not need it.
    later = datetime.now(UTC) + timedelta(days=9)
    before = visits.conformed()
    with Ledger(target) as ledger:
        remove_unreferenced_files(ledger, [visits.asset], later)
        remove_old_states(ledger, visits.warehouse, later)
    assert visits.conformed() < before
    for one in (visits, beside):
        assert one.staged() == ["v1", "v2"]
        assert one.in_balance()
    visits.warehouse.drop(visits.asset)
    assert any("create table" in sentence for sentence in visits.warehouse.missing(visits.asset))
    assert beside.in_balance()


def test_what_concerns_raw_itself_does_not_change_in_place(lake: Settings, tmp_path: Path) -> None:
    visits = make_visits(lake, tmp_path)
    visits.apply("status: active", "status: draft")
    visits.land(visit(1, 1))
    visits.refresh()
    name = visits.asset.name
    for old, new, reason in (
        ("window: day", "window: hour", f"lake remove {name} --keep topic"),
        ("domain: ops", "domain: other", "the domain and the topic of"),
        ("partitions: 2", "partitions: 2, topic: elsewhere", f"the topic of {name} cannot change"),
    ):
        edit(visits, old, new)
        with pytest.raises(NotRebuilt, match=reason):
            rebuilt(visits)
        edit(visits, new, old)
    edit(visits, "window: day", "window: month")
    assert rebuilt(visits) == {name: ["2026-02"]}
    edit(visits, "window: month", "window: day")
    edit(visits, INTEGER, DOUBLE)
    with Ledger(lake) as ledger:
        record_decision(ledger, visits.asset, "raw", 1, window_rows(lake, visits.asset), {})
        ledger.connection.execute("update ledger.removal set removed_at = now() where dataset = %s", (name,))
    with pytest.raises(NotRebuilt, match=r"retention has removed 1 windows.*_v2\.yaml"):
        rebuilt(visits)
