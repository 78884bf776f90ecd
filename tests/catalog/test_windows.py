"""Windows of a span."""

from datetime import UTC, datetime, timedelta

import pytest

from lake_assets.catalog.windows import window_end, window_key, window_start, windows_between

DAY = datetime(2026, 2, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("low", "high", "windows"),
    [
        (DAY, DAY + timedelta(days=2), ["2026-02-01", "2026-02-02"]),
        (DAY, DAY + timedelta(days=2) + MOMENT, ["2026-02-01", "2026-02-02", "2026-02-03"]),
        (DAY - MOMENT, DAY, ["2026-01-31"]),
        (DAY, DAY, []),
        (DAY + MOMENT, DAY + MOMENT, []),
    ],
)
def test_a_span_ends_before_its_upper_bound(low: datetime, high: datetime, windows: list[str]) -> None:
    assert windows_between(low, high, "day") == windows


def test_windows_of_an_hour_follow_each_other_over_midnight() -> None:
    hours = windows_between(DAY - MOMENT, DAY + timedelta(hours=1), "hour")
    assert hours == ["2026-01-31-23:00", "2026-02-01-00:00"]
    assert window_end(hours[0], "hour") == window_start(hours[1], "hour") == DAY
    assert window_key(window_end(hours[0], "hour"), "hour") == hours[1]
