"""Board -> what Metabase needs for it: a question for each chart, and its place on the dashboard.

A question is SQL, the same that the lake's own dashboard runs, so both show the same numbers. It also needs none of
Metabase's own ids of tables and columns, which exist only after a sync.
"""

import json
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from lake_assets.catalog.board import Board, Chart, Kind
from lake_assets.compile.board_layout import row_sizes
from lake_assets.compile.board_query import chart_query
from lake_assets.compile.chart_names import column_names, currencies

# Metabase's identity of a question has 21 characters of this alphabet: A-Z a-z 0-9 _ -
ID_PREFIX = "lake-"
_ID_LENGTH = 21
# Columns of Metabase's grid, and the rows of a chart on it.
_GRID = 24
_HEIGHTS: dict[Kind, int] = {"number": 3, "bar": 6, "line": 6, "table": 9}
MADE_BY = "Made by `lake bi apply`, which replaces changes. To change it, save a copy."
_MARKER = re.compile(r"\[lake:(\d+)/(\w+)(?:#(\d+))?\]\s*$")


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a chart on the grid of a dashboard, which has 24 columns."""

    col: int
    row: int
    size_x: int
    size_y: int


@dataclass(frozen=True, slots=True)
class Question:
    """A chart as Metabase saves it. `entity_id` is its identity there, which no other object of that Metabase has."""

    entity_id: str
    name: str
    description: str
    display: str
    sql: str
    visualization_settings: dict[str, Any]
    place: Place


@dataclass(frozen=True, slots=True)
class Marker:
    """Mark in the description of what the lake made: Metabase's id of the database, the board, a dashboard's own id.

    A copy of a dashboard has the same description, but another id, by which it is recognized.
    """

    database: int
    board: str
    dashboard: int | None = None

    def __str__(self) -> str:
        own = "" if self.dashboard is None else f"#{self.dashboard}"
        return f"[lake:{self.database}/{self.board}{own}]"


def read_marker(description: str | None) -> Marker | None:
    """Return the mark at the end of a description; None if the lake did not make it."""
    match = _MARKER.search(description or "")
    return Marker(int(match[1]), match[2], int(match[3]) if match[3] else None) if match else None


def describe_board(board: Board, marker: Marker) -> str:
    """Return the description of a board's collection or dashboard, with the marker at its end."""
    owner = f"Owner: {board.owner}." if board.owner else ""
    about = " ".join(filter(None, (board.description, owner)))
    return "\n\n".join(filter(None, (about, f"{MADE_BY} {marker}")))


def questions(board: Board, database: int) -> tuple[Question, ...]:
    """Return the questions of a board, those of metrics first. `database` is the id of the lake's in Metabase."""
    charts = sorted(board.charts, key=lambda chart: not chart.is_live)
    seen: Counter[tuple[str, str]] = Counter()
    found: list[Question] = []
    for chart, place in zip(charts, _places(charts), strict=True):
        key = (chart.table.full_name, chart.title)
        names = column_names(chart)
        found.append(
            Question(
                entity_id=_entity_id(database, board.name, *key, seen[key]),
                name=chart.title,
                description=_description(chart),
                display=_display(chart),
                sql=_without_templates(chart_query(chart, names)),
                visualization_settings=_settings(chart, names),
                place=place,
            )
        )
        seen[key] += 1
    return tuple(found)


def _entity_id(*key: object) -> str:
    """Return an identity that is the same at each run: a chart is known by its board, table and title."""
    digest = sha256(json.dumps(key).encode()).digest()
    return (ID_PREFIX + urlsafe_b64encode(digest).decode())[:_ID_LENGTH]


def _places(charts: Sequence[Chart]) -> Iterator[Place]:
    rest, row = iter(charts), 0
    for live in (True, False):
        kinds: list[Kind] = [chart.kind for chart in charts if chart.is_live == live]
        for size in row_sizes(kinds):
            height = max(_HEIGHTS[chart.kind] for chart in islice(rest, size))
            width = _GRID // size
            yield from (Place(number * width, row, width, height) for number in range(size))
            row += height


def _description(chart: Chart) -> str:
    about = chart.table.columns[chart.y[0].column].description
    return "\n\n".join(filter(None, (about, MADE_BY)))


def _display(chart: Chart) -> str:
    if chart.kind == "bar":
        # Names of categories stay readable beside horizontal bars.
        return "bar" if _is_time(chart) else "row"
    return {"number": "scalar", "line": "line", "table": "table"}[chart.kind]


def _is_time(chart: Chart) -> bool:
    return chart.x is not None and chart.table.columns[chart.x].kind == "time"


def _settings(chart: Chart, names: Sequence[str]) -> dict[str, Any]:
    numbers = list(names[-len(chart.y) :])
    settings: dict[str, Any] = {}
    if chart.kind == "number":
        settings["scalar.field"] = numbers[0]
    elif chart.kind != "table":
        settings["graph.dimensions"] = list(names[: -len(chart.y)])
        settings["graph.metrics"] = numbers
    if unit := _unit(chart.unit):
        # A key of a column is JSON in Metabase's own form, without spaces.
        settings["column_settings"] = {json.dumps(["name", name], separators=(",", ":")): unit for name in numbers}
    return settings


def _unit(unit: str) -> dict[str, str]:
    if unit == "%":
        return {"number_style": "percent"}
    if unit in currencies():
        return {"number_style": "currency", "currency": unit}
    return {"suffix": f" {unit}"} if unit else {}


def _without_templates(sql: str) -> str:
    """Split literals that Metabase would take for its own templates: `{{…}}` is a variable, `[[…]]` optional."""
    return re.sub(r"\[(?=\[)", "[' || '", re.sub(r"\{(?=\{)", "{' || '", sql))
