"""Boards as questions and dashboards of Metabase, without one: what is computed from a description."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from lake_assets.catalog.board import Board
from lake_assets.compile.board_query import chart_query
from lake_assets.compile.chart_names import column_names
from lake_assets.compile.metabase import Marker, Question, describe_board, questions, read_marker
from lake_assets.dbt.boards import read_boards
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from tests.support.board_manifests import ASSETS, chart, manifest

METRICS = read_files(load_settings()).metrics
LIVE = {"metric": "sales_by_region", "title": "Now", "kind": "number", "y": "orders"}


def board(*charts: Mapping[str, object], live: object = None) -> Board:
    [only] = read_boards(manifest(list(charts), live=live), METRICS, ASSETS).boards
    return only


def one(**changes: object) -> Question:
    [only] = questions(board(chart(**changes)), 7)
    return only


def test_question_has_the_dashboards_query_with_columns_in_words() -> None:
    keys = chart(kind="line", x="seen_at", y="amount / orders", color="region", last="7d")
    [described] = board(keys).charts
    [question] = questions(board(keys), 7)
    named = chart_query(described).replace("_x,", '"seen at",').replace("_color,", '"region",')
    assert question.sql == named.replace("as _y0", 'as "amount / orders"')
    assert question.visualization_settings == {
        "graph.dimensions": ["seen at", "region"],
        "graph.metrics": ["amount / orders"],
    }


def test_columns_of_a_question_have_names_of_their_own() -> None:
    [described] = board(chart(x="orders", y=["orders", "amount"])).charts
    assert column_names(described) == ["orders", "orders 2", "amount"]
    assert 'order by "orders 2" desc' in one(x="orders", y=["orders", "amount"]).sql


@pytest.mark.parametrize(
    ("changes", "display"),
    [
        ({"kind": "number", "x": None}, "scalar"),
        ({"kind": "line", "x": "day"}, "line"),
        ({"kind": "bar", "x": "day"}, "bar"),
        ({"kind": "bar", "x": "region"}, "row"),
        ({"kind": "table"}, "table"),
    ],
)
def test_each_kind_of_chart_has_its_display(changes: dict[str, object], display: str) -> None:
    assert one(**changes).display == display


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("%", {"number_style": "percent"}),
        ("EUR", {"number_style": "currency", "currency": "EUR"}),
        ("KWH", {"suffix": " KWH"}),
        ("pieces", {"suffix": " pieces"}),
    ],
)
def test_unit_is_a_number_format_of_the_column(unit: str, expected: dict[str, str]) -> None:
    question = one(kind="number", x=None, y="amount / orders", unit=unit)
    assert question.visualization_settings["column_settings"] == {'["name","amount / orders"]': expected}


def test_text_that_looks_like_a_template_stays_a_text() -> None:
    """Metabase takes `{{x}}` for a variable and `[[x]]` for an optional part, also inside a literal."""
    question = one(filter={"region": ["{{{north}}}", "[[south]]", "it's {{x}}"]})
    assert "{{" not in question.sql
    assert "[[" not in question.sql
    assert "('{' || '{' || '{north}}}', '[' || '[south]]', 'it''s {' || '{x}}')" in question.sql


def test_identity_depends_on_board_table_and_title_only() -> None:
    base = one()
    assert one(y="amount", kind="line", x="day", unit="EUR").entity_id == base.entity_id
    assert one(title="Other").entity_id != base.entity_id
    assert questions(board(chart()), 8)[0].entity_id != base.entity_id
    assert len(base.entity_id) == 21
    assert base.entity_id.startswith("lake-")


def test_charts_of_one_title_are_different_questions() -> None:
    found = questions(board(chart(), chart(kind="table"), chart(title="Third")), 7)
    assert len({question.entity_id for question in found}) == 3


def test_places_are_those_of_the_dashboards_rows() -> None:
    number = chart(kind="number", x=None)
    found = questions(board(*[number] * 3, chart(), chart(), chart(), chart(kind="table"), live=[LIVE]), 7)
    places = [(each.place.col, each.place.row, each.place.size_x, each.place.size_y) for each in found]
    assert places == [
        (0, 0, 24, 3),
        *[(0, 3, 8, 3), (8, 3, 8, 3), (16, 3, 8, 3)],
        *[(0, 6, 12, 6), (12, 6, 12, 6)],
        (0, 12, 24, 6),
        (0, 18, 24, 9),
    ]
    assert found[0].name == "Now"


def test_charts_of_metrics_come_first_as_on_the_dashboard() -> None:
    described = board(chart(), chart(kind="table"), live=[LIVE])
    turned = replace(described, charts=tuple(reversed(described.charts)))
    assert [question.display for question in questions(turned, 7)] == ["scalar", "table", "row"]


def test_marker_is_read_back_from_a_description() -> None:
    described = describe_board(board(chart()), Marker(7, "shop_board", 31))
    assert described.startswith("Orders of the shop. Owner: shop.\n\nMade by `lake bi apply`")
    assert read_marker(described) == Marker(7, "shop_board", 31)
    assert read_marker(f"{described}\n") == Marker(7, "shop_board", 31)
    assert read_marker("[lake:7/shop_board] is quoted here") is None
    assert read_marker(None) is None
