"""`config.meta.charts` of a dbt model or exposure, as charts: each with all of its problems."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from lake_assets.catalog.board import KINDS, Chart, Filter, FilterValue, Kind, Table, Value
from lake_assets.catalog.problems import did_you_mean, one_of

_KEYS = ("board", "title", "kind", "x", "y", "color", "filter", "last", "unit")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_VALUE = re.compile(rf"({_NAME})(?: */ *({_NAME}))?")
_LAST = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_WITH_COLOR = ("bar", "line")


@dataclass(frozen=True, slots=True)
class ChartProblem:
    """One problem of a chart. `path` has the form `charts[1].y`."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedChart:
    """One entry of `charts`: the chart, or the problems for which there is none. `board` is as it is written."""

    board: str | None
    chart: Chart | None
    problems: tuple[ChartProblem, ...]


def parse_charts(
    charts: object, find_table: Callable[[Mapping[str, Any]], Table | str], more_keys: Sequence[str] = ()
) -> list[ParsedChart]:
    """Parse the value of `charts`.

    `find_table` returns the table of an entry, or a sentence for which it has none. `more_keys` are allowed besides
    those of every chart.
    """
    if not isinstance(charts, list):
        return [ParsedChart(None, None, (ChartProblem("charts", "must be a list of charts."),))]
    entries = cast(list[Any], charts)
    return [_parse_entry(entry, f"charts[{number}]", find_table, more_keys) for number, entry in enumerate(entries)]


def _parse_entry(
    entry: object, path: str, find_table: Callable[[Mapping[str, Any]], Table | str], more_keys: Sequence[str]
) -> ParsedChart:
    if not isinstance(entry, dict):
        return ParsedChart(None, None, (ChartProblem(path, "must have keys, such as title, kind and y."),))
    keys = cast(dict[str, Any], entry)
    table = find_table(keys)
    if isinstance(table, str):
        return ParsedChart(_board(keys), None, (ChartProblem(path, table),))
    parser = _Parser(keys, path, table)
    chart = parser.parse((*_KEYS, *more_keys))
    return ParsedChart(_board(keys), chart, tuple(parser.problems))


def _board(keys: Mapping[str, Any]) -> str | None:
    return keys["board"] if isinstance(keys.get("board"), str) else None


class _Parser:
    """One chart of a table."""

    def __init__(self, keys: Mapping[str, Any], path: str, table: Table) -> None:
        self.problems: list[ChartProblem] = []
        self._keys = keys
        self._path = path
        self._table = table

    def parse(self, allowed: Sequence[str]) -> Chart | None:
        for key in self._keys:
            if key not in allowed:
                self._report(str(key), f"is no key of a chart.{did_you_mean(str(key), allowed)}")
        title, unit = self._text("title"), self._text("unit", default="")
        kind: Kind | None = next((kind for kind in KINDS if kind == self._keys.get("kind")), None)
        if kind is None:
            self._report("kind", f"must be {one_of(KINDS)}, not {self._keys.get('kind')!r}.")
            return None
        x, y = self._x(kind), self._y(kind)
        color = self._color(kind, y)
        filters = self._filters()
        last, time = self._last(x)
        if self.problems or title is None or unit is None:
            return None
        return Chart(title, kind, self._table, x, y, color, filters, last, time, unit)

    def _report(self, key: str, message: str) -> None:
        self.problems.append(ChartProblem(f"{self._path}.{key}", message))

    def _text(self, key: str, default: str | None = None) -> str | None:
        value = self._keys.get(key, default)
        if not isinstance(value, str) or (not value.strip() and default is None):
            self._report(key, "must be a text.")
            return None
        return value.strip()

    def _column(self, key: str, name: object) -> str | None:
        """Return the name if the table has the column, else report it."""
        columns = self._table.columns
        if not isinstance(name, str):
            self._report(key, "must be the name of a column.")
        elif name not in columns:
            hint = did_you_mean(name, columns) or f" Its columns are {', '.join(columns)}."
            self._report(key, f"{self._table.full_name} has no column '{name}'.{hint}")
        else:
            return name
        return None

    def _x(self, kind: str) -> str | None:
        if kind == "number":
            if "x" in self._keys:
                self._report("x", "a number has no x.")
            return None
        return self._column("x", self._keys.get("x"))

    def _y(self, kind: str) -> tuple[Value, ...]:
        given: object = self._keys.get("y")
        names = cast(list[Any], given) if isinstance(given, list) else [given]
        values = [value for name in names if (value := self._value(name))]
        if not names:
            self._report("y", "must have one column or more.")
        if kind == "number" and len(names) > 1:
            self._report("y", "a number has one y.")
        return tuple(values)

    def _value(self, text: object) -> Value | None:
        match = _VALUE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            self._report("y", "must be a column, or a quotient of two such as 'converted_leads / leads'.")
            return None
        names = [self._column("y", name) for name in match.groups() if name]
        for name in filter(None, names):
            if self._table.columns[name].kind != "number":
                self._report("y", f"the column '{name}' is no number.")
        return Value(match[1], match[2]) if all(names) else None

    def _color(self, kind: str, y: Sequence[Value]) -> str | None:
        if "color" not in self._keys:
            return None
        if kind not in _WITH_COLOR:
            self._report("color", f"only {one_of(_WITH_COLOR)} have colors.")
        elif len(y) > 1:
            self._report("color", "several y have a color each: name one y, or no color.")
        return self._column("color", self._keys["color"])

    def _filters(self) -> tuple[Filter, ...]:
        given: object = self._keys.get("filter", {})
        if not isinstance(given, dict):
            self._report("filter", "must have columns with their values, such as {region: [north, south]}.")
            return ()
        filters: list[Filter] = []
        for name, value in cast(dict[str, Any], given).items():
            values = cast(list[Any], value) if isinstance(value, list) else [value]
            if not values or not all(isinstance(each, FilterValue) for each in values):
                self._report(f"filter.{name}", "must be a text, a whole number, true or false, or a list of them.")
            elif column := self._column(f"filter.{name}", name):
                filters.append(Filter(column, tuple(values)))
        return tuple(filters)

    def _last(self, x: str | None) -> tuple[timedelta | None, str | None]:
        """Return the period of the rows, and the column with their time."""
        if "last" not in self._keys:
            return None, None
        match = _LAST.fullmatch(str(self._keys["last"]))
        if match is None:
            self._report("last", "must be a number with m, h or d, such as 90d.")
            return None, None
        columns = self._table.columns
        time = x if x is not None and columns[x].kind == "time" else self._table.time
        if time is None:
            self._report("last", f"needs a time as x, because {self._table.full_name} has not exactly one.")
        return int(match[1]) * _UNITS[match[2]], time
