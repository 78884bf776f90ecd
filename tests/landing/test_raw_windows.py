"""Windows of partition values."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.windows import window_key
from lake_assets.landing.raw_windows import WindowCut, window_cut, window_starts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY, HOUR, HOURS_OF_DAY = WindowCut(24, "day"), WindowCut(1, "hour"), WindowCut(1, "day")
MONTH, DAYS_OF_MONTH = WindowCut(None, "month"), WindowCut(24, "month")


@dataclass
class Summary:
    lower_bound: bytes | None
    upper_bound: bytes | None
    contains_null: bool = False


def summary(lower: int, upper: int) -> list[Summary]:
    return [Summary(struct.pack("<i", lower), struct.pack("<i", upper))]


def test_partition_values_count_days_or_hours() -> None:
    assert DAY.window(20_779) == "2026-11-22"
    assert HOUR.window(20_779 * 24 + 15) == "2026-11-22-15:00"
    assert HOURS_OF_DAY.window(20_779 * 24 + 15) == "2026-11-22"
    assert DAYS_OF_MONTH.window(20_779) == "2026-11"
    assert (MONTH.window(56 * 12 + 10), MONTH.window(-1)) == ("2026-11", "1969-12")
    assert (DAY.window(-1), DAY.window(-719_162), HOUR.window(-25)) == ("1969-12-31", "0001-01-01", "1969-12-30-23:00")


@given(st.none() | st.integers(-(2**31), 2**31 - 1))
def test_no_partition_value_is_without_a_window(value: int | None) -> None:
    for cut in (DAY, HOUR, HOURS_OF_DAY, MONTH, DAYS_OF_MONTH):
        assert len(window_starts([cut.window(value)], cut.size)) == 1


def test_a_record_without_a_time_stamp_belongs_to_the_window_of_time_zero() -> None:
    assert DAY.window(None) == "1970-01-01"
    assert HOUR.window(None) == "1970-01-01-00:00"


@pytest.mark.parametrize("transforms", [(), ("month",), ("day", "identity"), ("identity",)])
def test_other_cuts_are_no_windows(transforms: tuple[str, ...]) -> None:
    assert window_cut(transforms, "day") is None


def test_days_cannot_be_read_as_hours_but_hours_as_days() -> None:
    assert window_cut(("day",), "hour") is None
    assert window_cut(("hour",), "day") == HOURS_OF_DAY
    assert window_cut(("month",), "day") is None
    assert window_cut(("day",), "month") == DAYS_OF_MONTH
    assert window_cut(("month",), "month") == MONTH


@given(st.integers(-23_000, 90_000), st.integers(0, 30), st.integers(-5, 40))
def test_a_manifest_of_months_is_opened_for_those_it_holds(first: int, length: int, other: int) -> None:
    wanted = MONTH.window(first + other)
    held = summary(first, first + length)
    assert MONTH.may_hold(held, window_starts([wanted], "month")) == (
        wanted in {MONTH.window(number) for number in range(first, first + length + 1)}
    )


@given(st.sampled_from([DAY, HOUR, HOURS_OF_DAY]), st.integers(-700_000, 500_000), st.integers(0, 500), st.data())
def test_a_manifest_is_opened_only_if_its_range_holds_a_wanted_window(
    cut: WindowCut, lower: int, length: int, data: st.DataObject
) -> None:
    hours = st.integers(lower * cut.hours - 100, (lower + length) * cut.hours + 100)
    wanted = [window_key(EPOCH + timedelta(hours=h), cut.size) for h in data.draw(st.lists(hours, max_size=5))]
    held = {cut.window(value) for value in range(lower, lower + length + 1)}
    opened = cut.may_hold(summary(lower, lower + length), window_starts(wanted, cut.size))
    assert opened == bool(held & set(wanted))


@pytest.mark.parametrize("cut", [DAY, HOUR, HOURS_OF_DAY])
def test_a_manifest_is_opened_for_its_first_and_last_window_only(cut: WindowCut) -> None:
    low, high = ((day * 24 + 5) // cut.hours for day in (20_000, 20_003))
    length = timedelta(hours=24 if cut.size == "day" else 1)
    first, last = (EPOCH + timedelta(hours=value * cut.hours) for value in (low, high))

    def opened(instant: datetime) -> bool:
        return cut.may_hold(summary(low, high), window_starts([window_key(instant, cut.size)], cut.size))

    assert (opened(first), opened(last)) == (True, True)
    assert (opened(first - length), opened(last + length)) == (False, False)


def test_a_manifest_without_a_range_is_opened() -> None:
    starts = window_starts(["2026-11-22"], "day")
    assert DAY.may_hold(None, starts)
    assert DAY.may_hold([Summary(None, None)], starts)
    assert DAY.may_hold([Summary(struct.pack("<i", 1), struct.pack("<i", 1), contains_null=True)], starts)
