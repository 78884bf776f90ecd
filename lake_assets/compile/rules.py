"""Row rules: how one field's text becomes a typed value, and the message for each rule it breaks.

Error codes are stable: `missing type enum range length pattern inexact` for fields, `null_payload empty_payload
invalid_utf8 not_json not_an_object unknown_field` for documents.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from lake_assets.catalog.formats import (
    DECIMAL_COMMA,
    boolean_words,
    has_quarter,
    number_pattern,
    strptime_format,
)
from lake_assets.catalog.model import Field
from lake_assets.compile.ddl import duckdb_type
from lake_assets.compile.sql import identifier, literal

# A JSON number becomes a double on its way here, which keeps 15 significant decimal digits.
_EXACT_DIGITS = 15


# The range that every target's tables can store; DuckDB reads more.
_BOUNDS = {
    "date": ("date '0001-01-01'", "date '9999-12-31'"),
    "timestamp": ("timestamptz '0001-01-01 00:00:00+00'", "timestamptz '9999-12-31 23:59:59.999999+00'"),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule: `condition` is SQL that is true when a row breaks it, and never null."""

    code: str
    condition: str
    message: str


def shape(fields: Iterable[Field]) -> str:
    """Return the structure of `_given` as JSON: DuckDB's from_json reads the fields' values into it."""
    kinds: dict[str, str] = {}
    for field in fields:
        if field.has_twin:
            continue
        kind = "JSON" if field.type.name == "json" or field.path else "VARCHAR"
        kinds |= dict.fromkeys(field.payload_keys, kind)
    return json.dumps(kinds)


def payload_text(field: Field) -> str:
    """Return SQL for the field's text in the payload; null when absent or JSON null."""
    if field.has_twin:
        if field.join:
            return " || ' ' || ".join(f"try(json_extract_string(_text, {literal(_json_path(k))}))" for k in field.join)
        path = literal(_json_path(*(field.path or (field.payload_key,))))
        if field.type.name == "json" and not field.path:
            return f"try(nullif(cast(json_extract(_text, {path}) as varchar), 'null'))"
        return f"try(json_extract_string(_text, {path}))"
    if field.path:
        return f"json_extract_string(_given.{identifier(field.path[0])}, {literal(_json_path(*field.path[1:]))})"
    return " || ' ' || ".join(f"_given.{identifier(key)}" for key in field.payload_keys)


def given(field: Field) -> str:
    """Return SQL for the field's text; also null when the text is one that means no value."""
    text = payload_text(field)
    match field.nulls:
        case ():
            return f"({text})" if field.join else text
        case (only,):
            return f"nullif({text}, {literal(only)})"
        case _:
            return f"case when {text} not in ({', '.join(map(literal, field.nulls))}) then {text} end"


def typed(field: Field, text: str | None = None) -> str:
    """Return SQL for the field's value in its declared type, null when the text has another type.

    Timestamps are UTC. `text` is SQL of another text than that of the payload.
    """
    text = given(field) if text is None else text
    text = _plain_number(field, text)
    match field.type.name:
        case "string":
            return text
        case "json":
            return f"cast({text} as varchar)"
        case "boolean":
            yes, no = boolean_words(field.format or "true/false")
            return f"case lower({text}) when {literal(yes)} then true when {literal(no)} then false end"
        case "integer":
            # A cast alone would round 5.7 and read 0x10 and 1_000.
            return f"case when regexp_full_match({text}, '[+-]?[0-9]+(\\.0+)?') then try_cast({text} as bigint) end"
        case "decimal":
            # A cast alone would round digits beyond the scale.
            scale = field.type.scale or 0
            fraction = f"\\.[0-9]{{1,{scale}}}0*" if scale else "\\.0+"
            cast = f"try_cast({text} as {duckdb_type(field.type)})"
            return f"case when regexp_full_match({text}, '[+-]?([0-9]+({fraction})?|{fraction})') then {cast} end"
        case "double":
            return f"case when isfinite(try_cast({text} as double)) then try_cast({text} as double) end"
        case "date":
            if field.format:
                return f"cast({_strptime(text, field.format, field.first_year)} as date)"
            iso = "'[0-9]{4}-[0-9]{2}-[0-9]{2}'"
            return f"case when regexp_full_match({text}, {iso}) then try_cast({text} as date) end"
        case "timestamp":
            return _timestamp(text, field.format, field.first_year)


def _plain_number(field: Field, text: str) -> str:
    """Return SQL for a number without unit and thousands separators, and with a decimal point; null for all else."""
    comma = field.format == DECIMAL_COMMA
    pattern = number_pattern(comma, field.thousands, field.unit)
    if pattern is None:
        return text
    others = f"[^0-9+{',' if comma else '' if field.thousands == 'point' else '.'}-]"
    plain = f"regexp_replace({text}, {literal(others)}, '', 'g')"
    plain = f"replace({plain}, ',', '.')" if comma else plain
    return f"case when regexp_full_match({text}, {literal(pattern)}) then {plain} end"


def _timestamp(text: str, form: str | None, first_year: int | None) -> str:
    match form:
        case None:
            # The separator excludes `epoch`, `infinity` and bare dates, which a cast would accept. A cast to a plain
            # timestamp would drop the offset.
            return f"case when {text}[11] in ('T', 't', ' ') then try_cast({text} as timestamptz) end"
        case "epoch_millis" | "epoch_seconds":
            digits, scale = (15, 3) if form == "epoch_millis" else (12, 6)
            number = f"regexp_full_match({text}, '-?[0-9]{{1,{digits}}}(\\.[0-9]+)?')"
            micros = f"cast(try_cast({text} as decimal(22, {scale})) * cast({10**scale} as decimal(7, 0)) as bigint)"
            return f"case when {number} then make_timestamptz({micros}) end"
        case _:
            # Without an offset in the format it is a plain timestamp in UTC.
            return f"make_timestamptz(epoch_us({_strptime(text, form, first_year)}))"


def _strptime(text: str, form: str, first_year: int | None) -> str:
    read = f"try_strptime({text}, {literal(strptime_format(form))})"
    if first_year is not None:
        # 29 February is no day of each century's first year.
        later = f"cast(floor((year({read}) - {first_year}) / 100) * 100 as integer)"
        moved = f"{read} - to_years({later})"
        return f"case when day({moved}) = day({read}) then {moved} end"
    if not has_quarter(form):
        return read
    return f"case when month({read}) <= 4 then {read} + to_months(2 * (month({read}) - 1)) end"


def violations(field: Field) -> list[Violation]:
    """Return every rule of a field, most helpful message first."""
    text, value = given(field), identifier(field.name)
    rules: list[Violation] = []
    if field.required:
        rules.append(Violation("missing", f"{text} is null", "is required"))
    if field.type.name not in ("string", "json"):
        shape = f" in the format {field.form}" if field.form else ""
        rules.append(
            Violation("type", f"({text} is not null and {value} is null)", f"is not a valid {field.type}{shape}")
        )
    if field.type.name == "decimal":
        digits = f"length(regexp_replace({text}, '[^0-9]', '', 'g')) > {_EXACT_DIGITS}"
        number = f"try(json_type(_text, {literal(_json_path(field.payload_key))})) = 'DOUBLE'"
        condition = f"coalesce({digits} and {number}, false)"
        rules.append(
            Violation("inexact", condition, "has more digits than a JSON number keeps exactly: send it as a string")
        )
    if field.type.name == "string":
        rules.append(
            Violation(
                "type", f"coalesce(contains({value}, chr(0)), false)", "contains U+0000, which no table can store"
            )
        )
    if field.type.name in _BOUNDS:
        low, high = _BOUNDS[field.type.name]
        condition = f"coalesce({value} not between {low} and {high}, false)"
        rules.append(Violation("range", condition, "is not in the years 1 to 9999"))
    if field.enum:
        members = ", ".join(literal(member) for member in field.enum)
        rules.append(Violation("enum", f"coalesce({value} not in ({members}), false)", "is not an allowed value"))
    if field.minimum is not None:
        rules.append(Violation("range", f"coalesce({value} < {field.minimum:f}, false)", f"is below {field.minimum:f}"))
    if field.maximum is not None:
        rules.append(Violation("range", f"coalesce({value} > {field.maximum:f}, false)", f"is above {field.maximum:f}"))
    if field.min_length is not None:
        condition = f"coalesce(length({value}) < {field.min_length}, false)"
        rules.append(Violation("length", condition, f"is shorter than {field.min_length} characters"))
    if field.max_length is not None:
        condition = f"coalesce(length({value}) > {field.max_length}, false)"
        rules.append(Violation("length", condition, f"is longer than {field.max_length} characters"))
    if field.pattern is not None:
        condition = f"coalesce(not regexp_full_match({value}, {literal(field.pattern)}), false)"
        rules.append(Violation("pattern", condition, f"does not match {field.pattern}"))
    return rules


def surely_good(field: Field) -> str:
    """Return SQL that is true only when the field breaks no rule; when it is false or null, `violations` decides.

    Nearly every row passes it, so it is as cheap as possible: one comparison checks presence, type and rule.
    """
    text, value = given(field), identifier(field.name)
    tests: list[str] = []
    if field.enum:
        tests.append(f"{value} in ({', '.join(literal(member) for member in field.enum)})")
    if field.minimum is not None:
        tests.append(f"{value} >= {field.minimum:f}")
    if field.maximum is not None:
        tests.append(f"{value} <= {field.maximum:f}")
    if field.min_length is not None or field.max_length is not None:
        tests.append(f"length({value}) between {field.min_length or 0} and {field.max_length or 2**31 - 1}")
    if field.pattern is not None:
        tests.append(f"regexp_full_match({value}, {literal(field.pattern)})")
    if field.type.name in _BOUNDS:
        low, high = _BOUNDS[field.type.name]
        tests.append(f"{value} between {low} and {high}")
    if not tests and (field.required or field.type.name not in ("string", "json")):
        tests.append(f"{value} is not null")
    if field.type.name == "decimal":
        tests.append(f"length({text}) <= {_EXACT_DIGITS}")
    test = " and ".join(tests)
    return f"({text} is null or ({test}))" if test and not field.required else test


def document_violations() -> list[Violation]:
    """Return the rules of a payload before any field is read; only the first broken one is reported."""
    return [
        Violation("null_payload", "_payload is null", "the record has no payload"),
        Violation("empty_payload", "octet_length(_payload) = 0", "the payload is empty"),
        Violation("invalid_utf8", "_text is null", "the payload is not UTF-8"),
        Violation("not_json", "not json_valid(_text)", "the payload is not JSON"),
        # DuckDB may evaluate this before the conditions above: it moves expressions that occur twice out of their
        # `case`.
        Violation("not_an_object", "try(json_type(_text)) <> 'OBJECT'", "the payload is JSON but not an object"),
    ]


def _json_path(*keys: str) -> str:
    escaped = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys)
    return "$" + "".join(f'."{key}"' for key in escaped)
