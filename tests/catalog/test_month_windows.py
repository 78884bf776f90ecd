"""Windows of a month: their names, and that judge and calendar cut them alike."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import WindowSize
from lake_assets.catalog.windows import window_end, window_form, window_key, window_start, windows_between
from lake_assets.compile.bigquery import bigquery_tables
from lake_assets.compile.glue import partition_value, partition_window
from lake_assets.compile.judge import judge_sql
from tests.support.contracts import changed, parse

SIZES: tuple[WindowSize, ...] = ("hour", "day", "month")
INSTANTS = st.datetimes(datetime(1, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))


@given(INSTANTS, st.sampled_from(SIZES))
def test_each_instant_is_in_the_window_of_its_key(instant: datetime, size: WindowSize) -> None:
    key = window_key(instant, size)
    assert window_start(key, size) <= instant < window_end(key, size)
    assert window_key(window_end(key, size), size) != key
    assert window_key(window_end(key, size) - timedelta(microseconds=1), size) == key


def test_windows_between_two_instants_follow_the_calendar() -> None:
    low, high = datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    assert windows_between(low, high, "month") == ["2025-12", "2026-01", "2026-02"]
    assert windows_between(low, low + timedelta(hours=2), "hour") == ["2025-12-31-23:00", "2026-01-01-00:00"]


@settings(max_examples=40, deadline=None)
@given(INSTANTS, st.sampled_from(SIZES), st.sampled_from(["UTC", "Asia/Tokyo"]))
def test_the_judge_puts_a_record_into_the_window_of_its_time(instant: datetime, size: WindowSize, zone: str) -> None:
    asset = parse(changed("window: day", f"window: {size}"))
    with duckdb.connect() as session:
        session.execute(f"set timezone = '{zone}'")
        raw = (
            "(select null::blob as payload, null::blob as _key, 't' as _topic, 0 as _partition, 0::bigint as _offset, "
            f"timestamptz '{instant.isoformat()}' as _timestamp)"
        )
        (micros,) = session.execute(f"select epoch_us(_window) from ({judge_sql(asset, raw)})").fetchone() or (None,)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros) == window_start(
        window_key(instant, size), size
    )


@pytest.mark.parametrize(
    ("size", "window", "digits", "value"),
    [("hour", "0912-04-15-02:00", "0912041502", "0912-04-15 02:00:00"),
     ("day", "1912-04-15", "19120415", "1912-04-15 00:00:00"), ("month", "0001-02", "000102", "0001-02-01 00:00:00")],
)  # fmt: skip
def test_clouds_name_the_partition_of_a_window_in_full(size: WindowSize, window: str, digits: str, value: str) -> None:
    staging, _ = bigquery_tables(replace(parse(), window=size), {})
    assert staging.partition(window) == f"{staging.name}${digits}"
    assert partition_value(window, size) == value
    assert partition_window(value, size) == window


@pytest.mark.parametrize("size", SIZES)
def test_the_form_of_a_key_is_the_same_to_duckdb(size: WindowSize) -> None:
    instant = datetime(2026, 11, 22, 15, tzinfo=UTC)
    (key,) = duckdb.execute("select strftime(timestamp '2026-11-22 15:00:00', $1)", [window_form(size)]).fetchone() or (
        "",
    )
    assert key == window_key(instant, size)
