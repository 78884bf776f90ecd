"""`lake forget` leaves nothing of a person on this machine, nor in a cloud as its doubles are one."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake_assets.conform.tokens import make_token_key
from lake_assets.operations.erasure.limits import out_of_reach
from lake_assets.settings import Settings
from tests.support.erasures import (
    STEPS_OF_TARGETS,
    confirm,
    die_at,
    holding,
    key,
    person,
    planned,
    problems,
    raw_rows,
    with_a_person,
)
from tests.support.visits import Visits, visit

_OUT_OF_REACH = {
    "local": "back-ups, logs and copies of tables may hold them",
    "aws": "keeps versions of its objects",
    "gcp": "time travel still shows tables as they were",
}
_LANDING = "{property: landing, value: {"


@pytest.fixture
def visits(target: Settings, tmp_path: Path) -> Visits:
    return with_a_person(target, tmp_path)


def windows(visits: Visits, *keys: str) -> dict[str, tuple[int, int, int]]:
    """Rows of raw, staging and quarantine that would go."""
    found = planned(visits, *keys).windows
    return {window: (rows.raw, rows.staging, rows.quarantine) for window, rows in found.items()}


def test_confirmed_rows_are_nowhere_in_the_lake_and_others_are_unchanged(visits: Visits) -> None:
    assert windows(visits) == {"2026-02-01": (2, 1, 0), "2026-02-02": (1, 0, 1)}
    assert windows(visits, "v999999") == {}
    before = raw_rows(visits)
    kept = [row for row in visits.kept() if key(visits) not in str(row)]
    assert holding(visits, key(visits))
    receipt = confirm(visits)
    assert holding(visits, key(visits)) == []
    assert raw_rows(visits) == {
        place: payload for place, payload in before.items() if key(visits).encode() not in payload
    }
    assert visits.staged() == ["v1", "v3", "v4", "v5"]
    assert visits.kept() == kept
    assert (receipt.done_at is not None, len(receipt.files), receipt.files_deleted > 3) == (True, 3, True)
    assert problems(visits) == []
    assert visits.in_balance()
    again = planned(visits)
    assert (dict(again.windows), [one.id for one in again.earlier]) == ({}, [receipt.id])
    assert planned(visits, "v1").earlier == ()
    sentences = out_of_reach(visits.settings, visits.asset, again)
    assert any(_OUT_OF_REACH[visits.settings.target] in sentence for sentence in sentences)


@pytest.mark.parametrize(("step", "before"), STEPS_OF_TARGETS)
def test_an_erasure_that_dies_between_steps_is_finished_by_its_command(
    visits: Visits, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    checksum = planned(visits).checksum
    die_at(visits, monkeypatch, step, before)
    visits.land(visit(11, 1))
    visits.refresh()
    assert problems(visits) == []
    assert planned(visits).begun is not None
    receipt = confirm(visits, checksum=checksum)
    assert receipt.done_at is not None
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v11", "v3", "v4", "v5"]
    assert problems(visits) == []


def test_rows_without_raw_are_found_by_what_the_tables_keep(visits: Visits) -> None:
    visits.land(visit(9, 1, guests=7))
    visits.refresh()
    for day in (1, 2):
        visits.drop_raw(datetime(2026, 2, day, tzinfo=UTC))
    assert windows(visits) == {"2026-02-01": (0, 1, 0), "2026-02-02": (0, 0, 1)}
    assert windows(visits, "guests=7", "came_at=2026-02-01T10:00:00") == {"2026-02-01": (0, 1, 0)}
    assert windows(visits, "guests=many") == {}
    confirm(visits)
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v3", "v4", "v5", "v9"]


def test_a_token_stands_for_the_value_where_only_staging_has_the_row(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_TOKEN_KEY", str(tmp_path / "token_key"))
    make_token_key(tmp_path / "token_key")
    visits.apply(_LANDING, "{property: protection, value: {tokenise: [visit_id], drop: [guests]}}\n  - " + _LANDING)
    visits.land(visit(person(visits), 3, guests=4), visit(12, 1))
    visits.refresh()
    assert windows(visits, f"visit_id={key(visits)}", "guests=4") == {"2026-02-03": (1, 1, 0)}
    visits.drop_raw(datetime(2026, 2, 3, tzinfo=UTC))
    assert windows(visits)["2026-02-03"] == (0, 1, 0)
    confirm(visits)
    assert windows(visits) == {}
    # The window without raw keeps the other visit, as it was before there were tokens.
    assert visits.rows("count(*)") == [(5,)]


def test_a_window_that_a_check_holds_back_shows_no_row_of_the_subject(visits: Visits) -> None:
    visits.apply(_LANDING, "{property: quarantine, value: {maxRows: 0}}\n  - " + _LANDING)
    visits.land(visit(10, 1))
    assert [one.window for one in visits.refresh().held_back] == ["2026-02-01"]
    confirm(visits)
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v3", "v4", "v5"]
