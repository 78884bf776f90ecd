"""Somebody who reads staging while it changes."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from tests.orchestration.visits import Visits

# What a reader of the fixture `visits` may see: the refresh that is due replaces one row, and brings one into its
# window and one into a window of its own.
BEFORE = (("v1", 1), ("v2", 1))
AFTER = (("v1", 9), ("v2", 1), ("v3", 1), ("v4", 1))
# A refresh of its own process takes seconds, a look a fraction of one.
LOOKS = 3
State = tuple[tuple[object, ...], ...]


def state(visits: Visits) -> State:
    return tuple(visits.rows("visit_id, guests"))


@contextmanager
def reader(visits: Visits) -> Generator[set[State]]:
    """Every state of staging that a reader sees who looks all the while, for the first time before the block begins.
    Fails when a look fails, as one does that finds a table or a file gone, and after fewer than LOOKS looks."""
    seen: set[State] = set()
    failures: list[BaseException] = []
    looks = 0
    first, over = threading.Event(), threading.Event()

    def read() -> None:
        nonlocal looks
        try:
            while not over.is_set():
                seen.add(state(visits))
                looks += 1
                first.set()
        except BaseException as failure:
            failures.append(failure)
            first.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert first.wait(60)
        yield seen
    finally:
        over.set()
        thread.join()
    assert failures == [], f"it could not read: {failures}"
    assert looks >= LOOKS, f"it looked {looks} times only"
