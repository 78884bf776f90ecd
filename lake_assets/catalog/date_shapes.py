"""Which date format a column is written in, decided by evidence over all of its values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d(?::?\d\d)?)?")
_ANY_DATE = re.compile(
    r"(?P<a>\d{4}|\d{1,2}|[A-Za-z]{3,9})(?P<s>[-./ ])(?P<b>\d{1,2}|[A-Za-z]{3,9})(?P<t>[-./ ]|, )(?P<c>\d{4}|\d{1,2})"
    r"(?:(?P<gap>[ T]|, )(?P<h>\d{1,2}):(?P<m>\d\d)(?::(?P<sec>\d\d)(?:\.(?P<f>\d{3}|\d{6}))?)?"
    r"(?P<half> ?[AaPp][Mm])?(?P<zone> ?(?:Z|[+-]\d\d:?\d\d))?)?"
)
_COMPACT = {8: "yyyyMMdd", 14: "yyyyMMddHHmmss"}
_SHORT_YEAR = re.compile(r"\d{1,2}[-./]\d{1,2}[-./]\d{2}(?:[ T].*)?")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_DATE_NAME = re.compile(r"(^|_)(date|day|datum|time|timestamp|ts|at|on|when|created|updated|since|until)(_|$)")
_EPOCHS = {13: ("epoch_millis", 1000), 10: ("epoch_seconds", 1)}
_EPOCH_FROM, _EPOCH_TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_SURE_FROM, _SURE_TO = datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DateShape:
    """A format and how many rows have it. `format` is None for ISO 8601, which needs none.

    `first` is the earliest instant; `doubt` says what the format might be instead, and why that cannot be known.
    """

    format: str | None
    has_time: bool
    has_offset: bool
    fits: int
    first: datetime
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read one value. `pattern` is lenient: d, M, H and h stand for one digit or two."""

    pattern: str
    instant: datetime
    has_time: bool
    has_offset: bool
    short: frozenset[str] = frozenset()
    parts: tuple[int, int] = (0, 0)


def date_shape(values: Mapping[str, int], name: str) -> DateShape | None:
    """The format most rows share, from values with their counts; None when none reads as a date.

    `name` (the field's) decides about numbers, which are dates only where the name or the range says so.
    """
    readings: dict[str, list[tuple[_Reading, int]]] = {}
    for text, times in values.items():
        for reading in _readings(text, bool(_DATE_NAME.search(name))):
            readings.setdefault(reading.pattern, []).append((reading, times))
    if not readings:
        return None
    rows = {pattern: sum(times for _, times in found) for pattern, found in readings.items()}
    best = max(rows, key=lambda pattern: (rows[pattern], _day_variety(readings[pattern]), not pattern.startswith("M/")))
    chosen = readings[best]
    short = frozenset[str]().union(*(reading.short for reading, _ in chosen))
    pattern = re.sub(r"(?<![A-Za-z])([dMHh])(?![A-Za-z])", lambda m: m[1] if m[1] in short else m[1] * 2, best)
    return DateShape(
        format=pattern or None,
        has_time=chosen[0][0].has_time,
        has_offset=chosen[0][0].has_offset,
        fits=rows[best],
        first=_first(reading.instant for reading, _ in chosen),
        doubt=_doubt(best, rows),
    )


def has_short_years(values: Iterable[str]) -> bool:
    """Whether values look like dates whose year has two digits, which nothing can read for certain."""
    return any(_SHORT_YEAR.fullmatch(value.strip()) for value in values)


def _readings(text: str, named_as_date: bool) -> list[_Reading]:
    if text.isascii() and text.isdigit():
        return _number_readings(text, named_as_date)
    iso = _ISO_TIME.fullmatch(text)
    if iso:
        instant = _instant(*iso[1].split("-"), *iso[2].partition(".")[0].split(":"))
        return [_Reading("", instant, True, iso[3] is not None)] if instant else []
    if _ISO_DATE.fullmatch(text):
        instant = _instant(*text.split("-"))
        return [_Reading("", instant, False, False)] if instant else []
    match = _ANY_DATE.fullmatch(text)
    return _pattern_readings(match) if match else []


def _number_readings(text: str, named_as_date: bool) -> list[_Reading]:
    if named_as_date and len(text) in _COMPACT:
        instant = _instant(text[:4], *(text[at : at + 2] for at in range(4, len(text), 2)))
        if instant and 1900 <= instant.year <= 2100:
            return [_Reading(_COMPACT[len(text)], instant, len(text) > 8, False)]
    if len(text) not in _EPOCHS:
        return []
    form, factor = _EPOCHS[len(text)]
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text) / factor)
    if named_as_date:
        likely = _EPOCH_FROM <= instant < _EPOCH_TO
    else:
        likely = form == "epoch_millis" and _SURE_FROM <= instant < _SURE_TO
    return [_Reading(form, instant, True, True)] if likely else []


def _pattern_readings(match: "re.Match[str]") -> list[_Reading]:
    a, b, c = match["a"], match["b"], match["c"]
    if len(a) == 4 and a.isdigit():
        orders = [("yyyy", "M", "d")]
    elif a.isalpha():
        orders = [("M", "d", "yyyy")]
    elif b.isalpha():
        orders = [("d", "M", "yyyy")]
    else:
        orders = [("d", "M", "yyyy"), ("M", "d", "yyyy")]
    time, clock = _time_pattern(match)
    hour = ("h" if match["half"] else "H") if len(match["h"] or "") == 1 else ""
    found: list[_Reading] = []
    for order in orders:
        parts = dict(zip(order, (a, b, c), strict=True))
        if len(parts["yyyy"]) != 4 or not parts["yyyy"].isdigit() or not parts["d"].isdigit():
            continue
        month, letters = _month(parts["M"])
        instant = _instant(parts["yyyy"], str(month), parts["d"], *clock)
        if instant is None:
            continue
        names = [letters if part == "M" else part for part in order]
        short = {part for part in ("d", "M") if len(parts[part]) == 1} | {hour}
        pattern = f"{names[0]}{match['s']}{names[1]}{match['t']}{names[2]}{time}"
        zone = match["zone"]
        found.append(_Reading(pattern, instant, bool(time), zone is not None, frozenset(short), (month, instant.day)))
    return found


def _time_pattern(match: "re.Match[str]") -> tuple[str, tuple[str, ...]]:
    """The lenient pattern of the time of day, and its hour (of 24), minute and second."""
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
        zone = match["zone"].strip()
        pattern += " " if match["zone"].startswith(" ") else ""
        pattern += "'Z'" if zone == "Z" else "xxx" if ":" in zone else "xx"
    return pattern, (str(hour), match["m"], match["sec"] or "0")


def _month(text: str) -> tuple[int, str]:
    """A month's number and its letters; 0 when it is none."""
    if text.isdigit():
        return int(text), "M"
    name = text.lower()
    for number, month in enumerate(_MONTHS, 1):
        if name in (month, month[:3]):
            return number, "MMM" if len(name) == 3 else "MMMM"
    return 0, ""


def _instant(*parts: str) -> datetime | None:
    """Year, month, day and, if given, hour, minute, second as an instant; None when the calendar has none."""
    year, month, day, *clock = (int(part) for part in parts)
    try:
        return datetime(year, month, day, *clock, tzinfo=UTC)
    except ValueError:
        return None


def _day_variety(found: list[tuple[_Reading, int]]) -> int:
    """Days change faster than months: of two readings, the one with more different days is the likelier."""
    return len({reading.parts[1] for reading, _ in found}) - len({reading.parts[0] for reading, _ in found})


def _doubt(best: str, rows: Mapping[str, int]) -> str:
    day_first, month_first = re.match(r"d([-./ ])M", best), re.match(r"M([-./ ])d", best)
    if day_first and day_first[1] != ".":
        other, word = f"M{day_first[1]}d{best[3:]}", "month"
    elif month_first:
        other, word = f"d{month_first[1]}M{best[3:]}", "day"
    else:
        return ""
    return f"may be {word} first: no day above 12 in the sample" if rows.get(other, 0) == rows[best] else ""


def _first(instants: Iterable[datetime]) -> datetime:
    """The earliest instant that belongs to the others: one that lies ten years before most is a mistake."""
    ordered = sorted(instants)
    middle = ordered[len(ordered) // 2]
    return next(instant for instant in ordered if instant > middle - timedelta(days=3650))
