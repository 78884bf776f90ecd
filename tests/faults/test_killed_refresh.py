"""A refresh that dies at any point leaves old rows or new ones, never both or half, and the next one makes it good."""

import signal
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.housekeeping import clean
from tests.support.conditions import wait_until
from tests.support.halted_refresh import POINTS, refresh_apart
from tests.support.staging_readers import AFTER, BEFORE, BY_WINDOW, have_whole_days, reader, state, state_by_day
from tests.support.visits import Visits, visit


def run_housekeeping(visits: Visits) -> None:
    """Run the housekeeping that is due in an hour."""
    clean(visits.settings, [visits.asset], datetime.now(UTC) + timedelta(hours=1, minutes=1), lambda _: None)


@pytest.mark.fault(
    "a refresh is killed -9 between two of its effects, or amid one: files written, tables changed, ledger changed",
    "old rows or new ones, whole; the next run makes it good",
)
# Between two steps it is all the same whether the one has just ended or the next is about to begin.
@pytest.mark.parametrize(
    "point", ["files are written", "tables are half changed", "tables have changed", "ledger has changed", "never"]
)
def test_a_refresh_killed_at_a_point_has_only_the_effects_before_it(visits: Visits, tmp_path: Path, point: str) -> None:
    effects = tmp_path / "effects"
    with reader(visits) as seen:
        with refresh_apart(visits, effects, point) as process:
            assert process.wait(120) == (0 if point == "never" else -signal.SIGKILL)
        assert done(effects) == list(POINTS[: POINTS.index(point) + 1] if point != "never" else POINTS[:-1])
        assert state(visits) == (AFTER if "tables have changed" in done(effects) else BEFORE)
        before = state(visits)
        run_housekeeping(visits)
        assert state(visits) == before, "files that a table shows were taken for files that none shows"
        assert seen <= {BEFORE, AFTER}
        visits.refresh()
    assert seen <= BY_WINDOW
    assert state(visits) == AFTER
    if not point.startswith("tables"):
        run_housekeeping(visits)
        with Ledger(visits.settings) as ledger:
            assert visits.conformed() == sum(
                bool(entry.good) + bool(entry.quarantined) for entry in ledger.windows(visits.asset)
            ), "what a run wrote that died stays for ever"
    assert [row[2] for row in visits.kept()] == [visit(5, 2, "nowhere")]
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"


@pytest.mark.fault(
    "a refresh is killed -9 at random moments, under events and a reader that polls",
    "old rows or new ones, whole; the next run makes it good",
)
def test_killed_at_random_moments_it_never_shows_half_a_window(visits: Visits, tmp_path: Path) -> None:
    """A kill counts that came after the first effect and before the last."""
    random, kills, number = Random(7), 0, 100
    length = length_of_effects(visits, tmp_path / "whole")
    for attempt in range(16):
        rows = [visit(n, 1 + n % 3) for n in range(number, number + 30)]
        number += 30
        before, effects = state_by_day(visits), tmp_path / f"killed{attempt}"
        visits.land(*rows)
        with reader(visits, state_by_day) as seen:
            with refresh_apart(visits, effects, "never") as process:
                wait_until(lambda effects=effects: done(effects), every=0.005)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(random.uniform(0, length))
                process.kill()
            kills += process.returncode == -signal.SIGKILL and done(effects) != list(POINTS[:-1])
            visits.refresh()
        after = state_by_day(visits)
        assert len(after) == len(before) + len(rows)
        assert have_whole_days(seen, before, after)
        assert visits.in_balance()
        if kills == 4:
            break
    assert kills == 4


def done(effects: Path) -> list[str]:
    return effects.read_text("utf-8").splitlines() if effects.exists() else []


def length_of_effects(visits: Visits, effects: Path) -> float:
    """Return the seconds from the first effect to the last of a refresh that is not killed."""
    with refresh_apart(visits, effects, "never") as process:
        wait_until(lambda: done(effects), every=0.005)
        length = wait_until(lambda: done(effects) == list(POINTS[:-1]), every=0.005)
        assert process.wait(120) == 0
    return length
