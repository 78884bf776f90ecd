"""Formats of dates mean in DuckDB what they mean in the JDK, and those of numbers and booleans are few."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePath

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.formats import (
    UnsupportedFormat,
    boolean_words,
    format_problem,
    has_quarter,
    strptime_format,
    words_problem,
)
from lake_assets.catalog.model import Field, FieldType
from lake_assets.catalog.parse import parse_contract
from lake_assets.compile.rules import typed
from lake_assets.errors import LakeError
from lake_assets.landing.event_time import event_time_reader
from lake_assets.settings import PROJECT


@pytest.mark.parametrize(
    ("pattern", "text", "instant"),
    [
        ("dd.MM.yyyy HH:mm", "05.01.2026 10:30", "2026-01-05 10:30:00"),
        ("d.M.yyyy", "5.1.2026", "2026-01-05 00:00:00"),
        ("d.M.yyyy", "15.11.2026", "2026-11-15 00:00:00"),
        ("MM/dd/yyyy hh:mm a", "01/05/2026 03:07 PM", "2026-01-05 15:07:00"),
        ("M/d/yyyy h:mm a", "1/5/2026 3:07 AM", "2026-01-05 03:07:00"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2026-01-05T03:07:09.012", "2026-01-05 03:07:09.012"),
        ("yyyy-MM-dd HH:mm:ss.SSSSSS", "2026-01-05 03:07:09.012345", "2026-01-05 03:07:09.012345"),
        ("yyyyMMddHHmmss", "20260105030709", "2026-01-05 03:07:09"),
        ("EEE, d MMM yyyy", "Mon, 5 Jan 2026", "2026-01-05 00:00:00"),
        ("EEEE d MMMM uuuu", "Monday 5 January 2026", "2026-01-05 00:00:00"),
        ("yyyy-MM-dd'T'HH:mm:ssxxx", "2026-01-05T03:07:09+02:00", "2026-01-05 01:07:09"),
        ("yyyy-MM-dd HH:mm:ssZ", "2026-01-05 03:07:09-0230", "2026-01-05 05:37:09"),
        ("yyyy-MM-dd'T'HH:mm'Z'", "2026-01-05T03:07Z", "2026-01-05 03:07:00"),
        ("dd.MM.yyyy '100%' ''HH''", "05.01.2026 100% '07'", "2026-01-05 07:00:00"),
        ("d.M.yy", "5.1.68", "2068-01-05 00:00:00"),
        ("d.M.yy", "5.1.69", "1969-01-05 00:00:00"),
        ("yyyy-MM", "2026-11", "2026-11-01 00:00:00"),
        ("yyyy'Q'Q", "2026Q3", "2026-07-01 00:00:00"),
    ],
)
def test_a_pattern_has_its_documented_meaning_in_duckdb(pattern: str, text: str, instant: str) -> None:
    (read,) = duckdb.execute(
        f"select epoch_us({typed(Field('x', FieldType('timestamp'), format=pattern), '$1')}) "
        "= epoch_us(cast($2 as timestamp))",
        [text, instant],
    ).fetchone() or (None,)
    assert read is True


EVENT_FORMATS = ["d.M.yy H:m:s", "MM/dd/yy hh:mm:ss a", "yyyy-MM", "MMM yyyy", "yyyy'Q'Q", "yyyyMMdd",
                 "EEE, d MMM yyyy HH:mm:ss xx", "EEE MMM dd HH:mm:ss xx yyyy", "dd/MMM/yyyy:HH:mm:ss xx",
                 "yyyy-MM-dd HH:mm:ss.SSS 'UTC'", "epoch_seconds", "epoch_millis"]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    instant=st.datetimes(datetime(1975, 1, 1), datetime(2068, 12, 30), timezones=st.just(UTC)),
    offset=st.integers(-12 * 4, 14 * 4),
    pattern=st.sampled_from(EVENT_FORMATS),
)
def test_a_record_has_the_time_that_its_row_has(instant: datetime, offset: int, pattern: str) -> None:
    """The window of a record and the event time of its row come from two readers of one format."""
    if pattern.startswith("epoch"):
        text = f"{instant.timestamp() * (1000 if pattern == 'epoch_millis' else 1):.3f}"
    else:
        shown = (
            instant.astimezone(timezone(timedelta(minutes=15 * offset)))
            if "%z" in strptime_format(pattern)
            else instant
        )
        directives = strptime_format(pattern).replace("%g", f"{shown.microsecond // 1000:03}")
        if has_quarter(pattern):
            directives = directives.replace("%-m", str((shown.month + 2) // 3))
        text = shown.strftime(directives)
    field = Field("x", FieldType("timestamp"), format=pattern)
    (row,) = duckdb.execute(f"select epoch_ms({typed(field, '$1')})", [text]).fetchone() or (None,)
    assert row == event_time_reader(field)(text)
    if "ss" in pattern or pattern.startswith("epoch"):
        assert abs(row - instant.timestamp() * 1000) < 1000


FORMATS = ["dd.MM.yyyy HH:mm:ss", "d/M/yyyy H:m:s", "yyyyMMddHHmmss", "MM-dd-yyyy hh:mm:ss a", "d MMM yyyy HH:mm:ss",
           "MMMM d, yyyy HH:mm:ss", "yyyy.MM.dd'T'HH:mm:ss", "yyyy-MM-dd HH:mm:ssxxx",
           "yyyy-MM-dd HH:mm:ssxx"]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    instant=st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),
    offset=st.integers(-12 * 4, 14 * 4),
    pattern=st.sampled_from(FORMATS),
)
def test_what_duckdb_writes_in_a_format_it_reads_back(instant: datetime, offset: int, pattern: str) -> None:
    instant = instant.replace(microsecond=0)
    zone = timezone(timedelta(minutes=15 * offset))
    shown = instant.astimezone(zone) if "%z" in strptime_format(pattern) else instant
    directives = strptime_format(pattern)
    text = shown.strftime(directives.replace("%Y", f"{shown.year:04}"))
    if "xxx" in pattern:
        text = f"{text[:-2]}:{text[-2:]}"
    (read,) = duckdb.execute("select epoch(strptime($1, $2))", [text, directives]).fetchone() or (None,)
    assert read == instant.timestamp()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("dd.MM.YYYY", "the calendar year is 'yyyy'"),
        ("DD.MM.yyyy", "the day of the month is 'dd'"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "leave the format out for ISO 8601"),
        ("yyyy-MM-dd VV", "'VV' is not supported; use yyyy"),
        ("yyyy-MM-dd 'T", "a quote that is not closed"),
        ("epoch_millis", "is a number"),
    ],
)
def test_a_letter_that_is_not_supported_is_named_with_those_that_are(pattern: str, hint: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        strptime_format(pattern)
    assert hint in str(caught.value)


@given(pattern=st.text(max_size=20))
def test_any_text_is_a_format_or_is_refused_with_a_sentence(pattern: str) -> None:
    problem = format_problem(pattern, time=True)
    if problem is None:
        assert re.search("%[Yy]", strptime_format(pattern)) if not pattern.startswith("epoch") else True
    else:
        assert problem.endswith((".", "?"))


@pytest.mark.parametrize(
    ("first", "years"),
    [
        (1927, {27: 1927, 68: 1968, 99: 1999, 0: 2000, 26: 2026}),
        (2000, {0: 2000, 69: 2069, 99: 2099}),
        (1850, {50: 1850, 49: 1949}),
    ],
)
def test_years_of_two_digits_are_of_the_hundred_years_from_the_first(first: int, years: dict[int, int]) -> None:
    field = Field("x", FieldType("timestamp"), format="M/d/yy", first_year=first)
    for short, year in years.items():
        text, at = f"3/4/{short:02}", datetime(year, 3, 4, tzinfo=UTC).timestamp() * 1000
        row = duckdb.execute(f"select epoch_ms({typed(field, '$1')})", [text]).fetchone()
        assert (row, event_time_reader(field)(text)) == ((at,), at)
    assert duckdb.execute(f"select {typed(field, '$1')}", ["2/29/00"]).fetchone() == (
        (datetime(2000, 2, 29, tzinfo=UTC),) if first in (1927, 2000) else (None,)
    )


def test_a_format_must_hold_a_whole_day() -> None:
    assert format_problem("epoch_seconds", time=True) is None
    assert format_problem("yyyy-MM-dd", time=True) is None
    assert format_problem("yyyy-MM", time=False) is None
    for half in ("HH:mm", "yyyy", "MM-dd", "yyyy-MM HH:mm", "yyyy-MM-dd hh:mm", "yyyy Q MM", "yyyy Q d"):
        assert format_problem(half, time=True) is not None


def test_the_words_of_a_boolean_are_two_that_differ() -> None:
    assert words_problem("yes/no") is None
    assert boolean_words("Ja/Nein") == ("ja", "nein")
    for form in ("yes", "yes/", "/no", "yes/no/maybe", "Yes/yes", ""):
        assert words_problem(form) == (
            f"'{form}' must be the word for true, a slash and the word for false, such as yes/no."
        )


def test_a_format_that_does_not_fit_a_number_or_a_boolean_is_a_problem() -> None:
    contract = (PROJECT / "tests" / "support" / "orders.yaml").read_text("utf-8")
    added = "    properties:\n      - {{name: extra, logicalType: {}}}\n"
    for text, sentence in (
        ("boolean, logicalTypeOptions: {format: ja}", "'ja' must be the word for true"),
        ("number, physicalType: double, logicalTypeOptions: {format: comma}", "decimalSeparator"),
        ("number, physicalType: double, customProperties: [{property: decimalSeparator, value: point}]", "comma"),
        ("integer, customProperties: [{property: decimalSeparator, value: comma}]", "customProperties"),
        (
            "number, physicalType: double, customProperties: [{property: thousandsSeparator, value: point}]",
            "fractions need decimalSeparator: comma",
        ),
        (
            "number, physicalType: double, customProperties: [{property: thousandsSeparator, value: comma}, "
            "{property: decimalSeparator, value: comma}]",
            "before both thousands and fractions",
        ),
        ("integer, customProperties: [{property: unit, value: 5 €}]", "a unit has no digits"),
        ("date, customProperties: [{property: firstYear, value: 1927}]", "needs a format with yy"),
        ("string, customProperties: [{property: unit, value: $}]", "customProperties"),
    ):
        with pytest.raises(LakeError, match=sentence):
            parse_contract(contract.replace("    properties:\n", added.format(text), 1), PurePath("orders.yaml"))
    for text in (
        "boolean, logicalTypeOptions: {format: ja/nein}",
        "number, physicalType: double, customProperties: [{property: decimalSeparator, value: comma}]",
        "integer, customProperties: [{property: thousandsSeparator, value: point}, {property: unit, value: $}]",
    ):
        parse_contract(contract.replace("    properties:\n", added.format(text), 1), PurePath("orders.yaml"))
