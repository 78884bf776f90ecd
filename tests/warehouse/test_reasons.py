"""Queries for the reasons of quarantined rows are bounded, whatever the number of assets."""

import re

from lake_assets.compile.reasons import PIECE, reasons
from tests.support.raw_assets import example_asset


def test_no_query_of_reasons_reads_more_tables_than_a_piece() -> None:
    names = [f"asset_{number:03}" for number in range(2 * PIECE + 1)]
    queries = list(reasons((example_asset(name), name) for name in reversed(names)))
    read = [re.findall(r"^from (asset_\d+)$", query, re.M) for query in queries]
    assert [len(tables) for tables in read] == [PIECE, PIECE, 1]
    assert [table for tables in read for table in tables] == names


def test_no_assets_need_no_query() -> None:
    assert list(reasons([])) == []
