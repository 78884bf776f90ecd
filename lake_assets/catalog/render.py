"""Render an inferred contract as YAML: one line per field, with guesses in a comment at its end."""

import re
from collections.abc import Iterator

from lake_assets.catalog.formats import DECIMAL_COMMA
from lake_assets.catalog.infer import Inferred, InferredField

SCHEMA_COMMENT = "# yaml-language-server: $schema=../contract.schema.json"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_PLAIN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def render_contract(
    inferred: Inferred, *, name: str, domain: str, owner: str, owner_is_known: bool, origin: str
) -> str:
    """Render the contract's text. `origin` names the sample, for the initial description."""
    key = [column for column in inferred.fields if column.key_position]
    encoding = f", encoding: {inferred.encoding}" if inferred.encoding else ""
    window = f"; window: {inferred.window_why}" if inferred.window_why else ""
    lines = [
        SCHEMA_COMMENT,
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {domain}.{name}",
        f"name: {name}",
        "version: 1.0.0",
        "status: draft  # any change can be applied; active refuses breaking changes",
        f"domain: {domain}",
        f"description: {{purpose: {scalar(f'Events of {name}, as in {origin}.')}}}  # describe what one row is",
        f"team: {{name: {domain}, members: [{{username: {scalar(owner)}, role: owner}}]}}"
        + ("" if owner_is_known else "  # the owner of this data?"),
        "customProperties:",
        f"  - {{property: landing, value: {{eventTime: {inferred.event_time}, window: {inferred.window}, "
        f"partitions: 4{encoding}}}}}  # event time: {_comment(inferred.event_time_why)}{window}",
        "schema:",
        f"  - name: {name}",
        "    properties:",
        *(field_line(column, len(key)) for column in inferred.fields),
    ]
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """Render a text as a YAML scalar within flow style; quoted unless it is a plain word."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_PLAIN:
        return text
    return '"' + "".join(_ESCAPES.get(letter) or _escaped(letter) for letter in text) + '"'


def field_line(column: InferredField, key_parts: int) -> str:
    """Render the line of one field; `key_parts` is the number of key fields."""
    parts = [*_declaration(column, key_parts), *_reading(column), *_quality(column)]
    comment = f"  # {_comment('; '.join(column.doubts))}" if column.doubts else ""
    return f"      - {{{', '.join(parts)}}}{comment}"


def _declaration(column: InferredField, key_parts: int) -> Iterator[str]:
    """Yield name and type of a field, and its part of the key."""
    yield f"name: {column.name}"
    yield f"logicalType: {column.type.logical}"
    if column.type.physical:
        yield f"physicalType: {scalar(column.type.physical)}"
    if column.source != column.name and not column.path and not column.join:
        yield f"physicalName: {scalar(column.source)}"
    if column.required:
        yield "required: true"
    if column.key_position:
        yield "primaryKey: true"
        if key_parts > 1:
            yield f"primaryKeyPosition: {column.key_position}"


def _reading(column: InferredField) -> Iterator[str]:
    """Yield how the payload's value is read."""
    kind = column.type
    properties = ["{property: decimalSeparator, value: comma}"] if kind.format == DECIMAL_COMMA else []
    for name, text in (("thousandsSeparator", kind.thousands), ("unit", kind.unit)):
        if text:
            properties.append(f"{{property: {name}, value: {scalar(text)}}}")
    for name, texts in (("nulls", kind.nulls), ("path", column.path), ("join", column.join)):
        if texts:
            properties.append(f"{{property: {name}, value: [{', '.join(map(scalar, texts))}]}}")
    if properties:
        yield f"customProperties: [{', '.join(properties)}]"
    if kind.format and kind.format != DECIMAL_COMMA:
        yield f"logicalTypeOptions: {{format: {scalar(kind.format)}}}"


def _quality(column: InferredField) -> Iterator[str]:
    """Yield the protection of a field, and the rule of its values."""
    if column.personal:
        yield "classification: personal"
    if column.values:
        values = ", ".join(scalar(value) for value in column.values)
        severity = "" if column.closed else ", severity: warning"
        yield f"quality: [{{metric: invalidValues, arguments: {{validValues: [{values}]}}, mustBe: 0{severity}}}]"


def _comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
