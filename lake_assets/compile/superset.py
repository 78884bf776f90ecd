"""Boards -> assets of Apache Superset: files that its import takes, with identities that stay the same.

Each chart has a dataset of its own, whose SQL is the query of the lake's own dashboard: both show the same numbers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from lake_assets.catalog.board import Board, Chart
from lake_assets.compile.board_layout import row_sizes
from lake_assets.compile.board_query import LIMITS, chart_query
from lake_assets.compile.chart_names import column_names, currencies

VERSION = "1.0.0"
DATABASE = "Lake"
# Marks what the lake made: what else has it and is not in the assets is removed.
MADE_BY = "lake bi superset"
_SPACE = UUID("6b1f6f0e-5b0f-4d7c-9a53-0c2a8f3f6a11")
_GRID = 12
_HEIGHTS = {"number": 20, "bar": 50, "line": 50, "table": 70}
_VIZ = {"number": "big_number_total", "line": "echarts_timeseries_line", "table": "table"}
Asset = dict[str, Any]


def superset_assets(boards: Iterable[Board], database_uri: str) -> dict[str, Asset]:
    """Return the assets by their path in the import. `database_uri` is SQLAlchemy's, of role analyst."""
    database = str(uuid5(_SPACE, "database"))
    assets: dict[str, Asset] = {
        "metadata.yaml": {"version": VERSION, "type": "assets"},
        "databases/lake.yaml": {
            "database_name": DATABASE,
            "sqlalchemy_uri": database_uri,
            "expose_in_sqllab": True,
            "allow_ctas": False,
            "allow_cvas": False,
            "allow_dml": False,
            "allow_file_upload": False,
            "extra": {"allows_virtual_table_explore": True},
            "uuid": database,
            "version": VERSION,
        },
    }
    for board in boards:
        charts = sorted(board.charts, key=lambda chart: not chart.is_live)
        ids = [f"{board.name}/{chart.table.full_name}/{chart.title}/{n}" for n, chart in _numbered(charts)]
        for chart, key in zip(charts, ids, strict=True):
            name = str(uuid5(_SPACE, key))
            assets[f"datasets/lake/{name}.yaml"] = _dataset(chart, key, database)
            assets[f"charts/{name}.yaml"] = _chart(chart, key)
        assets[f"dashboards/{board.name}.yaml"] = _dashboard(board, charts, ids)
    return assets


def _numbered(charts: Sequence[Chart]) -> list[tuple[int, Chart]]:
    """Return the charts with the number of those before that have the same table and title."""
    keys = [(chart.table.full_name, chart.title) for chart in charts]
    return [(keys[:place].count(key), chart) for place, (key, chart) in enumerate(zip(keys, charts, strict=True))]


def chart_uuid(key: str) -> str:
    """Return the identity of a chart, by its board, table, title and number among those of the same title."""
    return str(uuid5(_SPACE, f"chart {key}"))


def _dataset(chart: Chart, key: str, database: str) -> Asset:
    names = column_names(chart)
    numbers = names[-len(chart.y) :]
    columns = [
        {"column_name": name, "is_dttm": column is not None and chart.table.columns[column].kind == "time"}
        for name, column in zip(names, _columns(chart), strict=True)
    ]
    return {
        # A name that people see, and that is there once in a database.
        "table_name": f"{chart.title} ({key.rpartition('/')[0].partition('/')[0]} {uuid5(_SPACE, key).hex[:6]})",
        "description": MADE_BY,
        "schema": chart.table.schema,
        "sql": chart_query(chart, names),
        "columns": columns,
        # Each x and color is in one row: the sum is the number itself.
        "metrics": [
            {"metric_name": f"sum {name}", "verbose_name": name, "expression": f'sum("{name}")'} for name in numbers
        ],
        "uuid": str(uuid5(_SPACE, f"dataset {key}")),
        "database_uuid": database,
        "is_managed_externally": True,
        "external_url": MADE_BY,
        "version": VERSION,
    }


def _columns(chart: Chart) -> list[str | None]:
    """Return the mart's columns of x and color, and none for each number."""
    return [*(column for column in (chart.x, chart.color) if column), *([None] * len(chart.y))]


def _chart(chart: Chart, key: str) -> Asset:
    names = column_names(chart)
    dimensions, numbers = names[: -len(chart.y)], [f"sum {name}" for name in names[-len(chart.y) :]]
    viz = _VIZ.get(chart.kind, "echarts_timeseries_bar")
    limit = LIMITS[chart.kind]
    params: Asset = {"viz_type": viz, "adhoc_filters": [], "row_limit": limit, **_number_format(chart)}
    query: Asset = {"columns": dimensions, "metrics": numbers, "row_limit": limit, "filters": [], "extras": {}}
    if chart.kind == "number":
        params["metric"] = numbers[0]
    elif chart.kind == "table":
        params |= {"query_mode": "aggregate", "groupby": dimensions, "metrics": numbers, "order_desc": True}
    else:
        params |= {"x_axis": dimensions[0], "groupby": dimensions[1:], "metrics": numbers}
        params |= {"x_axis_sort_asc": True, "show_legend": len(names) > 2}
        if chart.kind == "bar" and chart.table.columns[str(chart.x)].kind != "time":
            params |= {"orientation": "horizontal", "x_axis_sort": numbers[0]}
    context = {"datasource": {}, "force": False, "queries": [query], "form_data": params, "result_type": "full"}
    return {
        "slice_name": chart.title,
        "description": chart.table.columns[chart.y[0].column].description or None,
        "viz_type": viz,
        "params": params,
        "query_context": json.dumps(context),
        "dataset_uuid": str(uuid5(_SPACE, f"dataset {key}")),
        "uuid": chart_uuid(key),
        "is_managed_externally": True,
        "external_url": MADE_BY,
        "version": VERSION,
    }


def _number_format(chart: Chart) -> Asset:
    if chart.unit == "%":
        return {"y_axis_format": ".1%"}
    if chart.unit in currencies():
        return {"y_axis_format": ",.2f", "currency_format": {"symbol": chart.unit, "symbolPosition": "prefix"}}
    return {"y_axis_format": ",.2~f", **({"subtitle": chart.unit} if chart.unit and chart.kind == "number" else {})}


def _dashboard(board: Board, charts: Sequence[Chart], keys: Sequence[str]) -> Asset:
    return {
        "dashboard_title": board.label,
        "description": board.description or None,
        "slug": board.name,
        "position": _position(charts, keys),
        "metadata": {"cross_filters_enabled": False, "refresh_frequency": 30 if any(c.is_live for c in charts) else 0},
        "published": True,
        "uuid": str(uuid5(_SPACE, f"dashboard {board.name}")),
        "is_managed_externally": True,
        "external_url": MADE_BY,
        "version": VERSION,
    }


def _position(charts: Sequence[Chart], keys: Sequence[str]) -> Mapping[str, Any]:
    """Return the grid: the rows of the lake's own dashboard. The numbers of charts are replaced by the import."""
    rows: list[str] = []
    position: Asset = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": rows, "parents": ["ROOT_ID"]},
    }
    place = 0
    for live in (True, False):
        for size in row_sizes([chart.kind for chart in charts if chart.is_live == live]):
            row = f"ROW-{len(rows)}"
            children = [f"CHART-{number}" for number in range(place, place + size)]
            for number, child in enumerate(children, start=place):
                meta = {
                    "chartId": number + 1,
                    "uuid": chart_uuid(keys[number]),
                    "sliceName": charts[number].title,
                    "width": _GRID // size,
                    "height": _HEIGHTS[charts[number].kind],
                }
                parents = ["ROOT_ID", "GRID_ID", row]
                position[child] = {"type": "CHART", "id": child, "children": [], "meta": meta, "parents": parents}
            meta = {"background": "BACKGROUND_TRANSPARENT"}
            position[row] = {
                "type": "ROW",
                "id": row,
                "children": children,
                "meta": meta,
                "parents": ["ROOT_ID", "GRID_ID"],
            }
            rows.append(row)
            place += size
    return position
