"""Asset keys: the same on every target, so that lineage and history survive a move."""

from dagster import AssetKey

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset


def topic_key(asset: Asset) -> AssetKey:
    return AssetKey(["topic", asset.topic])


def raw_key(asset: Asset) -> AssetKey:
    return AssetKey(["raw", asset.dataset])


def conformed_key(asset: Asset) -> AssetKey:
    return AssetKey(["conformed", asset.name])


def staging_key(asset: Asset) -> AssetKey:
    return AssetKey([asset.staging_schema, asset.name])


def quarantine_key(asset: Asset) -> AssetKey:
    return AssetKey([asset.staging_schema, asset.quarantine_table])


def metric_key(metric: Metric) -> AssetKey:
    return AssetKey(["metrics", metric.table])


def board_key(name: str) -> AssetKey:
    return AssetKey(["board", name])
