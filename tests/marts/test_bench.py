"""The bench of the marts runs, once each way, so that it does not rot."""

from bench import dbt
from lake_assets.dbt.manifest import load_manifest
from lake_assets.settings import Settings


def test_dbt_bench_builds_the_marts_each_way(lake: Settings) -> None:
    load_manifest(lake)
    figures = dbt.measure(lake, rounds=1, warm_up=0)
    assert [len(row.values) for row in figures.rows] == [1, 1, 1, 1]
