"""Translation of ODCS quality entries to an enum, which validates rows, or a check, which validates a window."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lake_assets.catalog.model import Check, Operator
from lake_assets.catalog.problems import did_you_mean
from lake_assets.catalog.queries import RELATION, query_problem

_OPERATORS: dict[str, Operator] = {
    "mustBe": "=", "mustNotBe": "!=", "mustBeLessThan": "<", "mustBeLessOrEqualTo": "<=", "mustBeGreaterThan": ">",
    "mustBeGreaterOrEqualTo": ">=", "mustBeBetween": "between", "mustNotBeBetween": "not between",
}  # fmt: skip
_METRIC_NAMES = {
    "nullValues": "null_values", "missingValues": "missing_values", "invalidValues": "invalid_values",
    "duplicateValues": "duplicate_values", "rowCount": "row_count",
}  # fmt: skip
Report = Callable[[tuple[str | int, ...], str], None]


@dataclass(frozen=True, slots=True)
class Column:
    """Name and type of a field, for a check."""

    name: str
    type: str


def is_enum(item: Mapping[str, Any]) -> bool:
    """Return True if an entry of a field restricts each row to a list of values."""
    return (
        item.get("metric") == "invalidValues"
        and item.get("mustBe") == 0
        and item.get("severity", "error") == "error"
        and "validValues" in item.get("arguments", {})
    )


def enum_values(item: Mapping[str, Any], column: Column, report: Report) -> tuple[str, ...]:
    """Return the values that an entry allows; report problems below the entry."""
    _needs_string(column, "invalidValues", report)
    values: list[str] = item["arguments"]["validValues"]
    doubled = sorted({value for value in values if values.count(value) > 1})
    if doubled:
        report(("arguments", "validValues"), f"'{doubled[0]}' is given twice; remove one.")
    return tuple(values)


def read_check(item: Mapping[str, Any], column: Column | None, fields: Mapping[str, str], report: Report) -> Check:
    """Read one check of a field (`column`) or of the whole table; `fields` are all fields with their logical types."""
    given = next(operator for operator in _OPERATORS if operator in item)
    bounds = item[given] if isinstance(item[given], list) else [item[given]]
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        report((given,), f"{bounds[0]} is more than {bounds[1]}; the smaller bound comes first.")
    query = _sql_query(item, report) if item.get("type") == "sql" else _library_query(item, column, fields, report)
    return Check(
        name=item.get("name") or _default_name(item, column),
        query=query,
        operator=_OPERATORS[given],
        bounds=tuple(Decimal(bound) for bound in bounds),
        blocking=item.get("severity", "error") == "error",
        description=item.get("description", ""),
    )


def _default_name(item: Mapping[str, Any], column: Column | None) -> str:
    metric = _METRIC_NAMES[item["metric"]]
    return f"{column.name}_{metric}" if column else metric


def _sql_query(item: Mapping[str, Any], report: Report) -> str:
    problem = query_problem(item["query"])
    if problem:
        report(("query",), problem)
    return item["query"].strip()


def _library_query(item: Mapping[str, Any], column: Column | None, fields: Mapping[str, str], report: Report) -> str:
    metric: str = item["metric"]
    arguments: Mapping[str, Any] = item.get("arguments", {})
    wanted = {"missingValues": "missingValues", "invalidValues": "validValues", "duplicateValues": "properties"}
    for name in arguments:
        if wanted.get(metric) != name or (name == "properties") == (column is not None):
            report(("arguments", name), f"does not belong to {metric} {'of a field' if column else 'of a table'}.")
    if metric == "rowCount":
        if column:
            report(("metric",), "rowCount belongs to the quality of the table, not of a field.")
        elif item.get("unit") == "percent":
            report(("unit",), "rowCount has no percent.")
        return f"select count(*) from {RELATION}"
    if metric == "duplicateValues":
        return _duplicates(item, column, fields, report)
    if column is None:
        report(("metric",), f"{metric} belongs to the quality of a field, not of the table.")
        return ""
    return _share(_condition(metric, arguments, column, report), item)


def _duplicates(item: Mapping[str, Any], column: Column | None, fields: Mapping[str, str], report: Report) -> str:
    names: list[str] = [column.name] if column else item.get("arguments", {}).get("properties", [])
    if not names:
        report((), "'arguments' is missing: duplicateValues of a table needs properties, the fields taken together.")
        return ""
    for at, name in enumerate(names):
        if name not in fields:
            report(("arguments", "properties", at), f"'{name}' is not a field.{did_you_mean(name, fields)}")
    distinct = f"count(distinct {names[0]})" if len(names) == 1 else f"count(distinct ({', '.join(names)}))"
    # One field compares its values and leaves empty ones out; several compare whole rows.
    total = f"count({names[0]})" if len(names) == 1 else "count(*)"
    if item.get("unit") == "percent":
        return f"select coalesce(100.0 * ({total} - {distinct}) / nullif(count(*), 0), 0) from {RELATION}"
    return f"select {total} - {distinct} from {RELATION}"


def _condition(metric: str, arguments: Mapping[str, Any], column: Column, report: Report) -> str:
    name = column.name
    if metric == "nullValues":
        return f"{name} is null"
    _needs_string(column, metric, report)
    if metric == "missingValues":
        missing: list[str | None] = arguments.get("missingValues", [None, ""])
        texts = ", ".join(_literal(value) for value in missing if value is not None)
        parts = [f"{name} is null"] if None in missing else []
        parts += [f"{name} in ({texts})"] if texts else []
        return " or ".join(parts)
    if "validValues" not in arguments:
        report((), "'arguments' is missing: invalidValues needs arguments: {validValues: [...]}; "
                   "for a pattern use logicalTypeOptions.")  # fmt: skip
        return ""
    return f"{name} not in ({', '.join(_literal(value) for value in arguments['validValues'])})"


def _share(condition: str, item: Mapping[str, Any]) -> str:
    if item.get("unit") == "percent":
        counted = f"count(case when {condition} then 1 end)"
        return f"select coalesce(100.0 * {counted} / nullif(count(*), 0), 0) from {RELATION}"
    return f"select count(*) from {RELATION} where {condition}"


def _needs_string(column: Column, metric: str, report: Report) -> None:
    if column.type != "string":
        report((), f"{metric} is for a string; '{column.name}' is {column.type}.")


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
