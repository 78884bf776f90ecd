"""Windows: time slices of an asset in UTC, named by their time: 2026-11, 2026-11-22 and 2026-11-22-15:00."""

from datetime import UTC, datetime, timedelta

from lake_assets.catalog.model import WindowSize

_FORMATS: dict[WindowSize, str] = {"month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H:00"}
_HOUR, _DAY, _MORE_THAN_A_MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=32)


def window_start(key: str, size: WindowSize) -> datetime:
    """Return the first instant of a window, with time zone UTC. Raises ValueError for a key of another form."""
    form = "%Y-%m-%d-%H:%M" if size == "hour" else _FORMATS[size]
    return datetime.strptime(key, form).replace(tzinfo=UTC)


def window_end(key: str, size: WindowSize) -> datetime:
    """Return the first instant after a window, with time zone UTC."""
    start = window_start(key, size)
    if size == "month":
        return (start + _MORE_THAN_A_MONTH).replace(day=1)
    return start + (_DAY if size == "day" else _HOUR)


def window_key(instant: datetime, size: WindowSize) -> str:
    """Return the window of an instant (which must have a time zone)."""
    # Not with strftime, which omits the zeros of years before 1000.
    text = instant.astimezone(UTC).isoformat()
    return {"month": text[:7], "day": text[:10], "hour": f"{text[:10]}-{text[11:13]}:00"}[size]


def window_form(size: WindowSize) -> str:
    """Return the format of window names, for strftime of Python and of DuckDB."""
    return _FORMATS[size]


def window_path(key: str) -> str:
    """Return the window as a path segment: HDFS allows no colon."""
    return key.replace(":", "")


def windows_between(low: datetime, high: datetime, size: WindowSize) -> list[str]:
    """Return the windows of all instants with `low` <= instant < `high`, in order; none if there are no instants."""
    windows: list[str] = []
    start = window_start(window_key(low, size), size)
    while low < high and start < high:
        windows.append(window_key(start, size))
        start = window_end(windows[-1], size)
    return windows
