"""Dagster's records of assets: history, and windows as partitions.

Dagster is imported when needed: few calls of `lake apply` touch its records, and loading it takes longer than they do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class DagsterRecords:
    """Implement `lake_assets.operations.orchestrator.Orchestrator` on the lake's Dagster instance."""

    settings: Settings

    def replace_windows(self, ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
        from lake_assets.orchestration.instance import open_instance
        from lake_assets.orchestration.partitions import add_windows, delete_windows

        with open_instance(self.settings) as instance:
            delete_windows(instance, asset)
            add_windows(instance, ledger, asset, windows)

    def delete_asset(self, asset: Asset, with_dataset: bool) -> None:
        from lake_assets.orchestration.instance import open_instance
        from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key, topic_key
        from lake_assets.orchestration.partitions import delete_windows

        tables = [conformed_key(asset), staging_key(asset), quarantine_key(asset)]
        with open_instance(self.settings) as instance:
            instance.wipe_assets([*tables, raw_key(asset), topic_key(asset)] if with_dataset else tables)
            if with_dataset:
                delete_windows(instance, asset)

    def delete_mart(self, schema: str, table: str) -> None:
        import dagster as dg

        from lake_assets.orchestration.instance import open_instance

        with open_instance(self.settings) as instance:
            instance.wipe_assets([dg.AssetKey([schema, table])])
