"""Readers of a staging table: the dbt models downstream of it, and the metrics that count its events."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.dbt.manifest import Manifest


def readers(asset: Asset, fields: Collection[str], manifest: Manifest, metrics: Iterable[Metric]) -> list[str]:
    """Return models and metrics that read the asset, each with those of the fields that it names, in order.

    With fields, only readers that name one of them are returned. A model names a field if its SQL contains the word, so
    a column of the same name from another table counts too: better one reader too many than one too few.
    """
    names = sorted(set(fields))
    downstream: list[str] = []
    for node in sorted(models_downstream(asset, manifest), key=lambda node: node["unique_id"]):
        named = [field for field in names if re.search(rf"\b{re.escape(field)}\b", node["raw_code"])]
        # The view of staging is generated from the contract, and changes with it.
        if node["name"] != f"stg_{asset.name}" and (named or not names):
            downstream.append(f"model {node['schema']}.{node['name']}{_in_brackets(named)}")
    for metric in metrics:
        if metric.source == asset.name:
            read = {group.name for group in metric.groups} | {condition.field for condition in metric.filters}
            read |= {measure.field for measure in metric.measures if measure.field}
            named = [field for field in names if field in read]
            if named or not names:
                downstream.append(f"metric {metric.name}{_in_brackets(named)}")
    return downstream


def _in_brackets(fields: Collection[str]) -> str:
    return f" ({', '.join(fields)})" if fields else ""


def models_downstream(asset: Asset, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield every model downstream of the asset's staging table."""
    parents = [
        name
        for name, source in manifest["sources"].items()
        if (source["schema"], source["name"]) == (asset.staging_schema, asset.name)
    ]
    seen: set[str] = set()
    while parents:
        for child in manifest["child_map"].get(parents.pop(), ()):
            if child not in seen and child.startswith("model."):
                seen.add(child)
                parents.append(child)
                yield manifest["nodes"][child]
