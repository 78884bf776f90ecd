"""The house profile of ODCS as a JSON Schema: what editors complete from, and what contracts are held to first.

`python -m lake_assets.catalog.schema > lake_assets/catalog/contract.schema.json` renews the committed file.
"""

import json
import sys
from typing import Any

from lake_assets.catalog.names import ASSET_NAME_LENGTH, FIELD_NAME_LENGTH, NAME_PATTERN

JsonSchema = dict[str, Any]

LOGICAL_TYPES = ("string", "integer", "number", "boolean", "date", "timestamp", "object", "array")
CLASSIFICATIONS = ("public", "internal", "confidential", "restricted", "personal")
METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
OPERATORS = (
    "mustBe", "mustNotBe", "mustBeLessThan", "mustBeLessOrEqualTo", "mustBeGreaterThan", "mustBeGreaterOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
)  # fmt: skip


def contract_schema() -> JsonSchema:
    """The profile, without references, in JSON Schema 2020-12. Every contract it takes is valid ODCS 3.1 too.

    `patternErrorMessage` (a word that editors know) says in one sentence what a pattern wants.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Contract of one asset",
        **_object(
            needs=("apiVersion", "kind", "id", "name", "version", "status", "domain", "description", "team",
                      "customProperties", "schema"),
            apiVersion=_choice(("v3.1.0", "v3.2.0"), "Version of the Open Data Contract Standard."),
            kind=_choice(("DataContract",), "Always DataContract."),
            id=_text("Tells this contract from all others; <domain>.<name> does."),
            name=_name("Name of the asset, and of its tables.", ASSET_NAME_LENGTH),
            version=_pattern(r"^(0|[1-9]\d*)\.\d+\.\d+$", "a version is three numbers, such as 1.0.0",
                             "Raise the first number for a breaking change: it makes new tables beside the old ones."),
            status=_choice(("active", "deprecated"), "Every contract in this folder is applied."),
            domain=_name("Who the data belongs to; the topic is <domain>.<name>.", ASSET_NAME_LENGTH),
            description=_object(
                needs=("purpose",), about="What the dataset is, for readers of the catalog.",
                purpose=_text("One sentence: what one row is, and when it is written."),
                usage=_text("How to use it."), limitations=_text("How not to use it."),
            ),
            team=_object(
                needs=("name", "members"), about="Who answers for it; one member at least has the role owner.",
                name=_text("Name of the team."),
                members=_list(_object(
                    needs=("username", "role"), about="A person or a group.",
                    username=_pattern(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "a username is an e-mail address", "E-mail."),
                    role=_text("owner, or any other role."), name=_text("Full name."),
                ), "Members."),
            ),
            slaProperties=_list(_object(
                needs=("property", "value", "unit"), about="A promise about the data.",
                property=_choice(("freshness",), "freshness: the longest acceptable age of the newest data."),
                value={"type": "integer", "minimum": 1, "maximum": 100_000, "description": "How many units."},
                unit=_choice(("m", "h", "d"), "Minutes, hours or days."),
            ), "Promises.", most=1),
            customProperties=_custom_properties(),
            schema=_list(_table(), "The one table of this asset.", most=1),
        ),
    }  # fmt: skip


def _custom_properties() -> JsonSchema:
    landing = _object(
        needs=("eventTime", "start"), about="How events come in.",
        eventTime=_text("The timestamp field that windows are cut by."),
        start=_pattern(r"^\d{4}-\d\d-\d\d$", "a day is written 2026-01-31", "First day (UTC) that can hold events."),
        window=_choice(("hour", "day"), "Length of a window; day when left out."),
        partitions={"type": "integer", "minimum": 1, "maximum": 1000, "description": "Kafka partitions (4)."},
        topic=_pattern(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", "a topic is <domain>.<name> in a to z, 0 to 9 and _",
                       "Kafka topic; <domain>.<name> when left out."),
    )  # fmt: skip
    conform = _object(
        needs=(), about="How events become rows.",
        engine=_choice(("auto", "duckdb", "spark"), "auto (default) takes Spark for large windows."),
        entrypoint=_pattern(r"^[a-z_][a-z0-9_.]*:[a-z_][a-z0-9_]*$", "an entrypoint is module:function",
                            "A transform(df) -> df on Spark, as module:function."),
        unknownFields=_choice(("keep", "reject"), "keep (default) puts fields that are not declared into _extra."),
    )  # fmt: skip
    values = {
        "landing": landing,
        "conform": conform,
        "compatibility": _choice(
            ("additive", "none"), "additive (default) refuses breaking changes of one major version."
        ),
    }
    item = _object(
        needs=("property", "value"), about="A setting of the lake.",
        property=_choice(tuple(values), "landing, conform or compatibility."), value={},
    )  # fmt: skip
    item["allOf"] = [
        {"if": _is("property", name), "then": {"properties": {"value": value}}} for name, value in values.items()
    ]
    return _list(item, "The lake's own settings; landing is needed.", most=len(values))


def _table() -> JsonSchema:
    return _object(
        needs=("name", "properties"), about="The table.",
        name=_name("The asset's name again.", ASSET_NAME_LENGTH),
        description=_text("What one row is."),
        properties=_list(_field(), "The fields, one line each.", most=1000),
        quality=_list(_quality(), "Checks of a window before it is published."),
    )  # fmt: skip


def _field() -> JsonSchema:
    field = _object(
        needs=("name", "logicalType"), about="One field.",
        name=_name("Name of the column.", FIELD_NAME_LENGTH),
        logicalType=_choice(LOGICAL_TYPES, "Type; number needs a physicalType, object and array are kept as JSON."),
        physicalType=_pattern(r"^(decimal\( *\d{1,2} *, *\d{1,2} *\)|double)$",
                              "for a number, write decimal(precision,scale), such as decimal(12,2), or double",
                              "For numbers: decimal(precision,scale), or double for what is not money."),
        physicalName=_text("The JSON key in the payload (for a CSV, the header) when it is not the name."),
        required={"type": "boolean", "description": "A row without it goes to quarantine."},
        primaryKey={"type": "boolean", "description": "Part of the key: of equal rows of a window the latest wins."},
        primaryKeyPosition={"type": "integer", "minimum": 1, "description": "Order within the key, from 1."},
        description=_text("What it means, with its unit."),
        classification=_choice(CLASSIFICATIONS, "Who may see it."),
        logicalTypeOptions={"type": "object", "description": "Format and bounds; which ones depends on the type."},
        quality=_list(_quality(), "Rules and checks of this field."),
    )  # fmt: skip
    count: JsonSchema = {"type": "integer", "minimum": 0, "maximum": 1_000_000_000}
    lengths = {
        "minLength": {**count, "description": "Fewest characters."},
        "maxLength": {**count, "description": "Most characters."},
        "pattern": _text("Regular expression (RE2) that the whole value must match."),
    }
    bounds: JsonSchema = {
        "minimum": {"type": "number", "description": "Smallest value."},
        "maximum": {"type": "number", "description": "Largest value."},
    }
    format_: JsonSchema = {
        "format": _text("Such as dd.MM.yyyy HH:mm, epoch_millis or epoch_seconds; ISO 8601 when left out.")
    }
    options: dict[str, JsonSchema] = {
        "string": lengths, "integer": bounds, "number": bounds, "boolean": {}, "date": format_, "timestamp": format_,
        "object": {}, "array": {},
    }  # fmt: skip
    field["allOf"] = [
        {
            "if": _is("logicalType", name),
            "then": {
                "properties": {"logicalTypeOptions": _object(needs=(), about="Format and bounds.", **allowed)},
                **({"required": ["physicalType"]} if name == "number" else {}),
            },
        }
        for name, allowed in options.items()
    ]
    return field


def _quality() -> JsonSchema:
    number: JsonSchema = {"type": "number"}
    pair: JsonSchema = {"type": "array", "items": number, "minItems": 2, "maxItems": 2, "uniqueItems": True}
    quality = _object(
        needs=(), about="One check.",
        type=_choice(("library", "sql"), "library (default), or sql with a query of your own."),
        name=_name("Name of the check; derived when left out of a library check.", FIELD_NAME_LENGTH),
        description=_text("What it protects."),
        severity=_choice(("error", "warning"), "error (default) keeps the window from being published."),
        metric=_choice(METRICS, "What is counted."),
        arguments=_object(
            needs=(), about="Arguments of the metric.",
            validValues=_list({"type": "string"}, "For invalidValues: the values allowed."),
            missingValues=_list({"type": ["string", "null"]}, "For missingValues: what counts as missing."),
            properties=_list(_text("A field."), "For duplicateValues of a table: the fields taken together."),
        ),
        unit=_choice(("rows", "percent"), "rows (default) or percent of the rows."),
        query=_text("One number, selected from the relation conformed (the window's good rows)."),
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


def _object(*, needs: tuple[str, ...], about: str = "", **properties: JsonSchema) -> JsonSchema:
    schema: JsonSchema = {"type": "object", "additionalProperties": False}
    if about:
        schema["description"] = about
    if needs:
        schema["required"] = list(needs)
    return {**schema, "properties": properties}


def _list(items: JsonSchema, about: str, most: int = 200) -> JsonSchema:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items, "description": about}


def _text(about: str) -> JsonSchema:
    return {"type": "string", "minLength": 1, "maxLength": 10_000, "description": about}


def _name(about: str, longest: int) -> JsonSchema:
    return {"type": "string", "pattern": NAME_PATTERN, "maxLength": longest, "description": about}


def _pattern(pattern: str, expected: str, about: str) -> JsonSchema:
    return {"type": "string", "pattern": pattern, "patternErrorMessage": expected, "description": about}


def _choice(values: tuple[str, ...], about: str) -> JsonSchema:
    return {"enum": list(values), "description": about}


def _is(key: str, value: str) -> JsonSchema:
    return {"properties": {key: {"const": value}}, "required": [key]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n")
