"""Event time as the producer wrote it, in the contract's format, to Kafka's milliseconds."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from lake_assets.catalog.formats import FIRST_SHORT_YEAR, has_quarter, strptime_format
from lake_assets.catalog.model import Field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PATTERNS = {
    "Y": r"(\d{4})", "y": r"(\d{2})", "m": r"(\d{1,2})", "d": r"(\d{1,2})", "b": r"([A-Za-z]{3})",
    "B": r"([A-Za-z]{3,})",
    "a": r"[A-Za-z]{3}", "A": r"[A-Za-z]{3,}", "H": r"(\d{1,2})", "I": r"(\d{1,2})", "p": r"([AaPp][Mm])",
    "M": r"(\d{1,2})", "S": r"(\d{1,2})", "g": r"(\d{1,3})", "f": r"(\d{1,6})", "z": r"([+-]\d{2}(?::?\d{2})?|Z)",
}  # fmt: skip


def event_time_reader(field: Field) -> Callable[[object], int]:
    """Return a function from the field's JSON value to milliseconds since 1970 UTC, rounded down.

    A time without an offset is UTC. The function raises ValueError, TypeError or OverflowError for another value.
    """
    match field.format:
        case None:
            return _iso
        case "epoch_millis":
            return lambda value: _number(value, 1)
        case "epoch_seconds":
            return lambda value: _number(value, 1000)
        case pattern:
            return _pattern_reader(strptime_format(pattern), has_quarter(pattern), field.first_year)


def _iso(value: object) -> int:
    if not isinstance(value, str):
        raise TypeError("an ISO 8601 time is a string")
    instant = datetime.fromisoformat(value)
    return ((instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def _number(value: object, factor: int) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("an epoch time is a number, or the text of one")
    if isinstance(value, int):
        return value * factor
    # Through microseconds, as DuckDB reads it: 0.002 s are 1.99… ms in binary.
    return round(float(value) * factor * 1000) // 1000


def _pattern_reader(form: str, quarters: bool, first_year: int | None) -> Callable[[object], int]:
    letters: list[str] = []

    def translate(part: re.Match[str]) -> str:
        letter = part[1]
        if letter is None:
            # DuckDB reads several blanks as one.
            return re.escape(part[0]).replace("\\ ", " +")
        if letter == "%":
            return "%"
        if "(" in _PATTERNS[letter]:
            letters.append(letter)
        return _PATTERNS[letter]

    regex = re.compile(re.sub(r"%-?([A-Za-z%])|[^%]+", translate, form))

    # Events arrive in order, so the same seconds and days repeat.
    @lru_cache(maxsize=8192)
    def read(text: str) -> int:
        match = regex.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' does not have the contract's format")
        parts = dict(zip(letters, match.groups(), strict=True))
        if quarters:
            parts["m"] = _first_month(int(parts["m"]))
        if first_year is not None:
            parts["Y"] = f"{first_year + (int(parts['y']) - first_year) % 100}"
        return (_instant(parts) - _EPOCH) // _MILLISECOND

    def read_value(value: object) -> int:
        if not isinstance(value, str):
            raise TypeError("a formatted time is a string")
        return read(value)

    return read_value


def _instant(parts: dict[str, str]) -> datetime:
    month = parts.get("m") or _MONTHS.index((parts.get("b") or parts["B"])[:3].lower()) + 1
    hour = int(parts.get("H", 0))
    if "I" in parts:
        hour = int(parts["I"]) % 12 + (12 if parts["p"].lower() == "pm" else 0)
    microsecond = int(parts["f"].ljust(6, "0")) if "f" in parts else int(parts.get("g", "0").ljust(3, "0")) * 1000
    return datetime(
        _year(parts), int(month), int(parts.get("d", 1)),
        hour, int(parts.get("M", 0)), int(parts.get("S", 0)), microsecond,
        tzinfo=_offset(parts["z"]) if "z" in parts else UTC,
    )  # fmt: skip


def _first_month(quarter: int) -> str:
    if not 1 <= quarter <= 4:
        raise ValueError(f"there is no quarter {quarter}")
    return str(3 * quarter - 2)


def _year(parts: dict[str, str]) -> int:
    if "Y" in parts:
        return int(parts["Y"])
    year = int(parts["y"])
    return year + (1900 if year >= FIRST_SHORT_YEAR else 2000)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
