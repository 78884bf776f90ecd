"""Validate a contract's or a metric's tree by its profile; report each problem with the expected value."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from lake_assets.catalog.names import NAME_PATTERN, name_problem
from lake_assets.catalog.problems import Problem, TreePath, closest, did_you_mean, one_of
from lake_assets.catalog.schema import METRICS, OPERATORS
from lake_assets.catalog.schema_builders import JsonSchema
from lake_assets.catalog.source import Source, Tree

_KINDS = {
    "object": "a mapping", "array": "a list", "string": "a text", "boolean": "true or false",
    "integer": "a whole number", "number": "a number", "null": "nothing",
}  # fmt: skip
# Keys of ODCS without an effect in this lake. Ignoring them would hide that.
_INSTEAD = {
    "unique": "use quality with metric duplicateValues, or primaryKey",
    "enum": "use quality: [{metric: invalidValues, arguments: {validValues: [...]}, mustBe: 0}]",
    "partitioned": "windows follow landing.eventTime",
    "properties": "nested fields are kept as JSON and not declared",
    "items": "nested fields are kept as JSON and not declared",
    "format": "days, times and booleans have one; for a decimal comma use "
    "customProperties: [{property: decimalSeparator, value: comma}], and see thousandsSeparator and unit",
    "rule": "the standard's word is metric since v3.1",
    "exclusiveMinimum": "use minimum",
    "exclusiveMaximum": "use maximum",
    "timezone": "times without an offset are UTC",
    "defaultTimezone": "times without an offset are UTC",
    "servers": "where things are is a setting, not part of a contract",
}


@cache
def _validator(profile: Callable[[], JsonSchema]) -> Any:
    # Imported here: it takes 0.15 s, and the catalog's vocabulary is imported by processes that parse no contract.
    from jsonschema.validators import Draft202012Validator

    return Draft202012Validator(profile())


def structure_problems(source: Source, profile: Callable[[], JsonSchema]) -> dict[TreePath, list[Problem]]:
    """Return all differences between the tree and the profile, by path. An empty dict means that the shape is right."""
    problems: dict[TreePath, list[Problem]] = {}
    for error in _validator(profile).iter_errors(source.tree):
        for path, message in _sentences(error):
            problem = source.problem(path, message)
            if problem not in problems.setdefault(path, []):
                problems[path].append(problem)
    return problems


# Sentences of errors of one value, by the validator's name, from the value and the profile's own.
_SENTENCES: dict[str, Callable[[Any, Any], str]] = {
    "minLength": lambda value, least: "expected a text that is not empty.",
    "maxLength": lambda value, most: f"longer than {most} characters.",
    "minItems": lambda value, least: f"expected at least {least} in the list, found {len(value)}.",
    "maxItems": lambda value, most: f"expected at most {most} in the list, found {len(value)}.",
    "uniqueItems": lambda value, _: "the two bounds are the same.",
    "minimum": lambda value, least: f"{_shown(value)} is too small; {least} is the least.",
    "maximum": lambda value, most: f"{_shown(value)} is too large; {most} is the most.",
    "not": lambda value, _: "does not belong to one of this kind: remove it.",
    "enum": lambda value, choices: _choice_message(value, choices),
    "const": lambda value, choices: _choice_message(value, choices),
}


def _sentences(error: Any) -> Iterator[tuple[TreePath, str]]:
    """Translate one error of the validator into sentences."""
    path: TreePath = tuple(error.absolute_path)
    schema: dict[str, Any] = error.schema
    value: Any = error.instance
    match error.validator:
        case "additionalProperties":
            for key in sorted(set(value) - set(schema["properties"])):
                yield (*path, key), _unknown_key(key, value[key], list(schema["properties"]))
        case "required":
            for key in error.validator_value:
                if key not in value and key not in _misspelt(value, schema):
                    yield path, _missing_key(key, schema)
        case "type":
            yield path, _type_message(value, error.validator_value, schema)
        case "pattern":
            yield path, _pattern_message(str(value), schema)
        case "oneOf":
            yield from ((path, message) for message in _operator_messages(value, schema))
        case name if name in _SENTENCES:
            yield path, _SENTENCES[name](value, error.validator_value)
        case _:
            yield path, f"{error.message}."


def _type_message(value: Tree, kinds: str | list[str], schema: dict[str, Any]) -> str:
    names = " or ".join(_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    remedy = f"; {schema['patternErrorMessage']}" if "patternErrorMessage" in schema else ""
    return f"expected {names}, found {_shown(value)}{remedy}."


def _choice_message(value: Tree, choices: list[str]) -> str:
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"{_shown(value)} is not known here: use {one_of(choices)}.{hint}"


def _operator_messages(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    """Yield that a check has not exactly one operator. A value that is no mapping is reported already."""
    if not _is_mapping(value):
        return
    given = [operator for operator in OPERATORS if operator in value]
    if given or not _misspelt(value, schema) & set(OPERATORS):
        yield f"expected exactly one of {', '.join(OPERATORS)}; found {' and '.join(given) or 'none'}."


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _unknown_key(key: str, value: Tree, known: list[str]) -> str:
    if key in _INSTEAD and not did_you_mean(key, known):
        return f"'{key}' has no effect in this lake; remove it ({_INSTEAD[key]})."
    if value is None and " " in key:
        return f"'{key}' was read as a key: put the text around it in quotes, because it holds a comma."
    return f"unknown key '{key}'.{did_you_mean(key, known) or ' Known here: ' + ', '.join(known) + '.'}"


def _missing_key(key: str, schema: dict[str, Any]) -> str:
    if key == "team":
        return "'team' is missing: who owns this? Write team: {name: ..., members: [{username: E-MAIL, role: owner}]}."
    if key == "physicalType":
        return "'physicalType' is missing: a number is decimal(precision,scale), or double when it is not money."
    if key == "metric":
        return f"'metric' is missing: one of {', '.join(METRICS)}; or type: sql with a query."
    wanted: dict[str, Any] = schema.get("properties", {}).get(key, {})
    if "enum" in wanted:
        return f"'{key}' is missing: {one_of(wanted['enum'])}."
    return f"'{key}' is missing{': ' if 'description' in wanted else '.'}{wanted.get('description', '')}"


def _misspelt(value: dict[str, Tree], schema: dict[str, Any]) -> set[str]:
    """Return known keys that an unknown key likely means: these are not missing, and one mistake is reported once."""
    known: list[str] = list(schema.get("properties", {}))
    meant = {closest(key, known) for key in value if key not in known}
    return {key for key in meant if key is not None and key not in value}


def _pattern_message(value: str, schema: dict[str, Any]) -> str:
    if schema["pattern"] == NAME_PATTERN:
        return f"'{value}' {name_problem(value) or 'is not a name.'}"
    if re.fullmatch(r"decimal|numeric", value, re.IGNORECASE):
        return f"'{value}' has no precision: write decimal(precision,scale), such as decimal(12,2)."
    return f"'{value}': {schema['patternErrorMessage']}."


def _shown(value: Tree) -> str:
    if isinstance(value, bool):
        return f"{str(value).lower()} (a text needs quotes)"
    if isinstance(value, (int, Decimal)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"'{value[:60]}'"
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a mapping"
