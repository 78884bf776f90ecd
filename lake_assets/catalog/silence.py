"""Silence: no events (nobody sends), no data (events come and do not land), or a producer that is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake_assets.catalog.model import Asset

# Producers that were not heard of for so long are no longer expected.
REMEMBERED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far an asset has come: `end` is the sum of its topic's end offsets, last moved at `end_at`, `landed` the
    rows of raw, and `waiting_since` when events began to wait for landing, None while they land. Times have a zone."""

    end: int
    end_at: datetime
    landed: int
    waiting_since: datetime | None = None

    def moved(self, end: int, landed: int, now: datetime) -> "Arrival":
        """The arrival as of `now`."""
        waiting = self.waiting_since if end == self.end else self.waiting_since or now
        return Arrival(end, now if end != self.end else self.end_at, landed, None if landed != self.landed else waiting)


def silence(asset: Asset, arrival: Arrival, commit_interval: timedelta, now: datetime) -> str | None:
    """What is wrong with the asset's arrivals, in a sentence; None when they keep the contract's frequency, or when it
    has none. Events may take two of the sink's commit intervals to land."""
    if asset.frequency is None:
        return None
    if (quiet := now - arrival.end_at) > asset.frequency:
        return (
            f"no events: the topic {asset.topic} has got none for {in_words(quiet)}, and one is expected every "
            f"{in_words(asset.frequency)}; ask its producers."
        )
    since = arrival.waiting_since
    if since and now - since > max(asset.frequency, 2 * commit_interval):
        return (
            f"no data: events come into the topic {asset.topic} and none has landed for {in_words(now - since)}; "
            f"`lake status` says what is wrong with its connector."
        )
    return None


def missing_producers(
    newest: Mapping[str, datetime], frequency: timedelta, commit_interval: timedelta
) -> dict[str, datetime]:
    """The producers (by name, with the time of each one's newest event) that are silent while others go on.

    They are measured by the newest event of all, so that an asset that is silent as a whole misses none of them, and
    have the time in which their events may still be landing.
    """
    if not newest:
        return {}
    expected = max(newest.values()) - frequency - 2 * commit_interval
    return {name: at for name, at in sorted(newest.items()) if at < expected}


def in_words(length: timedelta) -> str:
    """A length of time in its largest fitting unit: '90 s', '25 min', '3 h', '4 days'."""
    seconds = int(length.total_seconds())
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
