"""Boards as assets of Superset, without one: what is computed from a description."""

import json
from collections.abc import Mapping
from typing import Any

from lake_assets.catalog.board import Board
from lake_assets.compile.board_query import chart_query
from lake_assets.compile.superset import superset_assets
from lake_assets.dbt.boards import read_boards
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from tests.support.board_manifests import ASSETS, chart, manifest

METRICS = read_files(load_settings()).metrics
LIVE = {"metric": "sales_by_region", "title": "Now", "kind": "number", "y": "orders"}
URI = "postgresql+psycopg2://analyst@127.0.0.1:5432/lake"


def board(*charts: Mapping[str, object], live: object = None) -> Board:
    [only] = read_boards(manifest(list(charts), live=live), METRICS, ASSETS).boards
    return only


def assets(*charts: Mapping[str, object], live: object = None) -> dict[str, dict[str, Any]]:
    return superset_assets([board(*charts, live=live)], URI)


def of(found: Mapping[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [asset for path, asset in found.items() if path.startswith(f"{kind}/")]


def test_each_chart_has_a_dataset_with_the_dashboards_query() -> None:
    keys = chart(kind="line", x="day", y="amount / orders", color="region", unit="%")
    found = assets(keys)
    [dataset], [made] = of(found, "datasets"), of(found, "charts")
    assert dataset["sql"] == chart_query(board(keys).charts[0], ["day", "region", "amount / orders"])
    assert [(each["column_name"], each["is_dttm"]) for each in dataset["columns"]] == [
        ("day", True),
        ("region", False),
        ("amount / orders", False),
    ]
    assert [each["expression"] for each in dataset["metrics"]] == ['sum("amount / orders")']
    assert made["dataset_uuid"] == dataset["uuid"]
    assert made["params"]["x_axis"] == "day"
    assert made["params"]["groupby"] == ["region"]
    assert made["params"]["y_axis_format"] == ".1%"
    assert json.loads(made["query_context"])["queries"][0]["columns"] == ["day", "region"]


def test_identities_are_the_same_at_each_run_and_there_once() -> None:
    charts = [chart(), chart(kind="table"), chart(title="Third")]
    first, second = assets(*charts), assets(*charts)
    assert first == second
    identities = [asset["uuid"] for asset in first.values() if "uuid" in asset]
    assert len(identities) == len(set(identities)) == 2 + 2 * len(charts)
    changed = assets(chart(y="amount"), *charts[1:])
    assert changed.keys() == first.keys()


def test_dashboard_has_the_rows_of_the_lakes_own() -> None:
    number = chart(kind="number", x=None)
    found = assets(*[number] * 2, chart(), live=[LIVE])
    [dashboard] = of(found, "dashboards")
    position = dashboard["position"]
    rows = [position[row]["children"] for row in position["GRID_ID"]["children"]]
    assert rows == [["CHART-0"], ["CHART-1", "CHART-2"], ["CHART-3"]]
    assert [position[child]["meta"]["width"] for row in rows for child in row] == [12, 6, 6, 12]
    names = {asset["uuid"]: asset["slice_name"] for asset in of(found, "charts")}
    assert names[position["CHART-0"]["meta"]["uuid"]] == "Now"
    # A metric moves while the page is open.
    assert dashboard["metadata"]["refresh_frequency"] == 30


def test_database_takes_no_files_and_no_changes() -> None:
    [database] = of(assets(chart()), "databases")
    assert database["sqlalchemy_uri"] == URI
    assert not any(database[key] for key in ("allow_ctas", "allow_cvas", "allow_dml", "allow_file_upload"))


def test_bars_of_categories_are_horizontal_and_those_of_times_are_not() -> None:
    [by_region] = of(assets(chart()), "charts")
    assert by_region["params"]["orientation"] == "horizontal"
    [by_day] = of(assets(chart(x="day")), "charts")
    assert "orientation" not in by_day["params"]
