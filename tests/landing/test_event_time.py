"""Event times: the contract's format, read as Kafka's milliseconds."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.model import Field, FieldType
from lake_assets.landing.event_time import event_time_reader

NOON = 1_793_534_400_000  # 2026-11-01T12:00:00Z
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))


def read(value: object, form: str | None = None) -> int:
    return event_time_reader(Field("at", FieldType("timestamp"), format=form))(value)


@pytest.mark.parametrize(
    ("value", "form", "milliseconds"),
    [
        ("2026-11-01T12:00:00Z", None, NOON),
        ("2026-11-01 12:00:00", None, NOON),
        ("2026-11-01T14:00:00+02:00", None, NOON),
        ("2026-11-01T12:00:00.1239", None, NOON + 123),
        (NOON, "epoch_millis", NOON),
        (str(NOON), "epoch_millis", NOON),
        (NOON // 1000, "epoch_seconds", NOON),
        (f"{NOON // 1000}.0", "epoch_seconds", NOON),
        ("01.11.2026 12:00", "dd.MM.yyyy HH:mm", NOON),
        ("1.11.2026 12:00", "d.M.yyyy HH:mm", NOON),
        ("Nov 01, 2026 12:00:00 PM", "MMM dd, yyyy hh:mm:ss a", NOON),
        ("November 01 2026 12:00", "MMMM dd yyyy HH:mm", NOON),
        ("2026-11-01 12:00:00.500", "yyyy-MM-dd HH:mm:ss.SSS", NOON + 500),
        ("2026-11-01T13:30:00+0130", "yyyy-MM-dd'T'HH:mm:ssZ", NOON),
        ("2026-11-01T10:00:00-02:00", "yyyy-MM-dd'T'HH:mm:ssxxx", NOON),
        (f"{NOON // 1000}.5", "epoch_seconds", NOON + 500),
        (NOON / 1000 + 0.25, "epoch_seconds", NOON + 250),
        ("1.11.26 12:00", "d.M.yy HH:mm", NOON),
        ("2026-11", "yyyy-MM", NOON - 12 * 3_600_000),
        ("2026Q4", "yyyy'Q'Q", NOON - 12 * 3_600_000 - 31 * 86_400_000),
        ("01/11/2026 12:00 AM", "dd/MM/yyyy hh:mm a", NOON - 12 * 3_600_000),
    ],
)
def test_a_time_is_read_in_the_format_of_its_contract(value: object, form: str | None, milliseconds: int) -> None:
    assert read(value, form) == milliseconds


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, None),
        ("yesterday", None),
        (NOON, None),
        (True, "epoch_millis"),
        ([NOON], "epoch_seconds"),
        ("1e999", "epoch_millis"),
        ("31.02.2026 12:00", "dd.MM.yyyy HH:mm"),
        ("2026-11-01 12:00", "dd.MM.yyyy HH:mm"),
        ("01.11.2026 12:00 ", "dd.MM.yyyy HH:mm"),
        (20261101, "yyyyMMdd"),
        ("2026Q5", "yyyy'Q'Q"),
        ("2026Q0", "yyyy'Q'Q"),
        ("1.11.2026", "d.M.yy"),
        ("Foo 01 2026 12:00", "MMM dd yyyy HH:mm"),
    ],
)
def test_a_value_in_another_form_is_refused(value: object, form: str | None) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        read(value, form)


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_any_instant_written_in_iso_8601_is_read_back(naive: datetime, offset_minutes: int) -> None:
    instant = naive.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset_minutes)))
    assert read(instant.isoformat()) == (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(INSTANTS)
def test_any_second_written_in_a_pattern_is_read_back(instant: datetime) -> None:
    written = instant.strftime("%d.%m.%Y %H:%M:%S")
    expected = int(instant.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000
    assert read(written, "dd.MM.yyyy HH:mm:ss") == expected
