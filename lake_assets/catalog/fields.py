"""One field of a contract: its type, its row rules, and the constraints between them."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from lake_assets.catalog.formats import DECIMAL_COMMA, format_problem, words_problem
from lake_assets.catalog.model import Check, Field, FieldType, TypeName
from lake_assets.catalog.names import name_problem
from lake_assets.catalog.partial_contract import Draft
from lake_assets.catalog.patterns import pattern_problem
from lake_assets.catalog.problems import TreePath
from lake_assets.catalog.quality import Column, enum_values, is_enum, read_check

MOST_PRECISION = 38
_TYPES: dict[str, TypeName] = {
    "string": "string", "integer": "integer", "boolean": "boolean", "date": "date", "timestamp": "timestamp",
    "object": "json", "array": "json",
}  # fmt: skip
_MONEY = frozenset({
    "amount", "price", "cost", "costs", "revenue", "fee", "fees", "salary", "wage", "balance", "payment", "turnover",
    "budget", "money",
})  # fmt: skip
_OF_MONEY = frozenset({"eur", "usd", "gbp", "chf", "net", "gross", "total", "sum", "paid", "due", "local"})
_RATIO = frozenset({
    "rate", "ratio", "percent", "percentage", "pct", "share", "score", "index", "count", "factor",
    "lat", "lon", "lng", "latitude", "longitude", "weight", "height", "temperature", "probability",
})  # fmt: skip


def looks_like_money(name: str) -> bool:
    """Return True if a field's name indicates money: `net_amount` and `price_eur` do, `payment_id` does not."""
    words = name.split("_")
    return words[-1] in _MONEY or (words[-1] in _OF_MONEY and bool(_MONEY & set(words)))


def looks_like_ratio(name: str) -> bool:
    """Return True if a field's name indicates a measure without a unit of money: `discount_rate`, `lat`."""
    return name.split("_")[-1] in _RATIO


def read_field(draft: Draft, at: TreePath) -> tuple[Field, list[Check]] | None:
    """Read the field at a place and its checks; return None when its shape is wrong (already reported)."""
    raw: dict[str, Any] | None = draft.value(*at)
    if raw is None:
        return None
    name: str = raw["name"]
    problem = name_problem(name)
    if problem:
        draft.report((*at, "name"), f"'{name}' {problem}")
    options: dict[str, Any] = raw.get("logicalTypeOptions", {})
    type_ = _read_type(draft, at, raw)
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength")):
        if low in options and high in options and options[low] > options[high]:
            draft.report((*at, "logicalTypeOptions", low), f"{low} is more than {high}; no value can be both.")
    for bound in ("minimum", "maximum"):
        if bound in options and not _holds(type_, Decimal(options[bound])):
            message = f"{bound} {options[bound]} is not a value of {type_}; give one that the field can have."
            draft.report((*at, "logicalTypeOptions", bound), message)
    _check_texts(draft, at, type_, options)
    if raw.get("primaryKey"):
        _check_key_field(draft, at, raw, type_)
    elif "primaryKeyPosition" in raw:
        draft.report((*at, "primaryKeyPosition"), "the field has no primaryKey: true; add it, or remove the position.")
    enum, checks = _read_quality(draft, at, Column(name, raw["logicalType"]))
    readings: dict[str, Any] = {}
    for place in draft.places(*at, "customProperties"):
        item = draft.value(*place)
        if item is not None:
            if item["property"] in readings:
                draft.report(place, f"'{item['property']}' is given twice; keep one.")
            readings[item["property"]] = item["value"]
    _check_readings(draft, at, raw, readings)
    field = Field(
        name=name,
        type=type_,
        required=raw.get("required", False),
        description=raw.get("description", ""),
        # ODCS has no format for a decimal comma.
        format=DECIMAL_COMMA if "decimalSeparator" in readings else options.get("format"),
        enum=enum,
        minimum=_decimal(options.get("minimum")),
        maximum=_decimal(options.get("maximum")),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        pattern=options.get("pattern"),
        classification=raw.get("classification"),
        source="" if raw.get("physicalName", name) == name else raw["physicalName"],
        nulls=tuple(readings.get("nulls", ())),
        path=tuple(readings.get("path", ())),
        join=tuple(readings.get("join", ())),
        thousands=readings.get("thousandsSeparator", ""),
        unit=readings.get("unit", ""),
        first_year=readings.get("firstYear"),
    )
    return field, checks


def _read_type(draft: Draft, at: TreePath, raw: dict[str, Any]) -> FieldType:
    logical: str = raw["logicalType"]
    physical: str = raw.get("physicalType", "")
    if logical != "number":
        if physical:
            draft.report((*at, "physicalType"), f"only a number has a physicalType; for {logical} remove it.")
        return FieldType(_TYPES[logical])
    if physical == "double":
        if looks_like_money(raw["name"]):
            draft.report(
                (*at, "physicalType"),
                f"'{raw['name']}' looks like money, and money is never double: write decimal(precision,scale).",
            )
        return FieldType("double")
    precision, scale = (int(number) for number in re.findall(r"\d+", physical))
    if not 1 <= precision <= MOST_PRECISION:
        draft.report((*at, "physicalType"), f"'{physical}' has {precision} digits; 1 to {MOST_PRECISION} are possible.")
    elif scale > precision:
        draft.report((*at, "physicalType"), f"'{physical}' has more digits after the point than in all.")
    return FieldType("decimal", precision, scale)


def _holds(type_: FieldType, number: Decimal) -> bool:
    """Return True if a field of the type can hold the number."""
    if type_.name == "integer":
        return number == number.to_integral_value() and -(2**63) <= number < 2**63
    if type_.name == "decimal":
        precision, scale = type_.precision or 0, type_.scale or 0
        digits = number.normalize().as_tuple()
        exponent = int(digits.exponent)
        # An impossible type has been reported already: do not report its bounds, too.
        return not number or scale > precision or -scale <= exponent <= precision - scale - len(digits.digits)
    return True


def _check_texts(draft: Draft, at: TreePath, type_: FieldType, options: dict[str, Any]) -> None:
    """Check the format of a date or a boolean, and a string's pattern."""
    if "format" in options and type_.name in ("boolean", "date", "timestamp"):
        form: str = options["format"]
        timed = type_.name == "timestamp"
        problem = words_problem(form) if type_.name == "boolean" else format_problem(form, time=timed)
        if problem:
            draft.report((*at, "logicalTypeOptions", "format"), problem)
    if "pattern" in options:
        problem = pattern_problem(options["pattern"])
        if problem:
            draft.report((*at, "logicalTypeOptions", "pattern"), f"'{options['pattern'][:60]}' {problem}")


def _check_readings(draft: Draft, at: TreePath, raw: dict[str, Any], readings: dict[str, Any]) -> None:
    """Check that a derived field has no payload key of its own, and is not part of the key."""
    derived = [name for name in ("path", "join") if name in readings]
    place = (*at, "customProperties")
    if len(derived) > 1:
        draft.report(place, "path and join both locate the value; keep one.")
    if derived and "physicalName" in raw:
        draft.report((*at, "physicalName"), f"{derived[0]} locates the value already; remove one.")
    if derived and raw.get("primaryKey"):
        draft.report((*at, "primaryKey"), f"a field with {derived[0]} cannot be part of the key; use another field.")
    form = raw.get("logicalTypeOptions", {}).get("format", "")
    if "firstYear" in readings and not re.search("(?<!y)yy(?!y)", form):
        draft.report(place, "firstYear is for years of two digits, and needs a format with yy, such as M/d/yy.")
    separator, comma = readings.get("thousandsSeparator"), "decimalSeparator" in readings
    if separator == "comma" and comma:
        draft.report(place, "a comma cannot stand before both thousands and fractions; remove one.")
    if separator == "point" and not comma and raw["logicalType"] == "number":
        draft.report(place, "where points stand before thousands, fractions need decimalSeparator: comma; add it.")
    if "join" in readings and "format" not in raw.get("logicalTypeOptions", {}):
        draft.report(place, "joined texts need a format, such as logicalTypeOptions: {format: yyyy M d}.")


def _check_key_field(draft: Draft, at: TreePath, raw: dict[str, Any], type_: FieldType) -> None:
    if not raw.get("required"):
        draft.report(at, f"'{raw['name']}' is part of the key, so it must be required: true.")
    if type_.name in ("json", "double"):
        draft.report((*at, "primaryKey"), f"a key must identify rows exactly; {type_} cannot. Use another field.")


def _read_quality(draft: Draft, at: TreePath, column: Column) -> tuple[tuple[str, ...], list[Check]]:
    enum: tuple[str, ...] = ()
    checks: list[Check] = []
    for place, item in _quality_items(draft, at):

        def report(below: TreePath, message: str, place: TreePath = place) -> None:
            draft.report((*place, *below), message)

        if is_enum(item):
            if enum:
                report((), "the valid values are given twice; keep one list.")
            enum = enum_values(item, column, report)
        elif item.get("type") == "sql":
            report(("type",), "an sql check belongs to the quality of the table, after the properties.")
        else:
            checks.append(read_check(item, column, {}, report))
    return enum, checks


def _quality_items(draft: Draft, at: TreePath) -> Iterator[tuple[TreePath, dict[str, Any]]]:
    for place in draft.places(*at, "quality"):
        item = draft.value(*place)
        if item is not None:
            yield place, item


def _decimal(number: int | Decimal | None) -> Decimal | None:
    return None if number is None else Decimal(number)
