"""Quarantined events are judged again once their contract was fixed: by the refresh that builds every window."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.parse import parse_contract
from lake_assets.cli.new import command as new
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.why import verdict
from lake_assets.operations.propose_fields import propose
from lake_assets.operations.replay import Replayed, replay, select
from lake_assets.settings import Settings
from tests.support.visits import Visits, make_visits, visit


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    """Three good events, and five in quarantine: two by their door, two by their guests, one by both."""
    made = make_visits(lake, tmp_path)
    made.land(
        visit(1, 1), visit(2, 1, "south"), visit(3, 1, guests="many"), visit(4, 2), visit(5, 2, "south"),
        visit(6, 2, "south", 99), visit(7, 3), visit(8, 3, guests=50),
    )  # fmt: skip
    made.refresh()
    assert made.staged() == ["v1", "v4", "v7"]
    return made


def outcome(replayed: Replayed) -> tuple[int, int, int]:
    return replayed.passed, replayed.repeats, replayed.failing


def test_looking_at_what_would_be_judged_changes_nothing(visits: Visits) -> None:
    before = visits.kept()
    found = select(visits.settings, visits.asset, "enum", None, None)
    assert (found.windows, found.rows, found.held_back) == (("2026-02-01", "2026-02-02"), 4, ())
    assert {(b.code, b.field, b.rows, b.windows) for b in found.broken} == {
        ("enum", "door", 3, 2), ("range", "guests", 1, 1), ("type", "guests", 1, 1),
    }  # fmt: skip
    assert visits.kept() == before
    with Ledger(visits.settings) as ledger:
        assert ledger.pending([visits.asset.name]) == []


def test_events_that_pass_now_enter_their_window_and_others_keep_history(visits: Visits) -> None:
    before = set(visits.kept())
    visits.apply("[north]", "[north, south]")
    assert outcome(visits.replay()) == (2, 0, 3)
    assert visits.staged() == ["v1", "v2", "v4", "v5", "v7"]
    assert len(visits.kept()) == 3
    assert set(visits.kept()) < before
    assert visits.in_balance()


def test_a_second_replay_changes_nothing_more(visits: Visits) -> None:
    visits.apply("[north]", "[north, south]")
    visits.replay()
    rows, kept = visits.staged(), visits.kept()
    assert outcome(visits.replay()) == (0, 0, 3)
    assert (visits.staged(), visits.kept()) == (rows, kept)


def test_only_windows_that_match_are_rebuilt(visits: Visits) -> None:
    visits.apply("maximum: 10", "maximum: 60")
    before = dict(visits.rows("visit_id, _loaded_at"))
    replayed = visits.replay(where="field = 'guests' and value = '50'")
    assert (replayed.windows, outcome(replayed)) == (("2026-02-03",), (1, 0, 0))
    after = dict(visits.rows("visit_id, _loaded_at"))
    assert {name for name in after if after[name] != before.get(name)} == {"v7", "v8"}


def test_an_event_that_repeats_a_later_one_is_not_counted_as_passed(visits: Visits) -> None:
    visits.land(visit(1, 1, "south"), visit(2, 1, "north", minute=5))
    visits.refresh()
    visits.apply("[north]", "[north, south]")
    # v1 came again later and now wins; v2 came again better before it was let in, and stays out.
    assert outcome(visits.replay(code="enum", window="2026-02-01")) == (1, 1, 1)
    assert visits.staged().count("v1") == visits.staged().count("v2") == 1
    assert visits.in_balance()


@pytest.mark.fault("two replays at once, while events land", "every event is in its window once")
def test_what_lands_during_two_replays_at_once_is_neither_lost_nor_doubled(visits: Visits) -> None:
    visits.apply("maximum: 10", "maximum: 99")
    failed: list[BaseException] = []

    def tried(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failed.append(error)

        return run

    def send() -> None:
        for first in range(100, 160, 12):
            visits.land(*(visit(n, 1 + n % 3, guests=n) for n in range(first, first + 12)))
            visits.land(*(visit(n, 1 + n % 3, guests=n % 90) for n in range(first, first + 12)))

    threads = [threading.Thread(target=tried(work)) for work in (send, visits.replay, visits.refresh, visits.replay)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    visits.refresh()
    visits.replay()
    assert visits.staged() == sorted(["v1", "v4", "v7", "v8", *(f"v{n}" for n in range(100, 160))])
    assert visits.in_balance()


def test_a_window_without_raw_rows_is_judged_by_its_quarantine(visits: Visits) -> None:
    visits.drop_raw(datetime(2026, 2, 2, tzinfo=UTC))
    before = {row[:2]: row[3] for row in visits.kept()}
    visits.apply("[north]", "[north, south]")
    replayed = visits.replay(window="2026-02-02")
    assert (replayed.failed, outcome(replayed)) == ({}, (1, 0, 1))
    assert visits.staged() == ["v1", "v4", "v5", "v7"]
    assert all(before[row[:2]] == row[3] for row in visits.kept())
    rows, kept = visits.staged(), visits.kept()
    assert outcome(visits.replay(window="2026-02-02")) == (0, 0, 1)
    assert (visits.staged(), visits.kept()) == (rows, kept)
    with Ledger(visits.settings) as ledger:
        (entry,) = ledger.windows(visits.asset, "2026-02-02")
    assert (entry.raw_rows, entry.good, entry.quarantined) == (3, 2, 1)


def test_a_replay_that_dies_leaves_its_windows_to_the_next_run(visits: Visits) -> None:
    visits.apply("[north]", "[north, south]")
    selection = select(visits.settings, visits.asset, None, None, None)

    def die(_: object) -> dict[str, str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(visits.settings, visits.asset, selection, die)
    assert [output.window for output in visits.refresh().published] == list(selection.windows)
    assert visits.staged() == ["v1", "v2", "v4", "v5", "v7"]


def test_a_held_back_window_is_reported_with_its_check(visits: Visits) -> None:
    visits.apply("    properties:", "    quality: [{metric: rowCount, mustBeLessThan: 2}]\n    properties:")
    visits.apply("[north]", "[north, south]")
    replayed = visits.replay()
    assert replayed.held_back == {"2026-02-01": ("row_count",), "2026-02-02": ("row_count",)}
    assert outcome(replayed) == (0, 0, 5)
    assert visits.staged() == ["v1", "v4", "v7"]


def test_unknown_fields_are_proposed_and_appear_without_rebuilding_history(visits: Visits) -> None:
    more = json.loads(visit(20, 4)) | {"Shoe Size": 42, "note": "hi"}
    visits.land(json.dumps(more).encode(), visit(21, 4), json.dumps(json.loads(visit(22, 5)) | {"note": "x"}).encode())
    visits.refresh()
    found = propose(visits.settings, visits.asset)
    assert [(key.name, key.types, key.rows, key.of, key.first, key.last) for key in found.unknown] == [
        ("note", ["string"], 2, 3, "2026-02-04", "2026-02-05"),
        ("Shoe Size", ["integer"], 1, 3, "2026-02-04", "2026-02-04"),
    ]
    assert [(one.name, one.source, one.type.logical) for one in found.fields] == [
        ("shoe_size", "Shoe Size", "integer"), ("note", "note", "string"),
    ]  # fmt: skip
    before = visits.rows("visit_id, _loaded_at")
    visits.apply(found.before, found.after)
    assert visits.refresh().published == []
    assert visits.rows("visit_id, _loaded_at") == before
    visits.land(json.dumps(more | {"visit_id": "v23", "came_at": "2026-02-06T10:00:00"}).encode())
    visits.refresh()
    values = {visit_id: rest for visit_id, *rest in visits.rows("visit_id, shoe_size, note")}
    assert (values["v20"], values["v23"]) == ([None, None], [42, "hi"])
    assert propose(visits.settings, visits.asset).unknown == ()


def test_only_a_window_over_its_budget_is_held_back_and_with_the_cause(visits: Visits) -> None:
    landing = "  - {property: landing,"
    visits.apply(landing, f"  - {{property: quarantine, value: {{maxRows: 2, maxPercent: 60}}}}\n{landing}")
    visits.land(visit(31, 10, "west"), visit(32, 10, "west"), visit(33, 10), visit(34, 11, "west"), visit(35, 11))
    made = visits.refresh()
    assert [output.window for output in made.published] == ["2026-02-11"]
    assert (
        "2 of 3 rows broke a rule (2 enum of door), and its budget is 2 rows and 60 percent"
        in (made.sentences["2026-02-10"])
    )
    with Ledger(visits.settings) as ledger:
        (held,) = ledger.held_back(visits.asset)
    assert (held.window, held.checks, held.sentence) == ("2026-02-10", [BUDGET], made.sentences["2026-02-10"])
    state, _ = verdict(visits.asset, None, [], held)
    assert "its budget is" in state
    assert visits.staged() == ["v1", "v35", "v4", "v7"]
    visits.apply("maxPercent: 60", "maxPercent: 70")
    assert visits.replay(window="2026-02-10").held_back == {}
    assert visits.staged() == ["v1", "v33", "v35", "v4", "v7"]
    assert visits.in_balance()


def test_a_proposal_is_printed_as_a_diff_and_written_to_a_new_file_only(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path))
    visits.land(json.dumps(json.loads(visit(20, 4)) | {"note": "hi"}).encode())
    visits.refresh()
    before, name = visits.path.read_text("utf-8"), visits.asset.name
    shown = CliRunner().invoke(new, [name, "--evolve"])
    assert "+      - {name: note, logicalType: string}" in shown.output
    assert "-version: 1.0.0\n+version: 1.1.0" in shown.output
    out = tmp_path / "next.yaml"
    assert CliRunner().invoke(new, [name, "--evolve", "--out", str(out)]).exit_code == 0
    assert [field.name for field in parse_contract(out.read_text("utf-8"), out).fields][-1] == "note"
    for there in (out, visits.path):
        kept = there.read_text("utf-8")
        refused = CliRunner().invoke(new, [name, "--evolve", "--out", str(there)])
        assert "exists already" in str(refused.exception)
        assert there.read_text("utf-8") == kept
    assert visits.path.read_text("utf-8") == before
