"""Retries of failed windows: their schedule, and its description for users. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from lake_assets.catalog.failure import DIED, Cause, kind
from lake_assets.ledger.ledger import Pending

# The window of a failure that stands for all windows of its asset.
ALL = ""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(days=1)
# This many windows that failed with one cause, with none built meanwhile, stand for all windows of their asset.
MANY = 4
# A run that was requested for a failure's next try and did not end in this time counts as lost.
LOST_AFTER = timedelta(minutes=10)

# Windows that a run takes: those without a failure, those whose next try is due, or both.
Lane = Literal["fresh", "retry", "both"]


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a window, or of all windows (`ALL`), of an asset, with the number of tries.

    `next_try` is None when a retry cannot help. `requested_at` is the time a run was requested for the next try.
    """

    asset: str
    window: str
    cause: str
    tries: int
    failed_at: datetime
    next_try: datetime | None
    requested_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        return self.next_try is not None and self.next_try <= now

    def is_requested(self, now: datetime) -> bool:
        """Return True if a run for this try is in flight."""
        return self.requested_at is not None and now - self.requested_at < LOST_AFTER


def pause(tries: int) -> timedelta:
    """Return the back-off after so many failed tries: doubled each time, a day at most."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(tries, 1) - 1, 20))


def next_try(cause: Cause, tries: int, now: datetime) -> datetime | None:
    """Return the time of the next try after so many failed ones; None when a retry cannot help."""
    if not cause.curable:
        return None
    return now + (pause(tries - cause.at_once) if tries > cause.at_once else timedelta())


def select_entries(
    lane: Lane, pending: Sequence[Pending], failures: Sequence[Failure], now: datetime
) -> tuple[list[Pending], dict[str, bool]]:
    """Return the queue entries for a run of this lane, and by asset whether all its windows failed.

    While all windows of an asset fail, none is fresh. When their next try is due they are taken together, and one of
    them must be built before the others.
    """
    by_window = {(failure.asset, failure.window): failure for failure in failures}

    def belongs(entry: Pending) -> bool:
        single, overall = by_window.get((entry.asset, entry.window)), by_window.get((entry.asset, ALL))
        # A window that is set aside stays so, whatever happens to the others.
        if single and single.next_try is None:
            return False
        failure = overall or single
        return lane in ("fresh", "both") if failure is None else lane in ("retry", "both") and failure.is_due(now)

    entries = [entry for entry in pending if belongs(entry)]
    return entries, {entry.asset: (entry.asset, ALL) in by_window for entry in entries}


def requestable(failures: Sequence[Failure], now: datetime) -> list[Failure]:
    """Return the failures without assets whose next try was requested and may still be in flight."""
    waiting = {failure.asset for failure in failures if failure.is_requested(now)}
    return [failure for failure in failures if failure.asset not in waiting]


def stands_for_all(failed: Mapping[str, Cause], made: bool, known: Sequence[Failure]) -> Cause | None:
    """Return the cause if it is that of all windows of an asset.

    `failed` are the windows that failed in a run. `made` is True if another one was built since the first of the
    `known` failures of the asset. With fewer failed windows than `MANY`, each is tried separately.
    """
    causes = list(failed.values())
    if made or not causes or any(cause.kind != causes[0].kind for cause in causes):
        return None
    known_windows = {
        failure.window for failure in known if failure.window != ALL and kind(failure.cause) == causes[0].kind
    }
    return causes[0] if len(known_windows | failed.keys()) >= MANY else None


def is_suspect(failure: Failure) -> bool:
    """Return whether the window may be what its run died of."""
    return failure.window != ALL and kind(failure.cause) == DIED.kind


def causes_of_death(windows: Sequence[str], made: bool, known: Sequence[Failure]) -> dict[str, Cause]:
    """Return the causes to record by window, when a run died while it was making these together.

    Each may be to blame, so all are tried again at once, each by itself. It is the cause of all windows (`ALL`) when as
    many as `MANY` have ended a run by themselves, with none `made` since, or when one was tried for all.
    """
    causes = dict.fromkeys(windows, replace(DIED, at_once=True))
    tries = {failure.window: failure.tries for failure in known}
    # Who has died a second time was alone.
    alone = [failure for failure in known if is_suspect(failure) and failure.tries > 1]
    again = {window: DIED for window in windows if len(windows) == 1 and window in tries}
    if ALL in tries or stands_for_all(again, made, alone):
        causes[ALL] = DIED
    return causes


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failures of an asset with one cause, for users. `windows` is empty when it affects all windows.

    `tries` and `next_try` are those of the window that is tried next.
    """

    asset: str
    windows: tuple[str, ...]
    cause: str
    tries: int
    failed_at: datetime
    next_try: datetime | None

    @property
    def subject(self) -> str:
        if not self.windows:
            return "all windows"
        if len(self.windows) == 1:
            return f"window {self.windows[0]}"
        return f"{len(self.windows):,} windows, {self.windows[0]} to {self.windows[-1]}"

    @property
    def history(self) -> str:
        """Return the number of tries, and the time of the next one."""
        tries = "once" if self.tries == 1 else f"{self.tries} times"
        following = (
            f"the next try is at {self.next_try:%Y-%m-%d %H:%M} UTC"
            if self.next_try
            else "it is set aside, because a retry cannot help"
        )
        return f"Tried {tries}, last at {self.failed_at:%Y-%m-%d %H:%M} UTC; {following}."

    @property
    def remedy(self) -> str:
        """Return what a user can do."""
        if self.next_try:
            return f"It is retried automatically while the stack is up, or at once with `lake run {self.asset}`."
        return f"Correct the contract and run `lake apply`, or retry with `lake run {self.asset}`."

    def __str__(self) -> str:
        return f"{self.asset}: {self.subject} cannot be built: {self.cause.rstrip('.')}. {self.history} {self.remedy}"


def troubles(failures: Sequence[Failure], queued: Collection[tuple[str, str]]) -> list[Trouble]:
    """Group the failures of queued windows (asset and window) by asset and cause."""
    assets = {asset for asset, _ in queued}
    whole = {failure.asset: failure for failure in failures if failure.window == ALL and failure.asset in assets}
    groups_of_all = [_trouble([failure]) for failure in whole.values()]
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        key = (failure.asset, kind(failure.cause))
        covered = failure.asset in whole and kind(whole[failure.asset].cause) == key[1]
        if (failure.asset, failure.window) in queued and not covered:
            groups.setdefault(key, []).append(failure)
    return sorted(
        [*groups_of_all, *map(_trouble, groups.values())], key=lambda trouble: (trouble.asset, trouble.windows)
    )


def trouble_of(asset: str, window: str, failures: Sequence[Failure]) -> Trouble | None:
    """Return the reason a queued window cannot be built; None when there is no failure."""
    failures_of_window = [failure for failure in failures if failure.asset == asset and failure.window == window]
    whole = [failure for failure in failures if failure.asset == asset and failure.window == ALL]
    # A failure of all windows explains why this one is not tried, unless it is set aside itself.
    relevant = [failure for failure in failures_of_window if failure.next_try is None] or whole or failures_of_window
    return _trouble(relevant[:1]) if relevant else None


def _trouble(failures: Sequence[Failure]) -> Trouble:
    first = min(failures, key=lambda failure: (failure.next_try is None, failure.next_try or failure.failed_at))
    windows = tuple(sorted(failure.window for failure in failures if failure.window != ALL))
    return Trouble(first.asset, windows, first.cause, first.tries, first.failed_at, first.next_try)
