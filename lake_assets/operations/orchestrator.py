"""The orchestrator as use cases see it, which run without one: a port that `lake_assets.orchestration` implements."""

from collections.abc import Sequence
from typing import Protocol

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger


class Orchestrator(Protocol):
    """Records that an orchestrator keeps of assets and must give up or replace when a contract does."""

    def replace_windows(self, ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
        """Make these windows, and no others, partitions of the asset's dataset."""
        ...

    def delete_asset(self, asset: Asset, with_dataset: bool) -> None:
        """Delete the history of the asset's tables; `with_dataset` that of topic and raw table and all windows too."""
        ...

    def delete_mart(self, schema: str, table: str) -> None:
        """Delete the history of a mart that has lost its model."""
        ...
