"""Choice of the engine of a run, and its log line."""

from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.engine import choose
from lake_assets.settings import Spark
from tests.support.conform_records import ORDERS

LOCAL = Spark("local", 100, 60, Path(), "2g")
CLUSTER = replace(LOCAL, runner="emr-serverless")
WINDOWS = [WindowInput("2026-01-01", (), 1, 60), WindowInput("2026-01-02", (), 1, 60)]
TOKENISED = replace(ORDERS, fields=(replace(ORDERS.fields[0], protection="tokenise"), *ORDERS.fields[1:]))
LARGE = [WindowInput("2026-01-01", (), 1, 101)]


@pytest.mark.parametrize(
    ("asset", "windows", "spark", "engine", "reason"),
    [
        (ORDERS, WINDOWS, LOCAL, "duckdb", "the largest window's raw files are 0.0 MB, within"),
        (ORDERS, WINDOWS, CLUSTER, "spark", "the run's raw files are 0.0 MB, more than"),
        (ORDERS, LARGE, LOCAL, "spark", "the largest window's raw files are 0.0 MB, more than"),
        (ORDERS, LARGE, replace(LOCAL, threshold=101), "duckdb", "within the threshold"),
        (ORDERS, WINDOWS, replace(CLUSTER, threshold=120), "duckdb", "within the threshold"),
        (replace(ORDERS, engine="duckdb"), LARGE, CLUSTER, "duckdb", "the contract has engine: duckdb"),
        (replace(ORDERS, engine="spark"), WINDOWS, LOCAL, "spark", "the contract has engine: spark"),
        (replace(ORDERS, entrypoint="a:b"), WINDOWS, LOCAL, "spark", "the contract names the entrypoint a:b"),
        (TOKENISED, LARGE, CLUSTER, "duckdb", "whose key stays in the process of the run"),
    ],
)
def test_the_contract_or_the_size_decides(
    asset: Asset, windows: list[WindowInput], spark: Spark, engine: str, reason: str
) -> None:
    choice = choose(asset, windows, spark)
    assert choice.engine == engine
    assert reason in choice.reason
