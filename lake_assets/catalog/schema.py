"""The profile of ODCS as a JSON Schema: for completion in editors, and for the first validation of contracts.

`python -m lake_assets.catalog.schema > lake_assets/catalog/contract.schema.json` regenerates the committed file.
"""

import json
import sys

from lake_assets.catalog.model import CLASSIFICATIONS
from lake_assets.catalog.names import ASSET_NAME_LENGTH, FIELD_NAME_LENGTH
from lake_assets.catalog.schema_builders import JsonSchema, as_choice, as_list, as_name, as_object, as_pattern, as_text

LOGICAL_TYPES = ("string", "integer", "number", "boolean", "date", "timestamp", "object", "array")
METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
ELEMENTS = ("raw", "staging", "quarantine")
OPERATORS = (
    "mustBe", "mustNotBe", "mustBeLessThan", "mustBeLessOrEqualTo", "mustBeGreaterThan", "mustBeGreaterOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
)  # fmt: skip

READINGS: dict[str, JsonSchema] = {
    "decimalSeparator": as_choice(("comma",), "Numbers are written 12,50 and 1.234,56."),
    "thousandsSeparator": as_choice(("comma", "point", "space", "apostrophe"), "Numbers are written 1,234,567."),
    "firstYear": {"type": "integer", "minimum": 1, "maximum": 9900,
                  "description": "Years of two digits are those of the hundred years from this one."},
    "unit": {"type": "string", "pattern": r"^[^-0-9\s+.,'\u2019][^-0-9+.,'\u2019]{0,19}$",
             "patternErrorMessage": "a unit has no digits, signs, points or commas",
             "description": "Text before or after each number, such as $ or %; it is no part of the value."},
    "nulls": as_list({"type": "string", "maxLength": 200}, "Texts that mean no value, such as NA.", most=50),
    "path": {**as_list(as_text("A key."), "The keys that lead to a value in a nested object.", most=20), "minItems": 2},
    "join": {**as_list(as_text("A key."), "The keys whose texts are joined, with blanks between.", most=20),
             "minItems": 2},
}  # fmt: skip
_DERIVED = ("firstYear", "nulls", "path", "join")


def contract_schema() -> JsonSchema:
    """Return the profile, without references, in JSON Schema 2020-12. Every contract it accepts is valid ODCS 3.1, too.

    `patternErrorMessage` (a keyword of editors) describes the pattern in one sentence.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Contract of one asset",
        **as_object(
            needs=("apiVersion", "kind", "id", "name", "version", "status", "domain", "description", "team",
                      "customProperties", "schema"),
            apiVersion=as_choice(("v3.1.0", "v3.2.0"), "Version of the Open Data Contract Standard."),
            kind=as_choice(("DataContract",), "Always DataContract."),
            id=as_text("Identifies this contract, such as <domain>.<name>."),
            name=as_name("Name of the asset, and of its tables.", ASSET_NAME_LENGTH),
            version=as_pattern(r"^(0|[1-9]\d*)\.\d+\.\d+$", "a version is three numbers, such as 1.0.0",
                             "Raise the first number for a breaking change: it makes new tables beside the old ones."),
            status=as_choice(("draft", "active", "deprecated"),
                             "draft: any change can be applied, its tables are then rebuilt from raw. "
                             "active: a breaking change is refused. deprecated: as active."),
            domain=as_name("Domain of the data; the topic is <domain>.<name>.", ASSET_NAME_LENGTH),
            description=as_object(
                needs=("purpose",), about="Description of the dataset, for readers of the catalog.",
                purpose=as_text("One sentence: what one row is, and when it is written."),
                usage=as_text("How to use it."), limitations=as_text("How not to use it."),
            ),
            team=as_object(
                needs=("name", "members"), about="The responsible team; at least one member has the role owner.",
                name=as_text("Name of the team."),
                members=as_list(as_object(
                    needs=("username", "role"), about="A person or a group.",
                    username=as_pattern(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "a username is an e-mail address", "E-mail."),
                    role=as_text("owner, or any other role."), name=as_text("Full name."),
                ), "Members."),
            ),
            slaProperties=as_list(_promise(), "Promises.", most=2 + len(ELEMENTS)),
            customProperties=_custom_properties(),
            schema=as_list(_table(), "The one table of this asset.", most=1),
        ),
    }  # fmt: skip


def _promise() -> JsonSchema:
    promise = as_object(
        needs=("property", "value", "unit"), about="A promise about the data.",
        property=as_choice(("freshness", "frequency", "retention"),
                           "freshness: the longest acceptable age of the newest data. "
                           "frequency: the longest time without an event on the topic. "
                           "retention: how long the windows of an element are kept."),
        value={"type": "integer", "minimum": 1, "maximum": 100_000, "description": "Number of units."},
        unit=as_choice(("m", "h", "d"), "Minutes, hours or days."),
        element=as_choice(ELEMENTS, "For retention: the element that is kept that long."),
    )  # fmt: skip
    never: JsonSchema = {"not": {}}
    promise["allOf"] = [
        {
            "if": _is("property", "retention"),
            "then": {"required": ["element"]},
            "else": {"properties": {"element": never}},
        }
    ]
    return promise


def _custom_properties() -> JsonSchema:
    landing = as_object(
        needs=("eventTime",), about="How events land.",
        eventTime=as_text("The timestamp field that determines the window; sent is the time of sending."),
        start=as_pattern(r"^\d{4}-\d\d-\d\d$", "a day is written 2026-01-31", "Has no effect."),
        window=as_choice(("hour", "day", "month"), "Length of a window; day by default."),
        partitions={"type": "integer", "minimum": 1, "maximum": 1000, "description": "Kafka partitions (4)."},
        encoding=as_text("Encoding of files that are not UTF-8, such as windows-1252; lake produce sends UTF-8."),
        topic=as_pattern(r"^[A-Za-z0-9._-]{1,249}$", "Kafka names topics in letters, digits, '.', '_' and '-'",
                       "Kafka topic, of any name; <domain>.<name> by default."),
    )  # fmt: skip
    conform = as_object(
        needs=(), about="How events become rows.",
        engine=as_choice(("auto", "duckdb", "spark"), "auto (default) uses Spark for large windows."),
        entrypoint=as_pattern(r"^[a-z_][a-z0-9_.]*:[a-z_][a-z0-9_]*$", "an entrypoint is module:function",
                            "A transform(df) -> df on Spark, as module:function."),
        unknownFields=as_choice(("keep", "reject"), "keep (default) puts undeclared fields into _extra."),
    )  # fmt: skip
    values = {
        "landing": landing,
        "conform": conform,
        "compatibility": as_choice(
            ("additive", "none"), "additive (default) refuses breaking changes within a major version."
        ),
        "quarantine": _quarantine(),
        "protection": _protection(),
        "roster": as_object(
            needs=("field",), about="Producers that are reported when they are silent while others send.",
            field=as_text("The field that identifies the producer; frequency is the longest silence."),
        ),
    }  # fmt: skip
    item = as_object(
        needs=("property", "value"), about="A setting of the lake.",
        property=as_choice(tuple(values), f"One of {', '.join(values)}."), value={},
    )  # fmt: skip
    item["allOf"] = [
        {"if": _is("property", name), "then": {"properties": {"value": value}}} for name, value in values.items()
    ]
    return as_list(item, "The lake's own settings; landing is required.", most=len(values))


def _quarantine() -> JsonSchema:
    return {
        **as_object(
            needs=(), about="The budget of bad rows: a window with more of them is held back.",
            maxRows={"type": "integer", "minimum": 0, "maximum": 1_000_000_000, "description": "Rows of a window."},
            maxPercent={"type": "number", "minimum": 0, "maximum": 100,
                        "description": "Percent of a window's rows without duplicates."},
        ),
        "minProperties": 1,
    }  # fmt: skip


def _protection() -> JsonSchema:
    names: JsonSchema = {"type": "string", "description": "A field."}
    return {
        **as_object(
            needs=(), about="Fields whose values do not reach staging.",
            tokenise=as_list(names, "Fields replaced by a keyed token, the same for equal values."),
            drop=as_list(names, "Fields replaced by null."),
        ),
        "minProperties": 1,
    }  # fmt: skip


def _table() -> JsonSchema:
    return as_object(
        needs=("name", "properties"), about="The table.",
        name=as_name("The asset's name.", ASSET_NAME_LENGTH),
        description=as_text("What one row is."),
        properties=as_list(_field(), "The fields, one line each.", most=1000),
        quality=as_list(_quality(), "Checks of a window before it is published."),
    )  # fmt: skip


def _field() -> JsonSchema:
    field = as_object(
        needs=("name", "logicalType"), about="One field.",
        name=as_name("Name of the column.", FIELD_NAME_LENGTH),
        logicalType=as_choice(LOGICAL_TYPES, "Type; number needs a physicalType, object and array are kept as JSON."),
        physicalType=as_pattern(r"^(decimal\( *\d{1,2} *, *\d{1,2} *\)|double)$",
                              "for a number, write decimal(precision,scale), such as decimal(12,2), or double",
                              "For numbers: decimal(precision,scale), or double for what is not money."),
        physicalName=as_text("The JSON key in the payload (for a CSV, the header) if it is not the name."),
        required={"type": "boolean", "description": "A row without it goes to quarantine."},
        primaryKey={"type": "boolean", "description": "Part of the key: of equal rows of a window the latest is kept."},
        primaryKeyPosition={"type": "integer", "minimum": 1, "description": "Order within the key, from 1."},
        description=as_text("Meaning of the field, with its unit."),
        classification=as_choice(CLASSIFICATIONS, "Marts have public and internal fields, and tokens."),
        logicalTypeOptions={"type": "object", "description": "Format and bounds, depending on the type."},
        quality=as_list(_quality(), "Rules and checks of this field."),
        customProperties=_readings(*READINGS),
    )  # fmt: skip
    never: JsonSchema = {"not": {}}
    count: JsonSchema = {"type": "integer", "minimum": 0, "maximum": 1_000_000_000}
    lengths = {
        "minLength": {**count, "description": "Fewest characters."},
        "maxLength": {**count, "description": "Most characters."},
        "pattern": as_text("Regular expression (RE2) that the whole value must match."),
    }
    bounds: JsonSchema = {
        "minimum": {"type": "number", "description": "Smallest value."},
        "maximum": {"type": "number", "description": "Largest value."},
    }
    format_: JsonSchema = {
        "format": as_text("Such as dd.MM.yyyy HH:mm, epoch_millis or epoch_seconds; ISO 8601 by default.")
    }
    words: JsonSchema = {"format": as_text("The words for true and false, such as yes/no.")}
    plain = _readings("nulls")
    readings: dict[str, JsonSchema] = {
        "string": plain, "integer": _readings("thousandsSeparator", "unit", "nulls"),
        "number": _readings("decimalSeparator", "thousandsSeparator", "unit", "nulls"), "boolean": plain,
        "date": _readings(*_DERIVED), "timestamp": _readings(*_DERIVED), "object": never, "array": never,
    }  # fmt: skip
    options: dict[str, JsonSchema] = {
        "string": lengths, "integer": bounds, "number": bounds, "boolean": words, "date": format_,
        "timestamp": format_, "object": {}, "array": {},
    }  # fmt: skip
    field["allOf"] = [
        {
            "if": _is("logicalType", name),
            "then": {
                "properties": {
                    "logicalTypeOptions": as_object(needs=(), about="Format and bounds.", **allowed),
                    "customProperties": readings[name],
                },
                **({"required": ["physicalType"]} if name == "number" else {}),
            },
        }
        for name, allowed in options.items()
    ]
    return field


def _readings(*names: str) -> JsonSchema:
    """Return the schema of a field's custom properties, which define how its value is read from the payload."""
    item = as_object(
        needs=("property", "value"), about="How it is written.",
        property=as_choice(names, " or ".join(filter(None, (", ".join(names[:-1]), names[-1]))) + "."), value={},
    )  # fmt: skip
    item["allOf"] = [{"if": _is("property", name), "then": {"properties": {"value": READINGS[name]}}} for name in names]
    return as_list(item, "How the value is read from the payload.", most=len(names))


def _quality() -> JsonSchema:
    number: JsonSchema = {"type": "number"}
    pair: JsonSchema = {"type": "array", "items": number, "minItems": 2, "maxItems": 2, "uniqueItems": True}
    quality = as_object(
        needs=(), about="One check.",
        type=as_choice(("library", "sql"), "library (default), or sql with a query of your own."),
        name=as_name("Name of the check; optional for a library check.", FIELD_NAME_LENGTH),
        description=as_text("Purpose of the check."),
        severity=as_choice(("error", "warning"), "error (default) keeps the window from being published."),
        metric=as_choice(METRICS, "The rows that are counted."),
        arguments=as_object(
            needs=(), about="Arguments of the metric.",
            validValues=as_list({"type": "string"}, "For invalidValues: the values allowed."),
            missingValues=as_list({"type": ["string", "null"]}, "For missingValues: the values that mean missing."),
            properties=as_list(as_text("A field."), "For duplicateValues of a table: the fields taken together."),
        ),
        unit=as_choice(("rows", "percent"), "rows (default) or percent of the rows."),
        query=as_text("One number, selected from the relation conformed (the window's good rows)."),
        **{operator: pair if "Between" in operator else number for operator in OPERATORS},
    )  # fmt: skip
    never: JsonSchema = {"not": {}}
    quality["allOf"] = [
        {
            "if": _is("type", "sql"),
            "then": {
                "required": ["name", "query"],
                "properties": dict.fromkeys(("metric", "arguments", "unit"), never),
            },
            "else": {"required": ["metric"], "properties": {"query": never}},
        }
    ]
    quality["oneOf"] = [{"required": [operator]} for operator in OPERATORS]
    return quality


def _is(key: str, value: str) -> JsonSchema:
    return {"properties": {key: {"const": value}}, "required": [key]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n")
