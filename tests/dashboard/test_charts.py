"""Charts, numbers and times of the dashboard, without a server."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake_assets.applied_files import write_applied
from lake_assets.catalog.board import Chart
from lake_assets.compile.board_layout import row_sizes
from lake_assets.dashboard.freshness import Freshness, built_at, mart_freshness, metric_freshness
from lake_assets.dashboard.palette import BACKGROUND, DARK, LIGHT
from lake_assets.dashboard.reader import NotRead, NotThere, Reader
from lake_assets.dashboard.reader_format import ReaderFormat
from lake_assets.dashboard.vega import chart_data, chart_spec
from lake_assets.dbt.boards import read_boards
from lake_assets.home import Home
from lake_assets.operations.metric_status import INSTANCE
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from tests.support.board_manifests import ASSETS, chart, manifest

ENGLISH = ReaderFormat.of("en-US", "UTC")
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def one(**changes: object) -> Chart:
    [board] = read_boards(manifest([chart(**changes)]), {}, ASSETS).boards
    return board.charts[0]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    return load_settings()


@pytest.mark.parametrize(
    ("locale", "unit", "expected"),
    [
        ("en-US", "", "1,234,567.50"),
        ("de-DE", "", "1.234.567,50"),
        ("de-CH", "", "1\N{RIGHT SINGLE QUOTATION MARK}234\N{RIGHT SINGLE QUOTATION MARK}567.50"),
        ("en-IN", "", "12,34,567.50"),
        ("en-US", "EUR", "€1,234,567.50"),
        ("de-DE", "EUR", "1.234.567,50\N{NO-BREAK SPACE}€"),
        ("en-US", "pieces", "1,234,567.50 pieces"),
        ("no-such-locale-at-all", "", "1,234,567.50"),
    ],
)
def test_number_is_in_the_readers_format(locale: str, unit: str, expected: str) -> None:
    assert ReaderFormat.of(locale, None).number(Decimal("1234567.50"), unit) == expected


def test_whole_number_has_no_decimals() -> None:
    assert ENGLISH.number(1234567) == "1,234,567"
    # Postgres adds whole numbers up to a numeric.
    assert ENGLISH.number(Decimal(1234567)) == "1,234,567"
    assert ENGLISH.number(Decimal("231.00")) == "231.00"
    assert ENGLISH.number(None) == "\N{EN DASH}"


@pytest.mark.parametrize(("locale", "expected"), [("en-US", "14.3%"), ("de-DE", "14,3\N{NO-BREAK SPACE}%")])
def test_fraction_is_a_percentage(locale: str, expected: str) -> None:
    assert ReaderFormat.of(locale, None).number(Decimal("0.14285"), "%") == expected


def test_moment_is_in_the_readers_time_zone() -> None:
    reader = ReaderFormat.of("de-DE", "Europe/Berlin")
    assert reader.moment(datetime(2026, 1, 2, 23, 30, tzinfo=UTC)) == "03.01.2026, 00:30:00 CET"
    assert ReaderFormat.of("en-US", "No/Where").zone.key == "UTC"


def test_charts_have_the_readers_separators_and_months() -> None:
    locale = chart_spec(one(), [("north", 1)], ReaderFormat.of("de-DE", None))["config"]["locale"]
    assert (locale["number"]["decimal"], locale["number"]["thousands"]) == (",", ".")
    assert locale["time"]["months"][2] == "März"
    assert locale["time"]["days"][0] == "Sonntag"
    indian = ReaderFormat.of("en-IN", None).vega_locale
    assert indian["number"]["grouping"] == [3, 2]


def test_each_number_of_a_row_is_a_series() -> None:
    table = chart_data(one(y=["orders", "amount"]), [("north", 3, Decimal("1.5")), (None, 4, None)])
    assert table.to_pydict() == {
        "x": ["north", "north", "\N{EN DASH}", "\N{EN DASH}"],
        "y": [3.0, 1.5, 4.0, None],
        "series": ["orders", "amount", "orders", "amount"],
    }


def test_day_begins_at_midnight_utc_wherever_the_reader_is() -> None:
    days = one(kind="line", x="day", color="region")
    table = chart_data(days, [(date(2026, 3, 1), "north", 3)])
    assert table.to_pydict()["x"] == [datetime(2026, 3, 1, tzinfo=UTC)]
    spec = chart_spec(days, [(date(2026, 3, 1), "north", 3)], ENGLISH)
    assert spec["encoding"]["x"]["scale"] == {"type": "utc"}


def test_specification_stays_the_same_when_only_numbers_change() -> None:
    bars = one()
    first, second = (chart_spec(bars, rows, ENGLISH) for rows in ([("a", 1), ("b", 2)], [("a", 9), ("b", 8)]))
    assert first == second
    assert json.dumps(first)


def test_chart_of_one_series_has_no_legend() -> None:
    assert "color" not in chart_spec(one(), [("north", 1)], ENGLISH)["encoding"]
    assert "color" in chart_spec(one(y=["orders", "amount"]), [("north", 1, 2)], ENGLISH)["encoding"]


@pytest.mark.parametrize(("last", "each"), [(date(2026, 3, 3), True), (date(2026, 3, 31), False)])
def test_axis_of_a_few_days_names_each_day_once(last: date, each: bool) -> None:
    rows = [(date(2026, 3, 2), "north", 1), (last, "north", 2)]
    axis = chart_spec(one(kind="line", x="day"), rows, ENGLISH)["encoding"]["x"]["axis"]
    assert axis["format"] == "%-d %b"
    assert axis.get("tickCount") == ({"interval": "day", "step": 1} if each else None)
    years = chart_spec(one(kind="line", x="day"), [*rows, (date(1948, 6, 2), "north", 3)], ENGLISH)
    assert years["encoding"]["x"]["axis"]["format"] == "%-d %b %Y"


def test_axis_of_months_names_each_month_once() -> None:
    months = [(date(2026, month, 1), 1) for month in (1, 2, 3)]
    axis = chart_spec(one(kind="line", x="day"), months, ENGLISH)["encoding"]["x"]["axis"]
    assert (axis["format"], axis["tickCount"]["interval"]) == ("%b %Y", "month")
    days = chart_spec(one(kind="line", x="day"), [*months, (date(2026, 3, 2), 1)], ENGLISH)
    assert days["encoding"]["x"]["axis"]["format"] == "%-d %b"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["number"] * 5, [4, 1]),
        (["number", "bar", "line", "bar"], [1, 2, 1]),
        (["bar", "line", "line"], [2, 1]),
        (["bar", "table", "table"], [1, 1, 1]),
        ([], []),
    ],
)
def test_rows_of_a_page_hold_charts_of_one_size(kinds: Sequence[Any], expected: Sequence[int]) -> None:
    assert list(row_sizes(kinds)) == expected


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_first_colors_differ_in_brightness_from_the_background(theme: Sequence[str]) -> None:
    def brightness(color: str) -> float:
        """Return the relative luminance of WCAG."""
        parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    background = brightness(BACKGROUND["light" if theme is LIGHT else "dark"])
    for color in theme[:3]:
        darker, lighter = sorted((background, brightness(color)))
        # WCAG asks for it between parts of a chart and what is beside them.
        assert (lighter + 0.05) / (darker + 0.05) >= 3, color
    assert len(set(theme)) == len(theme)


def test_time_of_a_build_is_at_the_end_of_the_comment() -> None:
    assert built_at("Sales.\nBuilt 2026-03-01 10:00:00 UTC.") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert built_at("Built 2026-03-01 10:00:00 UTC. Sales.") is None
    assert built_at(None) is None


class _Answers(Reader):
    """A reader whose queries have one answer."""

    def __init__(self, settings: Settings, answer: tuple[bool, str | None]) -> None:
        super().__init__(settings)
        self._answer = answer

    def rows(self, query: str, fresh: float) -> Sequence[tuple[Any, ...]]:
        return [self._answer]


@pytest.mark.parametrize(("hours", "is_old"), [(1, False), (2, True)])
def test_mart_is_old_when_its_assets_promise_to_be_younger(settings: Settings, hours: int, is_old: bool) -> None:
    write_applied(settings, read_files(settings))
    table = replace(one().table, assets=frozenset({("sales_staging", "sales")}))
    built = NOW - timedelta(hours=hours)
    answers = _Answers(settings, (True, f"Built {built:%Y-%m-%d %H:%M:%S} UTC."))
    freshness = mart_freshness(settings, answers, table, NOW, ENGLISH.duration)
    assert freshness.as_of == built
    expected = "Not built for 2 hours, although its data should be at most 1 hour old"
    assert (freshness.problem or "").startswith(expected) == is_old
    # A mart of assets without a promise has no age that is too high.
    other = mart_freshness(settings, answers, one().table, NOW, ENGLISH.duration)
    assert other == Freshness(built)


def test_mart_that_is_not_built_is_reported(settings: Settings) -> None:
    with pytest.raises(NotThere, match="The mart is not built yet"):
        mart_freshness(settings, _Answers(settings, (False, None)), one().table, NOW, ENGLISH.duration)


@pytest.mark.parametrize(
    ("age", "problem"), [(None, "does not run"), (14, None), (16, "has stopped, so these numbers do not move")]
)
def test_metric_is_live_while_it_writes_its_status(settings: Settings, age: int | None, problem: str | None) -> None:
    if age is not None:
        path = Home(settings.home).metric_status("orders", INSTANCE)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"time": NOW.timestamp() - age}), "utf-8")
    found = metric_freshness(settings, one().table, NOW)
    assert (found.problem is None) == (problem is None)
    assert (problem or "") in (found.problem or "")
    assert found.is_live


def test_database_that_is_down_is_a_sentence_with_what_to_do(settings: Settings) -> None:
    reader = Reader(replace(settings, postgres=replace(settings.postgres, port=1)))
    with pytest.raises(NotRead, match=r"^Postgres at 127\.0\.0\.1:1 does not answer .* start it with `lake up`\.$"):
        reader.rows("select 1", 0)
    reader.close()
