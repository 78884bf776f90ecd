"""Windows: time slices of an asset in UTC, named the way Dagster names its daily and hourly partition keys."""

from datetime import UTC, datetime, timedelta

from lake_assets.catalog.model import WindowSize

_FORMATS: dict[WindowSize, str] = {"day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H:%M"}
_LENGTHS: dict[WindowSize, timedelta] = {"day": timedelta(days=1), "hour": timedelta(hours=1)}


def window_start(key: str, size: WindowSize) -> datetime:
    """The first instant of a window, with time zone UTC. Raises ValueError for a key of another form."""
    return datetime.strptime(key, _FORMATS[size]).replace(tzinfo=UTC)


def window_end(key: str, size: WindowSize) -> datetime:
    """The first instant after a window, with time zone UTC."""
    return window_start(key, size) + _LENGTHS[size]


def window_key(instant: datetime, size: WindowSize) -> str:
    """The window that holds an instant (which must have a time zone)."""
    return instant.astimezone(UTC).strftime(_FORMATS[size] if size == "day" else "%Y-%m-%d-%H:00")


def window_path(key: str) -> str:
    """The window as a path segment: HDFS allows no colon."""
    return key.replace(":", "")


def windows_between(low: datetime, high: datetime, size: WindowSize) -> list[str]:
    """The windows that hold an instant of `low` <= instant < `high`, in order of time."""
    found: list[str] = []
    start = window_start(window_key(low, size), size)
    while start < high:
        found.append(window_key(start, size))
        start += _LENGTHS[size]
    return found
