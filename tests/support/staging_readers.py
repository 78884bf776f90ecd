"""A reader of staging while it changes."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from tests.support.visits import Visits

# What a reader of the fixture `visits` may see: the refresh that is due replaces one row, and brings one into its
# window and one into a window of its own.
BEFORE = (("v1", 1), ("v2", 1))
AFTER = (("v1", 9), ("v2", 1), ("v3", 1), ("v4", 1))
# What a run that died had begun, the next one makes a window at a time, in case one of them killed it.
BY_WINDOW = {BEFORE, (("v1", 9), ("v2", 1), ("v3", 1)), (*BEFORE, ("v4", 1)), AFTER}
# A refresh of its own process takes seconds, a look a fraction of one.
LOOKS = 3
State = tuple[tuple[object, ...], ...]


def state(visits: Visits) -> State:
    return tuple(visits.rows("visit_id, guests"))


def state_by_day(visits: Visits) -> State:
    return tuple(visits.rows("came_at::date::text, visit_id, guests"))


def have_whole_days(seen: set[State], before: State, after: State) -> bool:
    """Return whether each state has of each day, which is a window, the rows from before or from after."""
    days = {row[0] for row in (*before, *after)}

    def of(rows: State, day: object) -> State:
        return tuple(row for row in rows if row[0] == day)

    return all(of(one, day) in (of(before, day), of(after, day)) for one in seen for day in days)


@contextmanager
def reader(visits: Visits, look: Callable[[Visits], State] = state) -> Generator[set[State]]:
    """Every state of staging that a reader sees who looks all the while, for the first time before the block begins.
    Fails when a look fails, as one does that finds a table or a file missing, and after fewer than LOOKS looks."""
    seen: set[State] = set()
    failures: list[BaseException] = []
    looks = 0
    first, over = threading.Event(), threading.Event()

    def read() -> None:
        nonlocal looks
        try:
            while not over.is_set():
                seen.add(look(visits))
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
