"""The undo of a backfill brings back what was published before, on this machine and by the doubles of each cloud."""

from pathlib import Path

import pytest

from lake_assets.bucket import copy, remove
from lake_assets.errors import LakeError
from lake_assets.ledger.backfills import published_windows
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations import backfill as backfilling
from lake_assets.operations.backfill import Undo, plan_undo
from lake_assets.settings import Settings
from tests.support.backfills import judge_strictly, run, shown, undo_backfill, with_three_windows
from tests.support.visits import Visits, visit

ALL = ("2026-02-01", "2026-02-02", "2026-02-03")


@pytest.fixture
def visits(target: Settings, tmp_path: Path) -> Visits:
    return with_three_windows(target, tmp_path)


def accounts(visits: Visits) -> list[tuple[str, int, int, str]]:
    with Ledger(visits.settings) as ledger:
        assert ledger.pending([visits.asset.name]) == []
        return [(w.window, w.good, w.quarantined, w.contract_version) for w in ledger.windows(visits.asset)]


def test_an_undo_restores_the_published_rows_exactly_and_can_be_repeated(visits: Visits) -> None:
    before, rows, known = shown(visits), visits.rows("*"), accounts(visits)
    judge_strictly(visits)
    for _ in range(2):
        run(visits)
        assert visits.staged() == ["v1", "v5"]
        assert len(visits.kept()) == 3
        assert plan_undo(visits.settings, visits.asset) == Undo(ALL, {})
        assert undo_backfill(visits) == Undo(ALL, {})
        assert (shown(visits), visits.rows("*"), accounts(visits)) == (before, rows, known)
        assert visits.in_balance()
    with pytest.raises(LakeError, match=r"there is no backfill of .* to undo"):
        undo_backfill(visits)
    visits.land(visit(20, 1))
    assert [output.window for output in visits.refresh().published] == ["2026-02-01"]
    assert visits.staged() == ["v1", "v20", "v4", "v5"]
    assert visits.in_balance()


def test_rows_of_an_older_contract_are_restored_beside_newer_columns(visits: Visits) -> None:
    visits.apply("version: 1.0.0", "version: 1.1.0")
    visits.apply("      - {name: came_at", "      - {name: note, logicalType: string}\n      - {name: came_at")
    run(visits)
    undo_backfill(visits)
    assert visits.rows("visit_id, note") == [("v1", None), ("v2", None), ("v4", None), ("v5", None)]
    with Ledger(visits.settings) as ledger:
        assert {entry.contract_version for entry in ledger.windows(visits.asset)} == {"1.0.0"}
    assert visits.in_balance()


@pytest.mark.fault("the undo of a backfill dies at any step", "the next run or the next undo makes it good")
@pytest.mark.parametrize("point", ["replace_windows", "publish_windows", "dequeue_windows"])
def test_an_undo_that_dies_is_finished_by_the_next_run_or_the_next_undo(
    visits: Visits, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setattr(backfilling, "BATCH_WINDOWS", 1)
    rows = visits.rows("*")
    judge_strictly(visits)
    run(visits)

    places = {"replace_windows": type(visits.warehouse), "publish_windows": backfilling, "dequeue_windows": Ledger}

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def undo_and_die() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(places[point], point, die)
            with pytest.raises(KeyboardInterrupt):
                undo_backfill(visits)

    undo_and_die()
    assert [output.window for output in visits.refresh().published] == ["2026-02-01"]
    assert visits.staged() == ["v1", "v5"]
    assert visits.in_balance()
    undo_and_die()
    assert undo_backfill(visits).windows == ALL
    assert visits.rows("*") == rows
    assert visits.in_balance()


def test_an_undo_without_its_files_reports_it_and_changes_nothing(visits: Visits, tmp_path: Path) -> None:
    run(visits)
    rows = visits.rows("*")
    with Ledger(visits.settings) as ledger:
        lost = published_windows(ledger, visits.asset)[1].kept
    assert lost is not None
    file, aside = lost.good_files[0], str(tmp_path / "aside")
    copy(file, aside)
    remove(file)
    with pytest.raises(LakeError, match=r"2026-02-02 that were published before are missing or unknown, so nothing is"):
        undo_backfill(visits)
    # DuckLake opens the file too, to leave out all of it.
    copy(aside, file)
    assert visits.rows("*") == rows
    assert visits.in_balance()
