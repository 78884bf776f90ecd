"""Formats of contracts: of numbers and booleans, and for dates JDK DateTimeFormatter patterns.

Only those patterns are allowed that DuckDB's strptime reads the same way.
"""

import re

EPOCH_FORMATS = ("epoch_millis", "epoch_seconds")
# The name of this format in differences of contracts; in the contract it is a custom property.
DECIMAL_COMMA = "decimal comma"
BLANK = "[ \u00a0\u202f]"
THOUSANDS = {"comma": ",", "point": r"\.", "space": BLANK, "apostrophe": "['\u2019]"}
# Without a separator of thousands in the contract, they are set apart only before a decimal comma: 1.234 alone may be
# either number.
_COMMA_NUMBER = "[0-9]+(?:,[0-9]+)?|[0-9]{1,3}(?:[. \u00a0\u202f][0-9]{3})+,[0-9]+"
# As in India, where the groups before the last three digits are of two.
_LAKHS = "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"

# A year of two digits is one of 1969 to 2068, for POSIX and DuckDB (for Java one of 2000 to 2099).
FIRST_SHORT_YEAR = 69
# DuckDB reads no quarters: `Q` is read as a month from 1 to 4, and then moved to the one that the quarter begins with.
LETTERS: dict[str, str] = {
    "yyyy": "%Y", "uuuu": "%Y", "yy": "%y", "Q": "%-m", "MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B",
    "dd": "%d", "d": "%-d",
    "EEE": "%a", "EEEE": "%A", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "a": "%p", "mm": "%M", "m": "%-M",
    "ss": "%S", "s": "%-S", "SSS": "%g", "SSSSSS": "%f", "Z": "%z", "x": "%z", "xx": "%z", "xxx": "%z",
}  # fmt: skip
_HINTS: dict[str, str] = {
    "YYYY": "the year of a week; the calendar year is 'yyyy'",
    "YY": "the year of a week; the calendar year is 'yyyy'",
    "DD": "the day of the year; the day of the month is 'dd'",
    "D": "the day of the year; the day of the month is 'd'",
    "X": "an offset that may also be Z: leave the format out for ISO 8601, else write 'xxx' or a quoted Z",
}
_PART = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([^A-Za-z'])|(')")


class UnsupportedFormat(ValueError):
    """Raised for a pattern that cannot be read exactly; the message lists the supported letters."""


def number_pattern(decimal_comma: bool, thousands: str, unit: str) -> str | None:
    """Return the pattern (of RE2 and Python) of a number as the contract declares it; None when that is plain.

    A unit must stand before or after each number, with or without a blank between.
    """
    if not (decimal_comma or thousands or unit):
        return None
    number = _unsigned(decimal_comma, thousands)
    if not unit:
        return f"[+-]?(?:{number})"
    sign, word = re.escape(unit), f"{BLANK}?"
    return f"[+-]?{sign}{word}(?:{number})|{sign}{word}[+-](?:{number})|[+-]?(?:{number}){word}{sign}"


def _unsigned(decimal_comma: bool, thousands: str) -> str:
    point = "," if decimal_comma else r"\."
    if not thousands:
        return _COMMA_NUMBER if decimal_comma else rf"[0-9]+(?:{point}[0-9]+)?"
    grouped = f"[1-9][0-9]{{0,2}}(?:{THOUSANDS[thousands]}[0-9]{{3}})+{_LAKHS if thousands == 'comma' else ''}"
    fraction = "" if thousands == "point" and not decimal_comma else f"(?:{point}[0-9]+)?"
    return f"(?:[0-9]+|{grouped}){fraction}"


def strptime_format(pattern: str) -> str:
    """Translate a JDK pattern to DuckDB's strptime format: `dd.MM.yyyy HH:mm` becomes `%d.%m.%Y %H:%M`.

    With an offset letter (Z, x) strptime yields a `timestamp with time zone`, otherwise a `timestamp` that is UTC.
    Raises UnsupportedFormat, also for the epoch formats, which are numbers.
    """
    if pattern in EPOCH_FORMATS:
        raise UnsupportedFormat(f"'{pattern}' is a number, not a pattern.")
    result: list[str] = []
    for part in _PART.finditer(pattern):
        quoted, letter, plain, stray = part.group(1), part.group(2), part.group(3), part.group(4)
        if stray:
            raise UnsupportedFormat(f"'{pattern}' has a quote that is not closed.")
        if letter:
            result.append(_directive(part.group(0)))
        else:
            result.append(((quoted.replace("''", "'") or "'") if quoted is not None else plain).replace("%", "%%"))
    return "".join(result)


def has_quarter(pattern: str) -> bool:
    """Return True if values name a quarter, which means its first day."""
    return any(part[2] == "Q" for part in _PART.finditer(pattern))


def format_problem(pattern: str, *, time: bool) -> str | None:
    """Return the reason, as a sentence, for which a format cannot serve a date or (`time`) a timestamp; else None."""
    if pattern in EPOCH_FORMATS:
        return None if time else f"'{pattern}' is for timestamps; a date needs a pattern such as 'dd.MM.yyyy'."
    try:
        directives = set(re.findall(r"%-?[A-Za-z]", strptime_format(pattern).replace("%%", "")))
    except UnsupportedFormat as error:
        return str(error)
    parts = {directive.replace("-", "") for directive in directives}
    if not parts & {"%Y", "%y"} or not parts & {"%m", "%b", "%B"}:
        return f"'{pattern}' must hold a year (yyyy), a month (MM) and a day (dd); it may leave out the day."
    clock = parts & {"%H", "%I", "%M", "%S", "%g", "%f", "%p", "%z"}
    if clock and "%d" not in parts:
        return f"'{pattern}' holds a time of day and must hold a day (dd) too."
    if has_quarter(pattern) and (parts & {"%d", "%b", "%B"} or len(re.findall("[MQ]", _without_texts(pattern))) > 1):
        return f"'{pattern}' holds a quarter (Q), beside which there can be a year only."
    if not time and clock:
        return f"'{pattern}' holds a time of day, but the field is a date; make it a timestamp."
    if ("%I" in parts) != ("%p" in parts):
        return f"'{pattern}' must hold both the hour of a half day (hh) and its half (a), or HH."
    return None


def _without_texts(pattern: str) -> str:
    return "".join(part[0] for part in _PART.finditer(pattern) if part[1] is None)


def boolean_words(form: str) -> tuple[str, str]:
    """Return the words for true and for false in lower case: `Yes/No` is ("yes", "no")."""
    yes, _, no = form.lower().partition("/")
    return yes, no


def words_problem(form: str) -> str | None:
    """Return the reason, as a sentence, for which a format cannot serve a boolean; else None."""
    yes, no = boolean_words(form)
    if not yes or not no or yes == no or "/" in no:
        return f"'{form}' must be the word for true, a slash and the word for false, such as yes/no."
    return None


def _directive(letters: str) -> str:
    if letters in LETTERS:
        return LETTERS[letters]
    hint = _HINTS.get(letters, _HINTS.get(letters[0], ""))
    raise UnsupportedFormat(f"'{letters}' is not supported{f' ({hint})' if hint else ''}; use {', '.join(LETTERS)}.")
