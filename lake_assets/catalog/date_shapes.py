"""Date format of a column, inferred from all of its values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lake_assets.catalog.formats import EPOCH_FORMATS, FIRST_SHORT_YEAR

_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d(?::?\d\d)?)?")
_WEEKDAY = r"(?:(?P<w>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6})(?P<ws>,? ))?"
_CLOCK = r"(?P<h>\d{1,2}):(?P<m>\d\d)(?::(?P<sec>\d\d)(?:\.(?P<f>\d{3}|\d{6}))?)?"
_ZONE = r"Z|UTC|GMT|[+-]\d\d:?\d\d"
_ANY_DATE = re.compile(
    rf"{_WEEKDAY}(?P<a>\d{{4}}|\d{{1,2}}|[A-Za-z]{{3,9}})(?P<s>[-./ ])(?P<b>\d{{1,2}}|[A-Za-z]{{3,9}})(?P<t>[-./ ]|, )"
    rf"(?P<c>\d{{4}}|\d{{1,2}})(?:(?P<gap>[ T:]|, ){_CLOCK}(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:{_ZONE}))?)?"
)
# The form of C's ctime and Twitter, with the year last.
_YEAR_LAST = re.compile(
    rf"{_WEEKDAY}(?P<a>[A-Za-z]{{3}})(?P<s> )(?P<b>\d{{1,2}})(?P<gap> ){_CLOCK}(?P<zone> (?:{_ZONE}))? (?P<c>\d{{4}})"
)
_YEAR_MONTH = re.compile(r"(\d{4})([-/ ]|, )(\d{1,2}|[A-Za-z]{3,9})")
_MONTH_YEAR = re.compile(r"(\d{1,2}|[A-Za-z]{3,9})([-/ ]|, )(\d{4})")
_MONTH_SHORT_YEAR = re.compile(r"([A-Za-z]{3,9})([-/ ])(\d{2})")
# Sep-25 is a month of 2025 or the 25th of a month.
_DAY_OR_YEAR = re.compile(r"MMMM?[-/ ]yy")
_QUARTER = re.compile(r"(\d{4})([- ]?)Q([1-4])")
_COMPACT = {
    6: (("yyyyMM", (0, 4), (4, 6), None),),
    8: (
        ("yyyyMMdd", (0, 4), (4, 6), (6, 8)),
        ("MMddyyyy", (4, 8), (0, 2), (2, 4)),
        ("ddMMyyyy", (4, 8), (2, 4), (0, 2)),
    ),
    14: (("yyyyMMddHHmmss", (0, 4), (4, 6), (6, 8)),),
}  # fmt: skip
_FRACTION = re.compile(r"(\d{10}|\d{13})\.\d{1,9}")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_DATE_NAME = re.compile(
    r"(^|_)(date|datetime|dt|day|datum|time|timestamp|ts|at|on|when|created|updated|since|until)(_|$)"
)
_MONTH_NAME = re.compile(r"(^|_)(month|yearmonth|period|ym|yyyymm)(_|$)")
_EPOCHS = {13: ("epoch_millis", 1000), 10: ("epoch_seconds", 1)}
_EPOCH_FROM, _EPOCH_TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_SURE_FROM, _SURE_TO = datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DateShape:
    """A format and the number of rows that have it. `format` is None for ISO 8601, which needs none.

    `doubt` names another possible format, and why it cannot be excluded. `fit` are the values that have the format,
    `instants` their times.
    """

    format: str | None
    has_time: bool
    has_offset: bool
    fits: int
    doubt: str = ""
    fit: frozenset[str] = frozenset()
    instants: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class _Reading:
    """One reading of one value. `pattern` is lenient: d, M, H and h match one digit or two."""

    pattern: str
    instant: datetime
    has_time: bool
    has_offset: bool
    short: frozenset[str] = frozenset()
    parts: tuple[int, int] = (0, 0)


def date_shape(values: Mapping[str, int], name: str) -> DateShape | None:
    """Return the format that most rows share, from values with their counts; None when no value is a date.

    Numbers are dates only if `name` (the field's) or their range indicates it.
    """
    # Days and times in ISO 8601 share a pattern, but a field reads only one of both: the one with more rows counts.
    by_kind: dict[tuple[str, bool], list[tuple[str, _Reading, int]]] = {}
    for text, times in values.items():
        for reading in _readings(text, name):
            by_kind.setdefault((reading.pattern, reading.has_time), []).append((text, reading, times))
    readings: dict[str, list[tuple[str, _Reading, int]]] = {}
    for (pattern, _), found in sorted(by_kind.items(), key=lambda kind: _rows(kind[1])):
        readings[pattern] = found
    if not readings:
        return None
    rows = {pattern: _rows(found) for pattern, found in readings.items()}
    # ISO 8601 is also a pattern of digits, which reads more only where some are not padded.
    best = max(rows, key=lambda pattern: (rows[pattern], *_likelihood(pattern, readings[pattern])))
    chosen = [reading for _, reading, _ in readings[best]]
    if _DAY_OR_YEAR.fullmatch(best) and all(1 <= reading.instant.year % 100 <= 31 for reading in chosen):
        return None
    short = frozenset[str]().union(*(reading.short for reading in chosen))
    pattern = re.sub(r"(?<![A-Za-z])([dMHh])(?![A-Za-z])", lambda m: m[1] if m[1] in short else m[1] * 2, best)
    return DateShape(
        format=pattern or None,
        has_time=chosen[0].has_time,
        has_offset=chosen[0].has_offset,
        fits=rows[best],
        doubt=_doubt(best, rows),
        fit=frozenset(text for text, *_ in readings[best]),
        instants=tuple(reading.instant for reading in chosen),
    )


def _rows(readings: list[tuple[str, _Reading, int]]) -> int:
    return sum(times for *_, times in readings)


def short_year(text: str) -> int | None:
    """Return the year of two digits that a date ends with."""
    match = _ANY_DATE.fullmatch(text) or _MONTH_SHORT_YEAR.fullmatch(text)
    return int(text[-2:]) if match and re.search(r"\D\d\d$", text) and not match.groupdict().get("h") else None


def whole_year(short: int) -> int:
    """Return the year that two digits stand for where a contract does not set it."""
    return int(_whole_year(f"{short:02}"))


def named_as_date(name: str) -> bool:
    """Return True if a field's name indicates dates or times."""
    return bool(_DATE_NAME.search(name))


def _readings(text: str, name: str) -> list[_Reading]:
    if text.isascii() and text.isdigit():
        return _number_readings(text, name)
    if fraction := _FRACTION.fullmatch(text):
        return [
            reading
            for reading in _number_readings(fraction[1], name)
            if named_as_date(name) and reading.pattern in EPOCH_FORMATS
        ]
    text = re.sub(" +", " ", text)
    readings = _month_readings(text, name)
    if iso := _ISO_TIME.fullmatch(text):
        instant = _instant(*iso[1].split("-"), *iso[2].partition(".")[0].split(":"))
        readings += [_Reading("", instant, True, iso[3] is not None)] if instant else []
    elif _ISO_DATE.fullmatch(text):
        instant = _instant(*text.split("-"))
        readings += [_Reading("", instant, False, False)] if instant else []
    if match := _ANY_DATE.fullmatch(text):
        readings += _pattern_readings(match, name)
    elif match := _YEAR_LAST.fullmatch(text):
        readings += _year_last_readings(match)
    return readings


def _number_readings(text: str, name: str) -> list[_Reading]:
    named = named_as_date(name)
    found: list[_Reading] = []
    if named or (len(text) == 6 and _MONTH_NAME.search(name)):
        for pattern, *places in _COMPACT.get(len(text), ()):
            parts = [text[place[0] : place[1]] if place else "1" for place in places]
            instant = _instant(*parts, *(text[at : at + 2] for at in range(8, len(text), 2)))
            if instant and 1900 <= instant.year <= 2100:
                parts = (instant.month, instant.day)
                found.append(_Reading(pattern, instant, len(text) > 8, False, parts=parts))
    if len(text) not in _EPOCHS:
        return found
    form, factor = _EPOCHS[len(text)]
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text) / factor)
    if named:
        likely = _EPOCH_FROM <= instant < _EPOCH_TO
    else:
        likely = form == "epoch_millis" and _SURE_FROM <= instant < _SURE_TO
    return [*found, _Reading(form, instant, True, True)] if likely else found


def _month_readings(text: str, name: str) -> list[_Reading]:
    """Read a month or a quarter with its year, as its first day."""
    if quarter := _QUARTER.fullmatch(text):
        instant = _instant(quarter[1], str(3 * int(quarter[3]) - 2), "1")
        return [_Reading(f"yyyy{quarter[2]}'Q'Q", instant, False, False)] if instant else []
    if match := _YEAR_MONTH.fullmatch(text):
        year, separator, text_of_month = match.groups()
        sure = separator == "-" or text_of_month.isalpha()
    elif match := _MONTH_YEAR.fullmatch(text):
        text_of_month, separator, year = match.groups()
        sure = text_of_month.isalpha()
    elif match := _MONTH_SHORT_YEAR.fullmatch(text):
        text_of_month, separator, year = match.groups()
        sure, year = True, _whole_year(year)
    else:
        return []
    if not (sure or named_as_date(name) or _MONTH_NAME.search(name)):
        return []
    month, letters = _month(text_of_month)
    instant = _instant(year, str(month), "1")
    if instant is None or not 1800 <= instant.year <= 2200:
        return []
    digits = "yy" if match.re is _MONTH_SHORT_YEAR else "yyyy"
    short = frozenset({"M"}) if len(text_of_month) == 1 else frozenset[str]()
    return [
        _Reading(f"{digits}{separator}{m}" if match.re is _YEAR_MONTH else f"{m}{separator}{digits}", instant, False,
                 False, short)
        for m in ((letters, "MMMM") if text_of_month.lower() == "may" else (letters,))
    ]  # fmt: skip


def _year_last_readings(match: "re.Match[str]") -> list[_Reading]:
    month, letters = _month(match["a"])
    instant = _instant(match["c"], str(month), match["b"], match["h"], match["m"], match["sec"] or "0")
    if instant is None:
        return []
    short = {part for part, key in (("d", "b"), ("H", "h")) if len(match[key]) == 1}
    clock, zone = "H:mm" + (":ss" if match["sec"] else "") + (f".{'S' * len(match['f'])}" if match["f"] else ""), ""
    if match["zone"]:
        zone = _zone_pattern(match["zone"])
    pattern = f"{_weekday_pattern(match)}{letters} d {clock}{zone} yyyy"
    return [_Reading(pattern, instant, True, match["zone"] is not None, frozenset(short), (month, instant.day))]


def _pattern_readings(match: "re.Match[str]", name: str) -> list[_Reading]:
    a, b, c = match["a"], match["b"], match["c"]
    year = "yyyy" if len(c) == 4 or len(a) == 4 else "yy"
    if len(a) == 4 and a.isdigit():
        orders = [("yyyy", "M", "d")]
    elif year == "yy" and not _may_have_short_year(match, name):
        return []
    elif a.isalpha():
        orders = [("M", "d", year)]
    elif b.isalpha():
        orders = [("d", "M", year)]
    else:
        orders = [("d", "M", year), ("M", "d", year)]
    time, clock = _time_pattern(match)
    hour = ("h" if match["half"] else "H") if len(match["h"] or "") == 1 else ""
    found: list[_Reading] = []
    for order in orders:
        parts = dict(zip(order, (a, b, c), strict=True))
        digits = parts[order[2 if order[0] != "yyyy" else 0]]
        if len(digits) != len(year) or not digits.isdigit() or not parts["d"].isdigit():
            continue
        month, letters = _month(parts["M"])
        instant = _instant(_whole_year(digits), str(month), parts["d"], *clock)
        if instant is None:
            continue
        names = [letters if part == "M" else part for part in order]
        short = {part for part in ("d", "M") if len(parts[part]) == 1} | {hour}
        pattern = f"{_weekday_pattern(match)}{names[0]}{match['s']}{names[1]}{match['t']}{names[2]}{time}"
        zone = match["zone"]
        found.append(_Reading(pattern, instant, bool(time), zone is not None, frozenset(short), (month, instant.day)))
    return found


def _may_have_short_year(match: "re.Match[str]", name: str) -> bool:
    """Return True if three numbers, the last of two digits, can be a date: `1.2.10` may be a version."""
    a, b, c = match["a"], match["b"], match["c"]
    if len(c) != 2:
        return False
    padded = len(a) == len(b) == 2 and match["s"] == match["t"]
    return a.isalpha() or b.isalpha() or match["s"] == match["t"] == "/" or padded or named_as_date(name)


def _whole_year(digits: str) -> str:
    if len(digits) == 4:
        return digits
    return str(int(digits) + (1900 if int(digits) >= FIRST_SHORT_YEAR else 2000))


def _weekday_pattern(match: "re.Match[str]") -> str:
    return f"{'EEE' if len(match['w']) == 3 else 'EEEE'}{match['ws']}" if match["w"] else ""


def _zone_pattern(text: str) -> str:
    zone = text.strip()
    letters = f"'{zone}'" if zone.isalpha() else "xxx" if ":" in zone else "xx"
    return " " + letters if text.startswith(" ") else letters


def _time_pattern(match: "re.Match[str]") -> tuple[str, tuple[str, ...]]:
    """Return the lenient pattern of the time of day, and its hour (of 24), minute and second."""
    if match["h"] is None:
        return "", ("0",)
    half = (match["half"] or "").strip().lower()
    hour = int(match["h"])
    hour = hour % 12 + (12 if half == "pm" else 0) if half and 1 <= hour <= 12 else 99 if half else hour
    gap = "'T'" if match["gap"] == "T" else match["gap"]
    pattern = f"{gap}{'h' if half else 'H'}:mm"
    if match["sec"]:
        pattern += ":ss"
    if match["f"]:
        pattern += "." + "S" * len(match["f"])
    if half:
        pattern += " a" if match["half"].startswith(" ") else "a"
    if match["zone"]:
        pattern += _zone_pattern(match["zone"])
    return pattern, (str(hour), match["m"], match["sec"] or "0")


def _month(text: str) -> tuple[int, str]:
    """Return a month's number and its letters; 0 when it is not a month."""
    if text.isdigit():
        return int(text), "M"
    name = text.lower()
    for number, month in enumerate(_MONTHS, 1):
        if name in (month, month[:3]):
            return number, "MMM" if len(name) == 3 else "MMMM"
    return 0, ""


def _instant(*parts: str) -> datetime | None:
    """Return year, month, day and, if given, hour, minute, second as an instant; None when the date does not exist."""
    year, month, day, *clock = (int(part) for part in parts)
    try:
        return datetime(year, month, day, *clock, tzinfo=UTC)
    except ValueError:
        return None


def _likelihood(pattern: str, found: list[tuple[str, _Reading, int]]) -> tuple[bool, int, bool, bool]:
    """Rank readings that explain equally many rows: larger is likelier.

    Days change faster than months, so the reading with more different days is likelier.
    """
    parts = [reading.parts for _, reading, _ in found]
    variety = len({day for _, day in parts}) - len({month for month, _ in parts})
    return not pattern, variety, pattern[:1] in ("y", "e"), not pattern.startswith("M/")


def _doubt(best: str, rows: Mapping[str, int]) -> str:
    doubts: list[str] = []
    day_first, month_first = re.match(r"(d)([-./ ])M", best), re.match(r"(M)([-./ ])d", best)
    other, word = "", ""
    if day_first and day_first[2] != ".":
        other, word = f"M{day_first[2]}d{best[3:]}", "month"
    elif month_first:
        other, word = f"d{month_first[2]}M{best[3:]}", "day"
    elif best in ("MMddyyyy", "ddMMyyyy"):
        other, word = ("ddMMyyyy", "day") if best == "MMddyyyy" else ("MMddyyyy", "month")
    if other and rows.get(other, 0) == rows[best]:
        doubts.append(f"may be {word} first: no day above 12 in the sample")
    if re.search(r"(?<!y)yy(?!y)", best):
        doubts.append(
            f"is the year 1969 to 2068? Two digits are read so: {FIRST_SHORT_YEAR} is 19{FIRST_SHORT_YEAR}, 68 is "
            "2068, and firstYear says otherwise"
        )
    return "; ".join(doubts)
