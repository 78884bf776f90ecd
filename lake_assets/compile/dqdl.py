"""A contract's rules as a rule set of AWS Glue Data Quality (DQDL), over the staging table.

They are a second opinion by Amazon's engine, for a team that wants its results beside the table in Glue. Published rows
already passed the contract's own rules; a window that breaks one of these was not written by the lake. The rules judge
one window, as a contract's checks do: an evaluation needs the window as its partition predicate.

Left out: formats, JSON and unknown fields, which staging no longer shows, and patterns, which are RE2 here and Java's
in Glue. A check's query is DuckDB's SQL, and Spark runs it in Glue: the common subset works.
"""

import re
from collections.abc import Iterator

from lake_assets.catalog.model import Asset, Check, Field
from lake_assets.catalog.queries import RELATION

# String literals stay unchanged; the relation that a check reads is `primary` in Glue.
_RELATION = re.compile(rf"('(?:[^']|'')*')|\b{RELATION}\b", re.IGNORECASE)


def ruleset(asset: Asset) -> str:
    """Render the rule set, one rule per line, in the contract's order."""
    lines = ",\n".join(f"  {rule}" for rule in _rules(asset))
    return f"Rules = [\n{lines}\n]\n"


def _rules(asset: Asset) -> Iterator[str]:
    window = _text("_window")
    yield f"IsComplete {window}"
    # A key is unique within a window; IsPrimaryKey also requires a value in each of its columns.
    if asset.key and all(asset.field(name).required for name in asset.key):
        yield f"IsPrimaryKey {' '.join((window, *map(_text, asset.key)))}"
    for field in asset.fields:
        yield from _field_rules(field)
    for check in asset.checks:
        yield _check_rule(check)


def _field_rules(field: Field) -> Iterator[str]:
    column = _text(field.name)
    if field.required and field.protection != "drop":
        yield f"IsComplete {column}"
    if field.protection:
        return
    if field.enum:
        yield _values(field, f"in [{', '.join(map(_text, field.enum))}]")
    # `between` excludes its bounds.
    if field.minimum is not None:
        yield _values(field, f">= {field.minimum:f}")
    if field.maximum is not None:
        yield _values(field, f"<= {field.maximum:f}")
    # In Glue null has the length 0.
    if field.min_length:
        yield _or_null(field, f"ColumnLength {column} >= {field.min_length}")
    if field.max_length is not None:
        yield f"ColumnLength {column} <= {field.max_length}"


def _values(field: Field, condition: str) -> str:
    return _or_null(field, f"ColumnValues {_text(field.name)} {condition}")


def _or_null(field: Field, rule: str) -> str:
    """Accept null in a rule: Glue fails a row without a value, but here only `required` does."""
    return rule if field.required else f"({rule}) or (ColumnValues {_text(field.name)} = NULL)"


def _check_rule(check: Check) -> str:
    query = _RELATION.sub(lambda match: match[1] or "primary", check.query)
    custom = f"CustomSql {_text(' '.join(query.split()))}"
    low, high = (f"{bound:f}" for bound in (check.bounds[0], check.bounds[-1]))
    match check.operator:
        case "between":
            return f"({custom} >= {low}) and ({custom} <= {high})"
        case "not between":
            return f"({custom} < {low}) or ({custom} > {high})"
        case operator:
            return f"{custom} {operator} {low}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
