"""A refresh that dies at any point leaves old rows or new ones, never both or half, and the next one makes it good."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from lake_assets.settings import PROJECT, Settings
from tests.faults.refreshing import POINTS
from tests.orchestration.visits import Visits, make_visits, visit

# What a reader may see: the refresh replaces one row, and brings one into its window and one into a window of its own.
BEFORE = (("v1", 1), ("v2", 1))
AFTER = (("v1", 9), ("v2", 1), ("v3", 1), ("v4", 1))


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    made = make_visits(stack, tmp_path)
    made.land(visit(1, 1), visit(2, 1))
    made.refresh()
    made.land(visit(1, 1, guests=9, minute=1), visit(3, 1), visit(4, 2), visit(5, 2, "nowhere"))
    return made


def refresh_apart(visits: Visits, effects: Path, point: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.faults.refreshing", str(visits.path), str(effects), point]
    return subprocess.Popen(command, cwd=PROJECT)


@contextmanager
def reader(visits: Visits) -> Generator[set[tuple[tuple[object, ...], ...]]]:
    """Every state of staging that somebody who reads all the while gets to see."""
    seen: set[tuple[tuple[object, ...], ...]] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(tuple(visits.rows("visit_id, guests")))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


# Between two steps it is all the same whether the one has just ended or the next is about to begin.
@pytest.mark.fault(
    "a refresh is killed -9 between two of its effects: files written, tables changed, ledger changed",
    "old rows or new ones, whole; the next run makes it good",
)
@pytest.mark.parametrize("point", ["files are written", "tables have changed", "ledger has changed", "never"])
def test_killed_at_a_named_point_it_has_done_what_it_said_and_no_more(
    visits: Visits, tmp_path: Path, point: str
) -> None:
    effects = tmp_path / "effects"
    with reader(visits) as seen:
        with refresh_apart(visits, effects, point) as process:
            assert process.wait(120) == (0 if point == "never" else -signal.SIGKILL)
        done = effects.read_text("utf-8").splitlines()
        assert done == list(POINTS[: POINTS.index(point) + 1] if point != "never" else POINTS[:-1])
        assert tuple(visits.rows("visit_id, guests")) == (AFTER if "tables have changed" in done else BEFORE)
        visits.refresh()
    assert seen <= {BEFORE, AFTER}
    assert tuple(visits.rows("visit_id, guests")) == AFTER
    assert [row[2] for row in visits.kept()] == [visit(5, 2, "nowhere")]
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"


@pytest.mark.fault(
    "a refresh is killed -9 at random moments, under events and a reader that polls",
    "old rows or new ones, whole; the next run makes it good",
)
def test_killed_at_random_moments_it_never_shows_half_a_window(visits: Visits, tmp_path: Path) -> None:
    random = Random(7)
    began = time.monotonic()
    with refresh_apart(visits, tmp_path / "whole", "never") as process:
        assert process.wait(120) == 0
    length = time.monotonic() - began
    number = 100
    for attempt in range(4):
        rows = [visit(n, 1 + n % 3) for n in range(number, number + 30)]
        before = tuple(visits.rows("visit_id"))
        visits.land(*rows)
        number += 30
        with reader(visits) as seen:
            with refresh_apart(visits, tmp_path / f"killed{attempt}", "never") as process:
                try:
                    process.wait(random.uniform(0.5, 1) * length)
                except subprocess.TimeoutExpired:
                    process.kill()
            visits.refresh()
        after = tuple(visits.rows("visit_id"))
        assert len(after) == len(before) + 30
        assert {len(state) for state in seen} <= {len(before), len(after)}
        assert visits.in_balance()
