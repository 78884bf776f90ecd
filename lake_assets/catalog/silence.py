"""Detection of silence: no events (none are sent), no data (events do not land), or a missing producer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake_assets.catalog.model import Asset

# Producers without events for so long are no longer expected.
REMEMBERED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Progress of an asset's arrivals. Times have a zone.

    `end` is the sum of its topic's end offsets, last changed at `end_at`. `landed` is the number of raw rows.
    `waiting_since` is the time since which events have waited for landing, None while they land.
    """

    end: int
    end_at: datetime
    landed: int
    waiting_since: datetime | None = None

    def moved(self, end: int, landed: int, now: datetime) -> "Arrival":
        """Return the arrival as of `now`."""
        waiting = self.waiting_since if end == self.end else self.waiting_since or now
        return Arrival(end, now if end != self.end else self.end_at, landed, None if landed != self.landed else waiting)


def silence(asset: Asset, arrival: Arrival, commit_interval: timedelta, now: datetime) -> str | None:
    """Return a sentence about arrivals that break the contract's frequency; else None.

    Events may take two of the sink's commit intervals to land.
    """
    if asset.frequency is None:
        return None
    if (quiet := now - arrival.end_at) > asset.frequency:
        return (
            f"no events: the topic {asset.topic} has received none for {in_words(quiet)}, and one is expected every "
            f"{in_words(asset.frequency)}; check its producers."
        )
    since = arrival.waiting_since
    if since and now - since > max(asset.frequency, 2 * commit_interval):
        return (
            f"no data: events come into the topic {asset.topic} and none has landed for {in_words(now - since)}; "
            f"`lake status` reports the cause in its connector."
        )
    return None


def missing_producers(
    newest: Mapping[str, datetime], frequency: timedelta, commit_interval: timedelta
) -> dict[str, datetime]:
    """Return the producers (by name, with the time of each one's newest event) that are silent while others send.

    They are compared with the newest event of all, so that an asset that is silent as a whole has no missing producer.
    The time in which their events may still be landing is allowed for.
    """
    if not newest:
        return {}
    expected = max(newest.values()) - frequency - 2 * commit_interval
    return {name: at for name, at in sorted(newest.items()) if at < expected}


def hide_names(producers: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return the producers by number: for a confidential roster, whose names must not be in checks and logs."""
    return {f"hidden {number}": at for number, at in enumerate(producers.values(), 1)}


def in_words(length: timedelta) -> str:
    """Format a length of time in its largest fitting unit: '90 s', '25 min', '3 h', '4 days'."""
    seconds = int(length.total_seconds())
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
