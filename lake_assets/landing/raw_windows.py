"""Windows of Iceberg partition values, which are hours, days or months after 1970 (UTC)."""

import struct
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from lake_assets.catalog.model import WindowSize
from lake_assets.catalog.windows import window_key, window_start

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
# None: months have no fixed number of hours. In order of length.
_HOURS: dict[str, int | None] = {"hour": 1, "day": 24, "month": None}
# Dates that Python has, with room for the end of the window.
_FIRST_YEAR, _LAST_YEAR = 1, 9999
_FIRST, _LAST = ((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _HOUR for year in (_FIRST_YEAR, _LAST_YEAR))


class Summary(Protocol):
    """The range of partition values in one manifest, as Iceberg packs them; None when all values are null."""

    @property
    def lower_bound(self) -> bytes | None: ...
    @property
    def upper_bound(self) -> bytes | None: ...
    @property
    def contains_null(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class WindowCut:
    """Partitions of `hours` hours, or of a month each when that is None, read as windows of `size`."""

    hours: int | None
    size: WindowSize

    def window(self, partition: int | None) -> str:
        """Return the window of a partition value. Records without a timestamp count as of time zero, not as lost."""
        return _key(self._begins(partition or 0), self.size)

    def may_hold(self, summaries: Sequence[Summary] | None, starts: Sequence[int]) -> bool:
        """Return True if a manifest may name files of a window whose start is among `starts` (see `window_starts`)."""
        if not summaries or summaries[0].contains_null or not summaries[0].lower_bound or not summaries[0].upper_bound:
            return True
        first, last = (
            _clamp(self._begins(struct.unpack("<i", bound)[0]))
            for bound in (summaries[0].lower_bound, summaries[0].upper_bound)
        )
        position = bisect_left(starts, (window_start(_key(first, self.size), self.size) - _EPOCH) // _HOUR)
        return position < len(starts) and starts[position] <= last

    def _begins(self, partition: int) -> int:
        """Return the start of a partition, in hours after 1970."""
        if self.hours is not None:
            return partition * self.hours
        year, month = divmod(partition, 12)
        if not _FIRST_YEAR <= 1970 + year < _LAST_YEAR:
            return _FIRST if year < 0 else _LAST
        return (datetime(1970 + year, month + 1, 1, tzinfo=UTC) - _EPOCH) // _HOUR


def window_cut(transforms: Sequence[str], size: WindowSize) -> WindowCut | None:
    """Return how a partition spec divides windows of `size`; None when its partitions are not parts of such windows."""
    lengths = list(_HOURS)
    if len(transforms) != 1 or transforms[0] not in lengths or lengths.index(transforms[0]) > lengths.index(size):
        return None
    return WindowCut(_HOURS[transforms[0]], size)


def window_starts(windows: Collection[str], size: WindowSize) -> list[int]:
    """Return the starts of windows, in hours after 1970, sorted. Raises ValueError for a malformed window."""
    return sorted((window_start(window, size) - _EPOCH) // _HOUR for window in windows)


def _clamp(hours: int) -> int:
    return min(max(hours, _FIRST), _LAST)


@lru_cache(maxsize=65_536)
def _key(hours: int, size: WindowSize) -> str:
    return window_key(_EPOCH + timedelta(hours=_clamp(hours)), size)
