"""A contract's rules as a rule set of AWS Glue Data Quality (DQDL), over the staging table.

They are a second opinion by an engine of Amazon's, for a team that wants its results beside the table in Glue. What is
published is judged before, by the contract's own rules; a window that breaks one of these was not made by the lake.
They judge one window, as a contract's checks do: an evaluation must be given the window as its partition predicate.

Left out: formats, JSON and unknown fields, which staging no longer shows, and patterns, which are RE2's here and Java's
there. A check's query is DuckDB's SQL and Spark runs it there: what is common to both works.
"""

import re
from collections.abc import Iterator

from lake_assets.catalog.model import Asset, Check, Field
from lake_assets.catalog.queries import RELATION

# A text is left alone; the relation that a check reads is `primary` in Glue.
_RELATION = re.compile(rf"('(?:[^']|'')*')|\b{RELATION}\b", re.IGNORECASE)


def ruleset(asset: Asset) -> str:
    """The rule set's text, one rule a line, in the contract's order."""
    lines = ",\n".join(f"  {rule}" for rule in _rules(asset))
    return f"Rules = [\n{lines}\n]\n"


def _rules(asset: Asset) -> Iterator[str]:
    window = _text("_window")
    yield f"IsComplete {window}"
    # Within a window a key comes once; IsPrimaryKey also wants each of its columns to be there.
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
    # `between` leaves its bounds out.
    if field.minimum is not None:
        yield _values(field, f">= {field.minimum:f}")
    if field.maximum is not None:
        yield _values(field, f"<= {field.maximum:f}")
    # Null has the length 0 there.
    if field.min_length:
        yield _or_null(field, f"ColumnLength {column} >= {field.min_length}")
    if field.max_length is not None:
        yield f"ColumnLength {column} <= {field.max_length}"


def _values(field: Field, condition: str) -> str:
    return _or_null(field, f"ColumnValues {_text(field.name)} {condition}")


def _or_null(field: Field, rule: str) -> str:
    """A rule that a row without a value fails there, but not here: that is what `required` is for."""
    return rule if field.required else f"({rule}) or (ColumnValues {_text(field.name)} = NULL)"


def _check_rule(check: Check) -> str:
    query = _RELATION.sub(lambda found: found[1] or "primary", check.query)
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
