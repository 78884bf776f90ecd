"""Chart of a board -> SQL of Postgres that reads its rows: x, color, then one number for each y."""

from collections.abc import Sequence

from lake_assets.catalog.board import Chart, Filter, Value
from lake_assets.compile.sql import identifier, literal

# Rows that a chart can show; one more is read, so that a chart can report that there are more.
LIMITS = {"bar": 60, "line": 5000, "number": 1, "table": 200}


def chart_query(chart: Chart, names: Sequence[str] = ()) -> str:
    """Return the query. Its columns are `_x`, `_color`, `_y0` and so on, or have these names.

    `_x` and `_color` are left out where the chart has none.
    """
    keys = [(name, column) for name, column in (("_x", chart.x), ("_color", chart.color)) if column]
    columns = [identifier(name) for name in names] or [
        *(name for name, _ in keys),
        *(f"_y{number}" for number in range(len(chart.y))),
    ]
    values = [*(identifier(column) for _, column in keys), *(_number(chart, value) for value in chart.y)]
    selected = [f"{value} as {column}" for value, column in zip(values, columns, strict=True)]
    lines = [f"select {', '.join(selected)}", f"from {identifier(chart.table.schema)}.{identifier(chart.table.name)}"]
    if conditions := [*map(_condition, chart.filters), *_period(chart)]:
        lines.append(f"where {' and '.join(conditions)}")
    if keys:
        numbers = ", ".join(str(number + 1) for number in range(len(keys)))
        lines += [
            f"group by {numbers}",
            f"order by {_order(chart, numbers, columns[len(keys)])}",
            f"limit {LIMITS[chart.kind] + 1}",
        ]
    return "\n".join(lines)


def newest_query(chart: Chart) -> str | None:
    """Return a query for the newest time in the chart's table; None for a chart of all times."""
    if chart.time is None:
        return None
    return f"select max({identifier(chart.time)}) from {identifier(chart.table.schema)}.{identifier(chart.table.name)}"


def _number(chart: Chart, value: Value) -> str:
    column = identifier(value.column)
    if value.denominator:
        return f"1.0 * sum({column}) / nullif(sum({identifier(value.denominator)}), 0)"
    return f"{chart.table.columns[value.column].combine}({column})"


def _condition(condition: Filter) -> str:
    # Compared as texts, which columns of any type have.
    values = ", ".join(literal(_text(value)) for value in condition.values)
    return f"cast({identifier(condition.column)} as text) in ({values})"


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _period(chart: Chart) -> list[str]:
    if chart.last is None or chart.time is None:
        return []
    seconds = round(chart.last.total_seconds())
    return [f"{identifier(chart.time)} >= now() - interval '{seconds} seconds'"]


def _order(chart: Chart, numbers: str, first_y: str) -> str:
    """Order by time, or by the largest number first."""
    is_time = chart.x is not None and chart.table.columns[chart.x].kind == "time"
    return numbers if is_time or chart.kind == "line" else f"{first_y} desc nulls last, {numbers}"
