"""Boards as a dbt project describes them, and the queries of their charts."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_assets.catalog.board import Chart
from lake_assets.catalog.texts import NOTHING, Catalog
from lake_assets.compile.board_query import chart_query, newest_query
from lake_assets.dbt.boards import Boards, read_boards
from lake_assets.dbt.environment import manifest_path
from lake_assets.operations.unapplied import unapplied
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from tests.support.board_manifests import ASSETS, chart, manifest
from tests.support.raw_assets import example_asset

METRICS = read_files(load_settings()).metrics
MODEL = "models/marts/shop_data_mart/orders.yml: models.orders.config.meta"
EXPOSURE = "models/marts/shop_data_mart/orders.yml: exposures.shop_board.config.meta"


def one(keys: Mapping[str, object]) -> Chart:
    """Return the only chart of the board of a manifest with these keys."""
    [board] = read_boards(manifest([keys]), METRICS, ASSETS).boards
    [only] = board.charts
    return only


def test_marts_of_other_assets_have_no_board_and_no_problem() -> None:
    """Regression guard: the examples' boards were reported to every lake with a catalog of its own."""
    live = [{"metric": "no_such_metric", "title": "Now", "kind": "number", "y": "orders"}]
    broken = manifest([chart(x="nowhere")], live=live)
    assert len(read_boards(broken, {}, ASSETS).problems) == 2
    assert read_boards(broken, {}, [example_asset("visits")]) == Boards()


def problems(charts: object, **options: Any) -> tuple[str, ...]:
    return read_boards(manifest(charts, **options), METRICS, ASSETS).problems


def test_charts_are_on_the_board_that_reads_their_mart() -> None:
    [board] = read_boards(manifest([chart(), chart(title="Amount", y="amount")]), METRICS, ASSETS).boards
    assert (board.name, board.label, board.owner, board.problems) == ("shop_board", "Shop board", "shop", ())
    assert [each.title for each in board.charts] == ["Orders", "Amount"]
    assert board.charts[0].table.assets == {("orders_staging", "orders")}


def test_mart_with_several_boards_names_the_board_of_each_chart() -> None:
    charts = [chart(board="second"), chart(board="first", title="Amount")]
    boards = read_boards(manifest(charts, boards=("first", "second")), METRICS, ASSETS).boards
    assert {board.name: [each.title for each in board.charts] for board in boards} == {
        "first": ["Amount"],
        "second": ["Orders"],
    }


WRONG = {
    "an unknown key": (chart(colour="region"), "charts[0].colour: is no key of a chart. Did you mean 'color'?"),
    "an unknown kind": (chart(kind="pie"), "charts[0].kind: must be 'bar', 'line', 'number' or 'table', not 'pie'."),
    "no kind": (chart(kind=None), "charts[0].kind: must be 'bar', 'line', 'number' or 'table', not None."),
    "no title": (chart(title=None), "charts[0].title: must be a text."),
    "no x": (chart(x=None), "charts[0].x: must be the name of a column."),
    "no y": (chart(y=None), "charts[0].y: must be a column, or a quotient of two such as 'converted_leads / leads'."),
    "an empty y": (chart(y=[]), "charts[0].y: must have one column or more."),
    "an unknown column as x": (
        chart(x="regoin"),
        "charts[0].x: shop_data_mart.orders has no column 'regoin'. Did you mean 'region'?",
    ),
    "an unknown column as y": (
        chart(y=["orders", "zzz"]),
        "charts[0].y: shop_data_mart.orders has no column 'zzz'. "
        "Its columns are region, day, orders, amount, seen_at.",
    ),
    "an unknown divisor": (
        chart(y="amount / order"),
        "charts[0].y: shop_data_mart.orders has no column 'order'. Did you mean 'orders'?",
    ),
    "an unknown column as color": (
        chart(color="orderz"),
        "charts[0].color: shop_data_mart.orders has no column 'orderz'. Did you mean 'orders'?",
    ),
    "an unknown column as filter": (
        chart(filter={"regio": "north"}),
        "charts[0].filter.regio: shop_data_mart.orders has no column 'regio'. Did you mean 'region'?",
    ),
    "a text as y": (chart(y="region"), "charts[0].y: the column 'region' is no number."),
    "SQL as y": (
        chart(y="sum(orders)"),
        "charts[0].y: must be a column, or a quotient of two such as 'converted_leads / leads'.",
    ),
    "SQL as filter": (
        chart(filter="region = 'north'"),
        "charts[0].filter: must have columns with their values, such as {region: [north, south]}.",
    ),
    "a filter without a value": (
        chart(filter={"region": []}),
        "charts[0].filter.region: must be a text, a whole number, true or false, or a list of them.",
    ),
    "color with several y": (
        chart(y=["orders", "amount"], color="region"),
        "charts[0].color: several y have a color each: name one y, or no color.",
    ),
    "color of a table": (chart(kind="table", color="day"), "charts[0].color: only 'bar' or 'line' have colors."),
    "x of a number": (chart(kind="number"), "charts[0].x: a number has no x."),
    "two numbers": (chart(kind="number", x=None, y=["orders", "amount"]), "charts[0].y: a number has one y."),
    "a period in words": (
        chart(x="day", last="a week"),
        "charts[0].last: must be a number with m, h or d, such as 90d.",
    ),
    "a period without a time": (
        chart(last="7d"),
        "charts[0].last: needs a time as x, because shop_data_mart.orders has not exactly one.",
    ),
    "a text in place of a chart": ("orders", "charts[0]: must have keys, such as title, kind and y."),
    "a board that is not there": (
        chart(board="shop"),
        "charts: no exposure 'shop' reads orders. Those that do are shop_board.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_chart_is_reported_with_file_and_path(case: str) -> None:
    charts, message = WRONG[case]
    found = read_boards(manifest([charts, chart(title="Kept")]), METRICS, ASSETS)
    assert found.problems == (f"{MODEL}.{message}",)
    [board] = found.boards
    # The other chart stays, and the reader of the board sees why one is missing.
    assert ([each.title for each in board.charts], board.problems) == (["Kept"], found.problems)


def test_charts_must_be_a_list() -> None:
    assert problems({"title": "Orders"}) == (f"{MODEL}.charts: must be a list of charts.",)


def test_chart_of_a_mart_that_no_exposure_reads_is_reported() -> None:
    assert problems([chart()], boards=()) == (
        f"{MODEL}.charts: no exposure reads orders: add one that depends on ref('orders').",
    )


def test_chart_of_a_mart_with_two_boards_needs_to_name_one() -> None:
    assert problems([chart()], boards=("first", "second")) == (
        f"{MODEL}.charts: needs 'board', which is 'first' or 'second'.",
    )


def test_chart_of_a_metric_stands_in_the_exposure() -> None:
    live = [chart(metric="sales_by_region", kind="number", x=None, last="1h")]
    [board] = read_boards(manifest(None, live=live), METRICS, ASSETS).boards
    [only] = board.charts
    assert (only.is_live, only.time, only.table.full_name) == (True, "window_start", "metrics.sales_by_region")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metric": "sales_by_regoin"}, "there is no metric 'sales_by_regoin'. Did you mean 'sales_by_region'?"),
        ({}, "a chart of an exposure needs 'metric'; charts of a mart stand in its model."),
    ],
)
def test_chart_of_an_exposure_names_a_metric_that_is_there(keys: Mapping[str, object], message: str) -> None:
    assert problems(None, live=[chart(**keys)]) == (f"{EXPOSURE}.charts[0]: {message}",)


def test_plan_and_apply_report_the_problems_of_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    settings = load_settings()
    path = manifest_path(settings)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest([chart(kind="pie")]) | {"nodes": {}}), "utf-8")
    wanted = Catalog({asset.name: asset for asset in ASSETS}, texts={asset.path: "" for asset in ASSETS})
    assert unapplied(settings, NOTHING, wanted).broken == ()
    stored = manifest([chart(kind="pie")])
    for node in stored["nodes"].values():
        node |= {"path": "marts/shop_data_mart/orders.sql", "raw_code": "select 1"}
    path.write_text(json.dumps(stored), "utf-8")
    [sentence] = unapplied(settings, NOTHING, wanted).broken
    assert sentence.startswith(f"{MODEL}.charts[0].kind:")


def test_query_adds_up_the_rows_of_equal_x_and_color() -> None:
    assert chart_query(one(chart(kind="line", x="day", y="amount", color="region"))) == (
        'select "day" as _x, "region" as _color, sum("amount") as _y0\n'
        'from "shop_data_mart"."orders"\ngroup by 1, 2\norder by 1, 2\nlimit 5001'
    )


def test_quotient_is_that_of_the_sums() -> None:
    query = chart_query(one(chart(kind="number", x=None, y="amount / orders")))
    assert query == 'select 1.0 * sum("amount") / nullif(sum("orders"), 0) as _y0\nfrom "shop_data_mart"."orders"'


def test_largest_number_comes_first_unless_x_is_a_time() -> None:
    assert "order by _y0 desc nulls last, 1" in chart_query(one(chart()))
    assert "order by 1\n" in chart_query(one(chart(x="day")))


def test_values_of_a_filter_are_quoted() -> None:
    hostile = "'; drop table orders; --"
    query = chart_query(one(chart(filter={"region": ["north", hostile], "orders": 3})))
    condition = (
        """where cast("region" as text) in ('north', '''; drop table orders; --') and cast("orders" as text) in ('3')"""
    )
    assert condition in query


def test_period_ends_now_and_is_of_the_charts_time() -> None:
    assert """where "day" >= now() - interval '604800 seconds'""" in chart_query(one(chart(x="day", last="7d")))
    assert newest_query(one(chart(x="day", last="7d"))) == 'select max("day") from "shop_data_mart"."orders"'
    assert newest_query(one(chart())) is None


def test_highest_value_of_a_metric_is_not_added_up() -> None:
    metric = METRICS["sales_by_region"]
    highest = replace(metric, measures=tuple(replace(measure, function="max") for measure in metric.measures))
    live = [chart(metric="sales_by_region")]
    [board] = read_boards(manifest(None, live=live), {"sales_by_region": highest}, ASSETS).boards
    assert 'max("orders") as _y0' in chart_query(board.charts[0])


@pytest.mark.parametrize("data_type", ["interval", "string", "boolean", "pointer"])
def test_only_numbers_are_numbers(data_type: str) -> None:
    boards: Boards = read_boards(
        manifest([chart()], data_types={"region": "string", "orders": data_type}), METRICS, ASSETS
    )
    [problem] = boards.problems
    assert re.search(r"charts\[0\]\.y: the column 'orders' is no number\.$", problem)
