"""Windows as Dagster partitions: those of each dataset that have events, at any distance.

Calendar partitions would offer every day between the first event and today. A run over two windows that are
years apart would then plan, and call materialized, each day between them.
"""

from collections.abc import Iterable

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger


def window_partitions(asset: Asset) -> dg.DynamicPartitionsDefinition:
    """Return the partitions of the asset's dataset, which all its versions and their raw table share."""
    return dg.DynamicPartitionsDefinition(name=_name(asset))


def add_windows(instance: dg.DagsterInstance, ledger: Ledger, asset: Asset, windows: Iterable[str]) -> None:
    """Make these windows partitions of the asset's dataset; those that are partitions already stay as they are.

    An older lake with calendar partitions has published windows that are not partitions yet: they are added when the
    dataset first changes.
    """
    added = set(windows)
    first = ledger.first_window(asset)
    if first is not None and not instance.has_dynamic_partition(_name(asset), first):
        added |= {published.window for published in ledger.windows(asset)}
    if added:
        instance.add_dynamic_partitions(_name(asset), sorted(added))


def delete_windows(instance: dg.DagsterInstance, asset: Asset) -> None:
    """Delete all partitions of the asset's dataset."""
    for window in instance.get_dynamic_partitions(_name(asset)):
        instance.delete_dynamic_partition(_name(asset), window)


def _name(asset: Asset) -> str:
    return f"{asset.dataset}.windows"
