"""Somebody who reads staging while it changes."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from tests.orchestration.visits import Visits

# What a reader of the fixture `visits` may see: the refresh that is due replaces one row, and brings one into its
# window and one into a window of its own.
BEFORE = (("v1", 1), ("v2", 1))
AFTER = (("v1", 9), ("v2", 1), ("v3", 1), ("v4", 1))
State = tuple[tuple[object, ...], ...]


def state(visits: Visits) -> State:
    return tuple(visits.rows("visit_id, guests"))


@contextmanager
def reader(visits: Visits) -> Generator[set[State]]:
    """Every state of staging that somebody who reads all the while gets to see."""
    seen: set[State] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(state(visits))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
