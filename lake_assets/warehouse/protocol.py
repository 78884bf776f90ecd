"""What a warehouse must do for the pipeline; every target's adapter is one class that does this and no more."""

from collections.abc import Sequence
from typing import Protocol

from lake_assets.catalog.accounting import WindowOutput
from lake_assets.catalog.model import Asset


class Warehouse(Protocol):
    """Holds staging and quarantine tables.

    For readers every window changes at once, from its old rows to its new ones, and publishing the same outputs twice
    leaves the same rows.
    """

    def ensure(self, asset: Asset) -> list[str]:
        """Makes the asset's staging and quarantine tables, or adds what they lack.

        Returns one sentence for each thing that was made; an empty list when everything stood already.
        """
        ...

    def missing(self, asset: Asset) -> list[str]:
        """The sentences that `ensure` would return, without changing anything."""
        ...

    def replace_windows(self, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
        """Swaps the windows' staging and quarantine rows for those of the outputs' files, all in one step."""
        ...

    def window_rows(self, asset: Asset, windows: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
        """Staging and quarantine rows of every window that has any, as the tables themselves count them.

        Of the named windows only, when names are given.
        """
        ...
