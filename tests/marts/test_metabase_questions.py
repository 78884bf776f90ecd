"""Questions for Metabase on real marts, read as Metabase reads them: as analyst."""

from collections.abc import Mapping

import psycopg

from lake_assets.catalog.board import Board
from lake_assets.catalog.model import Asset
from lake_assets.compile.board_query import chart_query
from lake_assets.compile.chart_names import column_names
from lake_assets.compile.metabase import questions
from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.manifest import load_manifest
from lake_assets.settings import Settings


def boards_of_marts(lake: Settings, assets: Mapping[str, Asset]) -> list[Board]:
    """Return the boards without charts of metrics, which have no tables in this lake."""
    return list(read_boards(load_manifest(lake), {}, assets.values()).boards)


def test_questions_return_the_rows_that_the_dashboard_shows(built: Settings, catalog: Mapping[str, Asset]) -> None:
    asked = 0
    with psycopg.connect(built.postgres.conninfo("analyst")) as analyst:
        for board in boards_of_marts(built, catalog):
            for chart, question in zip(board.charts, questions(board, 7), strict=True):
                answer = analyst.execute(question.sql)  # type: ignore[arg-type]
                assert [column.name for column in answer.description or ()] == column_names(chart)
                rows = answer.fetchall()
                assert rows
                assert rows == analyst.execute(chart_query(chart)).fetchall()  # type: ignore[arg-type]
                asked += 1
    assert asked >= 10
