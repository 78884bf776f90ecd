"""Find the windows that fail among many, and a cause that is common to all of them, in few attempts. Pure."""

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lake_assets.catalog.failure import Cause

# If this many windows, chosen at random, fail of the same cause, the others are not tried.
SAMPLE = 3
# The time a run spends on attempts that isolate failures; the remaining windows then wait like failed ones.
SECONDS = 20.0

Result = TypeVar("Result")


class Failed(Exception):
    """Raised when an attempt failed, with the cause."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.sentence)
        self.cause = cause


@dataclass
class IsolationTime:
    """Seconds that one run may still spend on isolating failures."""

    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic

    def spend(self, since: float) -> None:
        self.seconds -= self.clock() - since

    @property
    def is_over(self) -> bool:
        return self.seconds <= 0


@dataclass
class Isolated(Generic[Result]):
    """Results of the windows that could be built, and the cause of each other one."""

    results: list[Result] = field(default_factory=list[Result])
    failed: dict[str, Cause] = field(default_factory=dict[str, Cause])


def isolate(
    windows: Sequence[str], attempt: Callable[[Collection[str]], Sequence[Result]], isolation_time: IsolationTime
) -> Isolated[Result]:
    """Attempt all windows together; when that fails, find those that can be built without the others.

    `attempt` raises Failed. One attempt and three more find a cause that is common to all windows.
    """
    isolated = Isolated[Result]()
    if cause := _tried(isolated, windows, attempt):
        began = isolation_time.clock()
        chosen = sample(windows)
        causes = [_tried(isolated, [window], attempt) for window in chosen] if len(windows) > 1 else [cause]
        isolation_time.spend(began)
        rest = [window for window in windows if window not in chosen]
        if shared := common(causes):
            isolated.failed |= waiting(rest, shared)
        else:
            _halve(isolated, rest, attempt, isolation_time, cause)
    return isolated


def sample(windows: Sequence[str]) -> list[str]:
    """Return some of the windows at random: never the same ones that happen to fail, while others would not."""
    return random.sample(windows, min(SAMPLE, len(windows)))


def common(causes: Sequence[Cause | None]) -> Cause | None:
    """Return the cause when all attempts failed of the same one."""
    first = causes[0] if causes else None
    return first if first and all(cause and cause.kind == first.kind for cause in causes) else None


def waiting(windows: Sequence[str], cause: Cause) -> dict[str, Cause]:
    """Return the windows as failed of a cause without having been tried themselves."""
    return dict.fromkeys(windows, Cause(cause.sentence, cause.curable, tried=False))


def _tried(
    isolated: Isolated[Result], windows: Sequence[str], attempt: Callable[[Collection[str]], Sequence[Result]]
) -> Cause | None:
    try:
        isolated.results += attempt(windows)
    except Failed as failed:
        if len(windows) == 1:
            isolated.failed[windows[0]] = failed.cause
        return failed.cause
    return None


def _halve(
    isolated: Isolated[Result],
    windows: Sequence[str],
    attempt: Callable[[Collection[str]], Sequence[Result]],
    isolation_time: IsolationTime,
    last: Cause,
) -> None:
    if not windows:
        return
    if isolation_time.is_over:
        # Other windows fail of it, not necessarily these.
        isolated.failed |= waiting(windows, Cause(f"not tried yet, because of others: {last.sentence}"))
        return
    began = isolation_time.clock()
    cause = _tried(isolated, windows, attempt)
    isolation_time.spend(began)
    if cause and len(windows) > 1:
        middle = len(windows) // 2
        for half in (windows[:middle], windows[middle:]):
            _halve(isolated, half, attempt, isolation_time, cause)
