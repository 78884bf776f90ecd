"""Metrics in the asset graph."""

import dagster as dg

from lake_assets.orchestration.definitions import build_definitions
from lake_assets.orchestration.keys import metric_key, topic_key
from lake_assets.orchestration.metrics import AGREES, INTERVAL_SECONDS
from lake_assets.project import read_files
from lake_assets.settings import load_settings


def test_a_metric_is_an_asset_after_its_topic_with_columns_and_its_check() -> None:
    settings = load_settings()
    catalog = read_files(settings)
    assets, metric = catalog.assets, catalog.metrics["sales_by_region"]
    graph = build_definitions(settings, catalog).resolve_asset_graph()
    node = graph.get(metric_key(metric))
    topic = topic_key(assets["sales"])
    assert node.parent_keys == {topic}
    assert dg.AssetKey(["raw", "sales"]) in graph.get(topic).child_keys
    assert (node.owners, node.group_name) == (["shop@example.com"], "shop")
    columns = {column.name: column.description for column in node.metadata["dagster/column_schema"].columns}
    assert columns["amount"] == "What the customers paid, in euros, tax included."
    assert dg.AssetCheckKey(metric_key(metric), AGREES) in graph.asset_check_keys


def test_the_code_location_compares_metrics_by_itself() -> None:
    sensor = build_definitions(load_settings(), read_files(load_settings())).get_sensor_def("metrics")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == INTERVAL_SECONDS
