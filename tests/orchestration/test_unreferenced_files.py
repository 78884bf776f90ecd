"""Rows of earlier builds of a window are removed, and nothing that a reader needs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.catalog.json_codec import from_json
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.housekeeping import Cleaned, clean
from lake_assets.operations.retention import maintain, plan_retention
from lake_assets.settings import Settings
from lake_assets.spill import spill_root
from lake_assets.warehouse.local.connection import connect
from tests.support.backfills import loaded, run, undo_backfill
from tests.support.visits import Visits, made_often, visit

DAY = "2026-02-01"
HOUR = timedelta(hours=1, minutes=1)


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    return made_often(stack, tmp_path)


def cleaned(visits: Visits, later: timedelta) -> Cleaned:
    (found,) = clean(visits.settings, [visits.asset], datetime.now(UTC) + later, print)
    return found


def snapshots(visits: Visits) -> int:
    with connect(visits.settings, serving=False) as session:
        return len(session.execute("select snapshot_id from ducklake_snapshots('lake')").fetchall())


def test_files_of_earlier_states_stay_for_an_hour_and_then_go(visits: Visits) -> None:
    assert visits.conformed() == 10
    assert cleaned(visits, timedelta()).superseded_removed == 0
    assert visits.conformed() == 10
    assert cleaned(visits, HOUR).superseded_removed == 8
    assert visits.conformed() == 2
    assert snapshots(visits) == 1
    assert visits.staged() == [f"v{number}" for number in range(5)]
    assert len(visits.kept()) == 5
    assert cleaned(visits, HOUR).superseded_removed == 0


def test_housekeeping_removes_what_killed_processes_spilled(stack: Settings) -> None:
    orphan = spill_root(stack.home) / "spill-killed"
    orphan.mkdir(parents=True)
    (orphan / ".lock").touch()
    clean(stack, [], datetime.now(UTC), print)
    assert not orphan.exists()


def test_a_reader_opens_no_file_of_an_earlier_state(visits: Visits) -> None:
    schema = visits.asset.staging_schema
    with connect(visits.settings, serving=False) as session:
        for name in (visits.asset.name, visits.asset.quarantine_table):
            listed = session.execute(f"from ducklake_list_files('lake', '{name}', schema => '{schema}')").fetchall()
            assert len(listed) == 1, "DuckLake went on reading files whose few rows were all deleted"


def test_a_window_that_is_rebuilt_afterwards_has_all_its_rows(visits: Visits) -> None:
    cleaned(visits, HOUR)
    visits.land(visit(9, 1))
    visits.refresh()
    assert visits.staged() == ["v0", "v1", "v2", "v3", "v4", "v9"]
    assert visits.in_balance()


def test_files_that_a_run_published_twice_stay(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        query = "select output from ledger.window where asset = %s"
        [(row,)] = ledger.connection.execute(query, (visits.asset.name,)).fetchall()
    visits.warehouse.replace_windows(visits.asset, [from_json(WindowOutput, row)])
    cleaned(visits, HOUR)
    assert visits.staged() == [f"v{number}" for number in range(5)]
    assert visits.in_balance()


def test_what_an_undo_brings_back_stays_for_a_week(visits: Visits) -> None:
    before = loaded(visits)
    run(visits, first=DAY, last=DAY)
    assert loaded(visits) != before
    cleaned(visits, timedelta(days=6))
    assert visits.conformed() == 4
    undo_backfill(visits)
    # What the backfill made is superseded now, and what it had replaced is not.
    cleaned(visits, HOUR)
    assert loaded(visits) == before
    assert visits.conformed() == 2
    assert visits.in_balance()


def test_after_a_week_nothing_is_kept_for_an_undo(visits: Visits) -> None:
    run(visits, first=DAY, last=DAY)
    cleaned(visits, timedelta(days=8))
    assert visits.conformed() == 2
    assert visits.in_balance()


def test_files_of_rows_that_retention_removed_go_too(visits: Visits) -> None:
    visits.land(visit(50, 15))
    visits.refresh()
    kept = "slaProperties: [{property: retention, element: staging, value: 10, unit: d}]\ncustomProperties:"
    visits.apply("customProperties:", kept)
    now = datetime(2026, 2, 20, tzinfo=UTC)
    with Ledger(visits.settings) as ledger:
        parts = visits.settings, ledger, visits.warehouse, [visits.asset], now
        maintain(*parts, plan_retention(*parts).checksum)
    cleaned(visits, HOUR)
    assert visits.staged() == ["v50"]
    assert len(visits.kept()) == 5
    # Of the old window those in quarantine, of the new one the good row.
    assert visits.conformed() == 2


def test_files_of_a_window_that_was_held_back_go_too(visits: Visits) -> None:
    cleaned(visits, HOUR)
    landing = "  - {property: landing, value: {"
    visits.apply(landing, f"  - {{property: quarantine, value: {{maxRows: 5}}}}\n{landing}")
    for number in range(3):
        visits.land(visit(200 + number, 1, "south"))
        assert len(visits.refresh().held_back) == 1
    assert visits.conformed() == 8
    assert cleaned(visits, timedelta()).superseded_removed == 0
    assert cleaned(visits, HOUR).superseded_removed == 6
    assert visits.conformed() == 2
    assert visits.staged() == [f"v{number}" for number in range(5)]


def test_files_of_a_window_that_could_not_be_made_go_too(visits: Visits) -> None:
    cleaned(visits, HOUR)
    wrong = "quality: [{type: sql, name: odd, query: select no_such_column from conformed, mustBe: 0}]\n    properties:"
    visits.apply("properties:", wrong)
    visits.land(visit(200, 1))
    assert list(visits.refresh().failed) == [DAY]
    assert visits.conformed() == 4
    cleaned(visits, HOUR)
    assert visits.conformed() == 2
    visits.apply(wrong, "properties:")
    visits.refresh()
    assert len(visits.staged()) == 6
    assert visits.in_balance()
