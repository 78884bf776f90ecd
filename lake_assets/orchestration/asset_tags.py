"""Tags of assets in Dagster, for selections such as `tag:layer=mart`: layer, domain, contract and classification."""

from collections.abc import Iterable, Mapping
from typing import Literal

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import CLASSIFICATIONS, Asset, Field

Layer = Literal["topic", "raw", "conformed", "staging", "quarantine", "metric", "mart", "board", "operations"]


def asset_tags(asset: Asset, layer: Layer) -> Mapping[str, str]:
    """Return the tags of one of a contract's tables; `classification` is that of its most confidential field."""
    fields = asset.fields
    if layer in ("conformed", "staging"):
        fields = [field for field in fields if field.protection != "drop"]
    return _tags(layer, domain=asset.domain, contract=asset.name, classification=_highest(fields))


def metric_tags(metric: Metric, asset: Asset) -> Mapping[str, str]:
    """Return the tags of a metric; its classification is that of its groups and of what it adds up."""
    read = {*(group.name for group in metric.groups), *(measure.field for measure in metric.measures)}
    classification = _highest(field for field in asset.fields if field.name in read)
    return _tags("metric", domain=asset.domain, contract=asset.name, classification=classification)


def reader_tags(layer: Layer, sources: Iterable[Asset]) -> Mapping[str, str]:
    """Return the tags of a mart or board; domain and contract only if all that it reads has the same.

    It has no classification: marts have no confidential field, and which others they show is in their column lineage.
    """
    sources = list(sources)
    return _tags(
        layer,
        domain=_single(asset.domain for asset in sources),
        contract=_single(asset.name for asset in sources),
    )


def _tags(layer: Layer, **values: str) -> Mapping[str, str]:
    return {"layer": layer, **{key: value for key, value in values.items() if value}}


def _single(values: Iterable[str]) -> str:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else ""


def _highest(fields: Iterable[Field]) -> str:
    """Return the strictest classification of these fields; empty if the contract classifies none of them."""
    named = {field.classification for field in fields}
    return next((name for name in reversed(CLASSIFICATIONS) if name in named), "")
