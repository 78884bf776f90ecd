"""Builders of small JSON Schemas, each with its purpose in `description`."""

from typing import Any

from lake_assets.catalog.names import NAME_PATTERN

JsonSchema = dict[str, Any]


def as_object(*, needs: tuple[str, ...], about: str = "", **properties: JsonSchema) -> JsonSchema:
    schema: JsonSchema = {"type": "object", "additionalProperties": False}
    if about:
        schema["description"] = about
    if needs:
        schema["required"] = list(needs)
    return {**schema, "properties": properties}


def as_list(items: JsonSchema, about: str, most: int = 200) -> JsonSchema:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items, "description": about}


def as_text(about: str) -> JsonSchema:
    return {"type": "string", "minLength": 1, "maxLength": 10_000, "description": about}


def as_name(about: str, longest: int) -> JsonSchema:
    return {"type": "string", "pattern": NAME_PATTERN, "maxLength": longest, "description": about}


def as_pattern(pattern: str, expected: str, about: str) -> JsonSchema:
    return {"type": "string", "pattern": pattern, "patternErrorMessage": expected, "description": about}


def as_choice(values: tuple[str, ...], about: str) -> JsonSchema:
    return {"enum": list(values), "description": about}
