"""The type of a sampled column: the narrowest that nearly all of its values have, with the reason."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from lake_assets.catalog.date_shapes import date_shape
from lake_assets.catalog.fields import MOST_PRECISION, looks_like_money, looks_like_ratio
from lake_assets.catalog.formats import BLANK, DECIMAL_COMMA, boolean_words, number_pattern
from lake_assets.catalog.sample import Cell

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")
# Statistics packages write 0.5 as .5.
_NUMBER = re.compile(r"-?(0|[1-9]\d*|(?=\.\d))(?:\.(\d+))?")
_FLOATING = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_ANY_COMMA = re.compile(r"-?\d{1,3}(?:[. ]?\d{3})*,\d+|-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# What proves how numbers are written: a value that cannot be read in any other way. By the separator of thousands, and
# whether the comma is the decimal one.
_PROOFS: tuple[tuple[str, bool, "re.Pattern[str]"], ...] = (
    ("", True, re.compile(r"^[-+]?0,|,(?!\d{3}$)|[.\s]\d{3},")),
    ("point", True, re.compile(r"\d\.\d{3},\d")),
    ("point", False, re.compile(r"\.\d{3}\.\d{3}$")),
    ("comma", False, re.compile(r",\d{3}\.|,\d{2,3},\d{3}")),
    ("space", True, re.compile(rf"\d{BLANK}\d{{3}},\d")),
    ("space", False, re.compile(rf"\d{BLANK}\d{{3}}(?:$|\.|{BLANK})")),
    ("apostrophe", False, re.compile(r"\d['\u2019]\d{3}")),
)
# The sign or code of a currency, or the sign of a share.
_CURRENCY = (
    r"(?:[A-Z]{1,2})?[$\u00a2-\u00a5\u20a0-\u20cf]|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|"
    r"PLN|RON|RUB|SEK|SGD|TRY|USD|ZAR"
)
_DIGITS = r"\d(?:[\d.,'\u2019\s]*\d)?"
_WITH_UNIT = re.compile(
    rf"(?P<sign>[-+]?)(?:(?P<before>{_CURRENCY}|[%\u2030]){BLANK}?(?P<inner>[-+]?)(?P<first>{_DIGITS})"
    rf"|(?P<last>{_DIGITS}){BLANK}?(?P<after>{_CURRENCY}|[%\u2030]))"
)
_SHARES = ("%", "\u2030")
# By how money is written, the sign between its thousands.
_OF_MONEY = {("comma", False): ",", ("point", True): "."}
_FEWEST_LENGTHS, _FEWEST_PROOFS, _RARELY = 2, 3, 10
_BOOLEAN_FORMS = ("yes/no", "y/n", "ja/nein", "j/n", "oui/non", "sí/no", "si/no", "sim/não", "wahr/falsch", "vrai/faux")
_LEADING_ZERO = re.compile(r"0\d+|\+\d+")
_CODE_NAME = re.compile(
    r"(?:^|_)(?:zip|plz|postal|postcode|phone|mobile|fax|iban|bic|ean|isbn|gtin|barcode|vat|sku|imei|account)(?:_|$)"
)
_NULLS = frozenset({
    "", "na", "n/a", "#n/a", "n.a.", "nan", "null", "(null)", "nil", "none", "-", "--", "?", ".", "\\n", "unknown",
    "missing",
})  # fmt: skip
_LIST = re.compile(r" ?[,;|/] ?")
_MOST_VALUES = 5_000
_TOLERATED = 0.05


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Inferred type of a column. `why` explains the type, `doubts` lists guesses.

    `instants` are the distinct values of dates and times, `nulls` the texts that mean no value. For a string some of
    whose values are dates, `near` explains why it is not a date.
    """

    logical: str
    why: str
    physical: str | None = None
    format: str | None = None
    doubts: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ()
    near: str = ""
    instants: tuple[datetime, ...] = ()
    thousands: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A possible type, the name of its values, and the number of its rows; `fit` are these values, if known."""

    type: ColumnType
    called: str
    rows: int
    fit: frozenset[str] | None = None


def column_type(name: str, cells: Mapping[Cell, int]) -> ColumnType:
    """Infer the type of a column from its non-empty cells and their counts; `name` is the field's.

    One misfit among eight values and more, or one in twenty, does not change the type: conform will quarantine it. A
    number with a leading zero or a plus is a code, and a code is a string. Words for a missing value, such as NA, are
    null if the other values are not texts.
    """
    empty = {cell: times for cell, times in cells.items() if _is_null(cell)}
    if empty and len(empty) < len(cells):
        inferred = _column_type(name, {cell: times for cell, times in cells.items() if cell not in empty})
        if inferred.logical not in ("string", "object", "array"):
            nulls = tuple(dict.fromkeys(cell.text for cell in empty))
            shown = ", ".join(f"'{text}'" for text in nulls[:3])
            why = f"{inferred.why}; {shown} {'is' if len(nulls) == 1 else 'are'} null in {sum(empty.values())} rows"
            return replace(inferred, why=why, nulls=nulls)
    return _column_type(name, cells)


def _is_null(cell: Cell) -> bool:
    return cell.kind in ("cell", "text") and len(cell.text) <= 20 and cell.text.strip().lower() in _NULLS


def _column_type(name: str, cells: Mapping[Cell, int]) -> ColumnType:
    total = sum(cells.values())
    if not total:
        return ColumnType("string", "no value in the sample", doubts=("empty in the whole sample",))
    if any(cell.kind == "json" for cell in cells):
        return _nested_type(cells, total)
    values = _spread(cells)
    total = sum(values.values())
    candidates = [*_boolean(values), *_date(name, values), *_integer(name, values, cells), *_number(name, values)]
    candidates += [*_written_number(name, values), *_words(cells, values)]
    candidates.sort(key=lambda candidate: -candidate.rows)
    for candidate in candidates:
        misfits = total - candidate.rows
        if misfits <= max(total * _TOLERATED, 1 if total >= 8 else 0):
            if not misfits:
                return candidate.type
            if listed := _listing(values, candidate):
                return ColumnType(
                    "string", "text", doubts=(f"{candidate.called}, of which '{listed[:20]}' lists several",)
                )
            doubt = f"{misfits} of {total} values{_such_as(values, candidate)} will go to quarantine"
            return replace(candidate.type, doubts=(*candidate.type.doubts, doubt))
    return _string(name, values, candidates)


def _nested_type(cells: Mapping[Cell, int], total: int) -> ColumnType:
    objects, arrays = cells.get(Cell("json", "{"), 0), cells.get(Cell("json", "["), 0)
    logical = "object" if objects >= arrays else "array"
    doubts = () if max(objects, arrays) == total else ("of several shapes in the sample",)
    return ColumnType(logical, f"nested JSON{'' if objects >= arrays else ' list'}, kept as it is", doubts=doubts)


def _boolean(values: Mapping[str, int]) -> list[_Candidate]:
    fit = frozenset(value for value in values if value.lower() in ("true", "false"))
    return _candidate(ColumnType("boolean", "true or false"), "true or false", values, fit)


def _date(name: str, values: Mapping[str, int]) -> list[_Candidate]:
    shape = date_shape(values, name)
    if shape is None:
        return []
    logical = "timestamp" if shape.has_time else "date"
    doubts = [shape.doubt] if shape.doubt else []
    if shape.has_time and not shape.has_offset:
        doubts.append("no offset: read as UTC")
    why = f"{'times' if shape.has_time else 'days'} as {shape.format or 'ISO 8601'}"
    inferred = ColumnType(logical, why, None, shape.format, tuple(doubts), instants=shape.instants)
    return [_Candidate(inferred, f"{logical}s", shape.fits, shape.fit)]


def _integer(name: str, values: Mapping[str, int], cells: Mapping[Cell, int]) -> list[_Candidate]:
    # A quoted number in JSON is deliberately a string.
    texts = sum(times for cell, times in cells.items() if cell.kind == "text")
    if _is_code(name, values) or texts * 2 > sum(cells.values()):
        return []
    fit = frozenset(value for value in values if _INTEGER.fullmatch(value))
    return _candidate(ColumnType("integer", "whole numbers"), "whole numbers", values, fit)


def _number(name: str, values: Mapping[str, int], unit: str = "") -> list[_Candidate]:
    # 1.10 is a later version than 1.9.
    if _is_code(name, values) or name.endswith("version"):
        return []
    plain = {value: match for value in values if (match := _NUMBER.fullmatch(value))}
    scale = max((len(match[2] or "") for match in plain.values()), default=0)
    # 399.0 is a number with a fraction of zero: the next one can have another fraction.
    pointed = bool(unit) or any("." in value for value in plain)
    money = pointed and (looks_like_money(name) or (bool(unit) and unit not in _SHARES))
    floating = frozenset(value for value in values if _FLOATING.fullmatch(value))
    if not money and (scale > 2 or (scale and looks_like_ratio(name)) or len(floating) > len(plain)):
        return _candidate(ColumnType("number", "numbers, not money by name", "double"), "numbers", values, floating)
    if not pointed:
        return []
    whole = max((len(match[1]) for match in plain.values()), default=0)
    needed = whole + 3 + max(2, scale)
    precision = next((size for size in (12, 18, MOST_PRECISION) if size >= needed), MOST_PRECISION)
    if whole + max(2, scale) > MOST_PRECISION:
        return []
    doubts = ()
    if not money:
        doubts = ("make it double if more than 2 digits after the point may come",)
    why = f"{'money' if money else 'numbers'}, {whole} digits before the point, {scale} after it"
    inferred = ColumnType("number", why, f"decimal({precision},{max(2, scale)})", None, doubts)
    return _candidate(inferred, "numbers", values, frozenset(plain))


def _written_number(name: str, values: Mapping[str, int]) -> list[_Candidate]:
    """Infer numbers with a decimal comma, separated thousands or a unit, if values prove how they are written.

    1,234 alone can be a thousand or a fraction.
    """
    unit, bare = _without_unit(values)
    written = [("", False)] if unit and not _may_be_thousands(unit, bare, ".") else []
    written += [
        (thousands, comma) for thousands, comma, proof in _PROOFS if _is_proven(thousands, comma, proof, bare, values)
    ]
    written += [pair for pair, sign in _OF_MONEY.items() if _is_grouped(unit, bare, sign)]
    candidates = [
        candidate
        for thousands, comma in written
        for candidate in _as_written(name, bare, values, thousands, comma, unit)
    ]
    return sorted(candidates, key=lambda candidate: -candidate.rows)[:1]


def _is_proven(
    thousands: str, comma: bool, proof: "re.Pattern[str]", bare: Mapping[str, str], values: Mapping[str, int]
) -> bool:
    proving = [value for value, number in bare.items() if proof.search(number)]
    if comma and not thousands:
        # One number with a comma among many without may as well be two numbers.
        rows = sum(values[value] for value in proving)
        return bool(proving) and (len(proving) >= _FEWEST_PROOFS or rows * _RARELY >= sum(values.values()))
    # Telephone numbers and the like, all of one length, are written in groups, too.
    lengths = {len(re.sub(r"\D", "", number)) for number in bare.values()}
    return bool(proving) and (thousands != "space" or len(lengths) >= _FEWEST_LENGTHS)


def _may_be_thousands(unit: str, bare: Mapping[str, str], sign: str) -> bool:
    """Return whether a sign, in all numbers that have it, stands before three digits of an amount of money."""
    signs = [number for number in bare.values() if sign in number]
    shape = re.compile(rf"[-+]?[1-9]\d{{0,2}}(?:{re.escape(sign)}\d{{3}})+")
    return unit != "" and unit not in _SHARES and bool(signs) and all(map(shape.fullmatch, signs))


def _is_grouped(unit: str, bare: Mapping[str, str], sign: str) -> bool:
    """Return whether amounts of money from a thousand on, and only they, have a sign: no fraction is left out so."""
    return _may_be_thousands(unit, bare, sign) and any(
        re.fullmatch(r"[-+]?\d{1,3}", number) for number in bare.values()
    )


def _as_written(
    name: str, bare: Mapping[str, str], values: Mapping[str, int], thousands: str, comma: bool, unit: str
) -> list[_Candidate]:
    pattern = re.compile(number_pattern(comma, thousands, "") or _FLOATING.pattern)
    others = re.compile(f"[^0-9{',' if comma else '' if thousands == 'point' else '.'}-]")
    plain = {
        value: others.sub("", number).replace(",", ".") for value, number in bare.items() if pattern.fullmatch(number)
    }
    numbers = dict.fromkeys(plain.values(), 1)
    whole = not unit and not comma and all(map(_INTEGER.fullmatch, numbers))
    found = _integer(name, numbers, {}) if whole else _number(name, numbers, unit)
    words = ["a decimal comma"] if comma else []
    words += [f"a {thousands} between thousands"] if thousands else []
    words += [f"'{unit}'"] if unit else []
    candidates: list[_Candidate] = []
    for one in found:
        fit = frozenset(value for value, number in plain.items() if number in (one.fit or ()))
        kind = replace(
            one.type,
            why=f"{one.type.why}, with {' and '.join(words)}",
            format=DECIMAL_COMMA if comma else None,
            thousands=thousands,
            unit=unit,
            doubts=(*one.type.doubts, *([f"12 {unit} is read as 12"] if unit in _SHARES else [])),
        )
        candidates += _candidate(kind, "numbers", values, fit)
    return candidates


def _without_unit(values: Mapping[str, int]) -> tuple[str, dict[str, str]]:
    """The unit that most values have, and by value the number beside it; all values where few have one."""
    found = {value: match for value in values if (match := _WITH_UNIT.fullmatch(value))}
    units = Counter[str]()
    for value, match in found.items():
        units[match["before"] or match["after"]] += values[value]
    unit, rows = units.most_common(1)[0] if units else ("", 0)
    if rows * 2 <= sum(values.values()):
        return "", {value: value for value in values}
    return unit, {
        value: f"{match['sign']}{match['inner'] or ''}{match['first'] or match['last']}"
        for value, match in found.items()
        if unit in (match["before"], match["after"])
    }


def _words(cells: Mapping[Cell, int], values: Mapping[str, int]) -> list[_Candidate]:
    """Infer booleans from words for true and false in a CSV, if both occur. A word in JSON is deliberately a string."""
    if any(cell.kind != "cell" for cell in cells):
        return []
    words = {value.lower() for value in values}
    for form in _BOOLEAN_FORMS:
        pair = boolean_words(form)
        if words.issuperset(pair):
            fit = frozenset(value for value in values if value.lower() in pair)
            return _candidate(ColumnType("boolean", f"true or false as {form}", format=form), form, values, fit)
    return []


def _string(name: str, values: Mapping[str, int], candidates: list[_Candidate]) -> ColumnType:
    total = sum(values.values())
    dates = next((candidate for candidate in candidates if candidate.type.instants), None)
    if dates is not None:
        near = f"{dates.rows} of {total} values are {dates.type.why}, but not all{_such_as(values, dates).rstrip(',')}"
        return replace(_text(name, values, candidates), near=near)
    return _text(name, values, candidates)


def _text(name: str, values: Mapping[str, int], candidates: list[_Candidate]) -> ColumnType:
    total = sum(values.values())
    unit, bare = _without_unit(values)
    for sign, word in ((",", "comma"), (".", "point")):
        if _may_be_thousands(unit, bare, sign) or (sign == "," and _mostly_commas(bare, values)):
            doubt = f"numbers with a {word} that may stand before thousands or a fraction: text until"
            return ColumnType("string", "text", doubts=(f"{doubt} thousandsSeparator or decimalSeparator says which",))
    if candidates and candidates[0].rows * 2 > total:
        best = candidates[0]
        doubt = f"{best.rows} of {total} are {best.called}, but not all{_such_as(values, best)}"
        return ColumnType("string", "text of several kinds", doubts=(doubt,))
    return ColumnType("string", "a code: leading zeros or its name" if _is_code(name, values) else "text")


def _mostly_commas(bare: Mapping[str, str], values: Mapping[str, int]) -> bool:
    rows = sum(values[value] for value, number in bare.items() if _ANY_COMMA.fullmatch(number))
    return rows * 2 > sum(values.values())


def _is_code(name: str, values: Mapping[str, int]) -> bool:
    return bool(_CODE_NAME.search(name)) or any(_LEADING_ZERO.fullmatch(value) for value in values)


def _candidate(type_: ColumnType, called: str, values: Mapping[str, int], fit: frozenset[str]) -> list[_Candidate]:
    return [_Candidate(type_, called, sum(values[value] for value in fit), fit)] if fit else []


def _listing(values: Mapping[str, int], candidate: _Candidate) -> str | None:
    """Return a value that lists several of the candidate's."""
    fit = candidate.fit or frozenset[str]()
    lists = (value for value in values if value not in fit and len(parts := _LIST.split(value)) > 1 and fit >= {*parts})
    return next(lists, None)


def _such_as(values: Mapping[str, int], candidate: _Candidate) -> str:
    if candidate.fit is None:
        return ""
    odd = next((value for value in values if value not in candidate.fit), None)
    return f", such as '{odd[:20]}'," if odd is not None and odd.isprintable() else ""


def _spread(cells: Mapping[Cell, int]) -> dict[str, int]:
    """Return the texts with their counts; of very many, a sample from the whole file."""
    step = -(-len(cells) // _MOST_VALUES)
    values: dict[str, int] = {}
    for index, (cell, times) in enumerate(cells.items()):
        if index % step == 0:
            values[cell.text] = values.get(cell.text, 0) + times
    return values
