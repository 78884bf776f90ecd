"""Windows are rebuilt from raw in batches, and restored to what was published before on request."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.operations import backfill as backfilling
from lake_assets.operations.backfill import Backfilled, Undo, plan_backfill, plan_undo
from lake_assets.operations.refresh import publish as refreshing
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.backfills import (
    FIRST,
    LAST,
    judge_strictly,
    loaded,
    run,
    shown,
    undo_backfill,
    with_three_windows,
)
from tests.support.visits import Visits, make_visits, visit


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    return with_three_windows(lake, tmp_path)


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "BATCH_WINDOWS", 1)


def test_a_plan_reports_rows_bytes_and_time_and_changes_nothing(visits: Visits) -> None:
    before = loaded(visits)
    found = plan_backfill(visits.settings, visits.asset, FIRST, "2026-02-02")
    assert found.rows == {"2026-02-01": 3, "2026-02-02": 1}
    assert found.bytes > 0
    assert found.seconds is not None
    assert 0 < found.seconds < 60
    assert (found.missing_raw, found.unfinished_since, found.unrestorable) == ((), None, 0)
    assert loaded(visits) == before
    with Ledger(visits.settings) as ledger:
        assert ledger.pending([visits.asset.name]) == []


def test_the_time_of_windows_that_were_never_built_is_unknown(lake: Settings, tmp_path: Path) -> None:
    fresh = make_visits(lake, tmp_path)
    fresh.land(visit(1, 1))
    assert plan_backfill(lake, fresh.asset, FIRST, LAST).seconds is None


def test_without_a_change_every_window_is_rebuilt_with_the_same_rows(visits: Visits) -> None:
    rows, before = shown(visits), loaded(visits)
    done = run(visits)
    assert done == Backfilled(("2026-02-01", "2026-02-02", "2026-02-03"), {}, {}, ())
    assert shown(visits) == rows
    assert all(at > before[window] for window, at in loaded(visits).items())
    assert visits.in_balance()


def test_only_windows_of_the_range_are_made(visits: Visits) -> None:
    before = loaded(visits)
    run(visits, first="2026-02-02", last="2026-02-02")
    after = loaded(visits)
    assert {window for window in after if after[window] != before[window]} == {"2026-02-02"}


def test_rows_are_judged_again_by_the_applied_contract(visits: Visits) -> None:
    judge_strictly(visits)
    run(visits)
    assert visits.staged() == ["v1", "v5"]
    assert len(visits.kept()) == 3
    assert visits.in_balance()


def test_a_window_that_fails_a_check_is_held_back_and_the_others_go_on(visits: Visits) -> None:
    before = loaded(visits)
    visits.apply("    properties:", "    quality: [{metric: rowCount, mustBeLessThan: 2}]\n    properties:")
    done = run(visits)
    assert done.made == ("2026-02-02", "2026-02-03")
    assert (done.held_back, done.left) == ({"2026-02-01": ("row_count",)}, ())
    assert loaded(visits)["2026-02-01"] == before["2026-02-01"]
    assert visits.in_balance()
    assert undo_backfill(visits) == Undo(("2026-02-02", "2026-02-03"), {})
    assert loaded(visits) == before


def test_what_is_published_after_a_backfill_has_ended_is_no_part_of_it(visits: Visits) -> None:
    visits.apply("    properties:", "    quality: [{metric: rowCount, mustBeLessThan: 2}]\n    properties:")
    assert list(run(visits).held_back) == ["2026-02-01"]
    visits.apply("mustBeLessThan: 2", "mustBeLessThan: 20")
    assert [output.window for output in visits.rebuild("2026-02-01").published] == ["2026-02-01"]
    assert plan_undo(visits.settings, visits.asset) == Undo(("2026-02-02", "2026-02-03"), {})


@pytest.mark.fault("a backfill is killed in the middle", "started again, it makes what is left")
def test_killed_in_the_middle_and_started_again_it_makes_what_is_left(visits: Visits) -> None:
    judge_strictly(visits)
    asked: list[list[str]] = []

    def make(pending: Sequence[Pending]) -> dict[str, str]:
        asked.append([entry.window for entry in pending])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return visits.make(pending)

    with pytest.raises(KeyboardInterrupt):
        run(visits, make)
    first = loaded(visits)["2026-02-01"]
    found = plan_backfill(visits.settings, visits.asset, FIRST, LAST)
    assert list(found.rows) == ["2026-02-02", "2026-02-03"]
    assert found.unfinished_since is not None
    done = run(visits, make)
    assert done.made == ("2026-02-02", "2026-02-03")
    assert loaded(visits)["2026-02-01"] == first
    assert asked == [["2026-02-01"], ["2026-02-02"], ["2026-02-02"], ["2026-02-03"]]
    assert visits.staged() == ["v1", "v5"]
    assert visits.in_balance()
    assert undo_backfill(visits).windows == ("2026-02-01", "2026-02-02", "2026-02-03")
    assert visits.staged() == ["v1", "v2", "v4", "v5"]


@pytest.mark.parametrize(("place", "point"), [(refreshing, "publish_windows"), (Ledger, "dequeue_windows")])
def test_what_the_stack_makes_of_a_killed_backfill_is_part_of_it(
    visits: Visits, monkeypatch: pytest.MonkeyPatch, place: object, point: str
) -> None:
    rows = visits.rows("*")
    judge_strictly(visits)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, point, die)
        with pytest.raises(KeyboardInterrupt):
            run(visits)
    assert [output.window for output in visits.refresh().published] == ["2026-02-01"]
    run(visits)
    assert visits.in_balance()
    assert undo_backfill(visits) == Undo(("2026-02-01", "2026-02-02", "2026-02-03"), {})
    assert visits.rows("*") == rows


def test_what_landed_meanwhile_is_made_before_the_next_windows(visits: Visits) -> None:
    asked: list[list[str]] = []

    def make(pending: Sequence[Pending]) -> dict[str, str]:
        asked.append(sorted({entry.window for entry in pending}))
        made = visits.make(pending)
        if len(asked) == 1:
            visits.land(visit(9, 9), visit(10, 3))
        return made

    run(visits, make)
    assert asked == [["2026-02-01"], ["2026-02-03", "2026-02-09"], ["2026-02-02"], ["2026-02-03"]]
    assert visits.staged() == ["v1", "v10", "v2", "v4", "v5", "v9"]
    assert visits.in_balance()


def test_a_second_backfill_of_an_asset_is_refused_while_one_runs(visits: Visits) -> None:
    refused: list[str] = []

    def make(pending: Sequence[Pending]) -> dict[str, str]:
        for attempt in (lambda: run(visits), lambda: undo_backfill(visits)):
            with pytest.raises(LakeError) as error:
                attempt()
            refused.append(str(error.value))
        return visits.make(pending)

    assert len(run(visits, make).made) == 3
    assert set(refused) == {
        f"a backfill of {visits.asset.name} or its undo is running: wait until it ends, then repeat the command."
    }


def test_no_row_is_lost_or_doubled_while_events_land_and_windows_refresh(visits: Visits) -> None:
    failed: list[BaseException] = []
    over = threading.Event()

    def tried(work: Any) -> Any:
        def attempt() -> None:
            try:
                work()
            except BaseException as error:
                failed.append(error)

        return attempt

    def send() -> None:
        for first in range(100, 150, 10):
            visits.land(*(visit(n, 1 + n % 3) for n in range(first, first + 10)))
        over.set()

    def refresh() -> None:
        while not over.is_set():
            visits.refresh()

    threads = [threading.Thread(target=tried(work)) for work in (send, refresh, lambda: run(visits))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    visits.refresh()
    assert visits.staged() == sorted(["v1", "v2", "v4", "v5", *(f"v{n}" for n in range(100, 150))])
    assert visits.in_balance()


def test_windows_in_which_events_have_landed_since_keep_the_newer_rows(visits: Visits) -> None:
    judge_strictly(visits)
    run(visits)
    visits.land(visit(20, 1))
    reason = "events have landed in it since"
    assert plan_undo(visits.settings, visits.asset).kept == {"2026-02-01": reason}
    visits.refresh()
    done = undo_backfill(visits)
    assert done == Undo(("2026-02-02", "2026-02-03"), {"2026-02-01": "it was rebuilt since"})
    assert visits.staged() == ["v1", "v20", "v4", "v5"]
    assert visits.in_balance()


def test_windows_that_retention_has_taken_from_stay_taken(visits: Visits) -> None:
    run(visits)
    with Ledger(visits.settings) as ledger:
        ledger.connection.execute(
            'insert into ledger.removal (asset, element, "window", sequence, rows, removed_at) '
            "values (%s, 'staging', '2026-02-02', 0, 1, now())",
            (visits.asset.name,),
        )
    DuckLake(visits.settings).remove_windows(visits.asset, "staging", ["2026-02-02"])
    assert undo_backfill(visits).kept == {"2026-02-02": "retention has removed some of it"}
    assert visits.staged() == ["v1", "v2", "v5"]


def test_windows_that_were_not_published_before_stay(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        ledger.connection.execute(
            "delete from ledger.window where asset = %s and \"window\" = '2026-02-03'", (visits.asset.name,)
        )
    run(visits)
    assert undo_backfill(visits).kept == {"2026-02-03": "nothing had been published before"}
    assert visits.in_balance()


def test_windows_without_raw_rows_are_reported_and_left(visits: Visits) -> None:
    before = loaded(visits)
    visits.drop_raw(datetime(2026, 2, 2, tzinfo=UTC))
    assert plan_backfill(visits.settings, visits.asset, FIRST, LAST).missing_raw == ("2026-02-02",)
    assert run(visits).made == ("2026-02-01", "2026-02-03")
    assert loaded(visits)["2026-02-02"] == before["2026-02-02"]


def test_a_backfill_of_other_windows_takes_the_place_of_the_last_one(visits: Visits) -> None:
    run(visits)
    assert plan_backfill(visits.settings, visits.asset, LAST, LAST).unrestorable == 3
    run(visits, first=LAST)
    assert undo_backfill(visits).windows == (LAST,)
