"""Numbers and times as the reader's browser writes them, and the same rules for charts of Vega."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent

DEFAULT = "en"
_PER_MILLE = Decimal("0.001")
MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class ReaderFormat:
    """Format of one reader. `locale` is the browser's, such as `de-DE`; `zone` its time zone."""

    locale: Locale
    zone: ZoneInfo

    @staticmethod
    def of(locale: str | None, zone: str | None) -> "ReaderFormat":
        """Return the format of a browser; a locale or zone that is not known is English, and UTC."""
        try:
            known = Locale.parse(locale or DEFAULT, sep="-")
        except (UnknownLocaleError, ValueError):
            known = Locale.parse(DEFAULT)
        try:
            place = ZoneInfo(zone or "UTC")
        except (OSError, ValueError, KeyError):
            place = ZoneInfo("UTC")
        return ReaderFormat(known, place)

    def number(self, value: Any, unit: str = "") -> str:
        """Return a number with its unit: a currency by its sign, `%` as a percentage."""
        if value is None:
            return MISSING
        if unit == "%":
            return format_percent(Decimal(value).quantize(_PER_MILLE), locale=self.locale, decimal_quantization=False)
        if unit in self.locale.currencies:
            return format_currency(value, unit, locale=self.locale)
        pattern = self.locale.decimal_formats[None].pattern
        if Decimal(value).as_tuple().exponent:
            # So that the digits of a column stand below each other.
            pattern = pattern.replace(".###", ".00")
        number = format_decimal(value, pattern, locale=self.locale)
        return f"{number} {unit}" if unit else number

    def cell(self, value: Any) -> str:
        """Return a value that is no number. Times are those of the lake, in UTC."""
        if value is None:
            return MISSING
        if isinstance(value, datetime):
            return format_datetime(value.astimezone(UTC), "short", locale=self.locale)
        if isinstance(value, date):
            return format_date(value, "medium", locale=self.locale)
        return str(value)

    def moment(self, at: datetime) -> str:
        """Return a time of the clock in the reader's zone, with its day if that is not today."""
        local = at.astimezone(self.zone)
        time = f"{format_time(local, 'medium', locale=self.locale)} {local:%Z}"
        if local.date() == datetime.now(self.zone).date():
            return time
        return f"{format_date(local, 'medium', locale=self.locale)}, {time}"

    def duration(self, period: timedelta) -> str:
        """Return a period in words, which are English as the page is."""
        return format_timedelta(period, threshold=1, locale=DEFAULT)

    @property
    def clock(self) -> str:
        """Return hours and minutes as d3 formats them."""
        return "%H:%M" if "H" in str(self.locale.time_formats["short"].pattern) else "%I:%M %p"

    @cached_property
    def vega_locale(self) -> dict[str, Any]:
        """Return d3's definition of this locale."""
        symbols = self.locale.number_symbols["latn"]
        sizes = self.locale.decimal_formats[None].grouping
        months, days = self.locale.months["format"], self.locale.days["format"]
        periods = self.locale.day_periods["format"]["abbreviated"]
        week = (6, 0, 1, 2, 3, 4, 5)  # d3 begins with Sunday, Babel counts from Monday
        return {
            "number": {
                "decimal": symbols["decimal"],
                "thousands": symbols["group"],
                "grouping": [sizes[0], sizes[1]] if sizes[0] != sizes[1] else [sizes[0]],
                "currency": ["", ""],
                "percent": symbols["percentSign"],
            },
            "time": {
                "dateTime": "%x, %X",
                "date": "%d.%m.%Y",
                "time": "%H:%M:%S",
                "periods": [periods.get("am", "AM"), periods.get("pm", "PM")],
                "days": [days["wide"][number] for number in week],
                "shortDays": [days["abbreviated"][number] for number in week],
                "months": [months["wide"][number] for number in range(1, 13)],
                "shortMonths": [months["abbreviated"][number] for number in range(1, 13)],
            },
        }
