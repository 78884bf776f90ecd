"""Protocols of a target's adapters: the warehouse, who may read marts, and the module that makes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings
from lake_assets.warehouse.answers import Answer, Reason

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from lake_assets.warehouse.erasure import Erasure

Table = Literal["staging", "quarantine"]


class Warehouse(Protocol):
    """Holds staging and quarantine tables. An adapter that asks for one asset at a time inherits what takes many.

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

    def missing_by_asset(self, assets: Sequence[Asset]) -> dict[str, list[str]]:
        """Return the sentences of `missing` by name, of those assets that lack anything."""
        return {asset.name: sentences for asset in assets if (sentences := self.missing(asset))}

    def create(self, assets: Sequence[Asset]) -> None:
        """Make the tables of assets that have none yet, many in one step where the warehouse can."""
        for asset in assets:
            self.ensure(asset)

    def drop(self, asset: Asset) -> None:
        """Drop the asset's staging and quarantine tables, as far as they exist. Conformed files stay in the bucket."""
        ...

    def replace_windows(self, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
        """Swaps the windows' staging and quarantine rows for those of the outputs' files, all in one step."""
        ...

    def remove_windows(self, asset: Asset, table: Table, windows: Sequence[str]) -> None:
        """Removes all rows of the windows from one of the two tables; nothing when there are none."""
        ...

    def remove_old_states(self, before: datetime, spans: Sequence[tuple[datetime, datetime]]) -> int:
        """Removes what readers who began before then, and not within one of the spans, would need of all tables; how
        many files. What readers see now stays, and a warehouse that does this by itself has nothing to do."""
        ...

    def window_rows(self, asset: Asset, windows: Sequence[str] | None = None) -> dict[str, tuple[int, int]]:
        """Staging and quarantine rows of every window that has any, as the tables themselves count them.

        Of the named windows only, when names are given.
        """
        ...

    def window_rows_by_asset(self, assets: Sequence[Asset]) -> dict[str, dict[str, tuple[int, int]]]:
        """Return what `window_rows` returns of each of the assets, by name."""
        return {asset.name: self.window_rows(asset) for asset in assets}

    def rows(self, asset: Asset, table: Table, windows: Sequence[str], columns: Sequence[str]) -> "pyarrow.Table":
        """These columns of all rows of the windows, as readers see them now; in no order, and all in memory."""
        ...

    def reasons(self, assets: Sequence[Asset]) -> list[Reason]:
        """Why rows are in quarantine, in the order of the assets' names, most rows first."""
        ...

    def staging(
        self, session: "DuckDBPyConnection", asset: Asset, columns: Sequence[str], low: datetime, high: datetime
    ) -> str:
        """Lets a DuckDB session read an asset's staging rows; SQL of a relation, which may stand behind `from`.

        It has at least the named columns, and at least the rows whose event time is in `low` <= time < `high`.
        """
        ...

    def ask(self, query: str, limit: int | None) -> Answer:
        """Answers an engineer's query in the warehouse's own SQL. Nothing can be changed with it. Raises QueryError."""
        ...


class MartAccess(Protocol):
    """The schemas of marts (`funnel_data_mart`), which hold all that analysts may read and are open to no one else."""

    def missing(self, schemas: Sequence[str]) -> list[str]:
        """Those of the schemas that are not there, or that analysts may not read yet. Changes nothing."""
        ...

    def ensure(self, schemas: Sequence[str]) -> None:
        """Makes them and lets analysts read all in them, now and after every rebuild. Can be run again.

        Raises MartNameError for a schema that analysts must not read.
        """
        ...


class TargetAdapters(Protocol):
    """A target's module `warehouse/<target>/target.py`. A further target is a folder with one, and a profile."""

    def warehouse(self, settings: Settings, /) -> Warehouse:
        """Return the warehouse of staging and quarantine."""
        ...

    def erasure(self, settings: Settings, /) -> "Erasure":
        """Return what deletes single rows of the tables."""
        ...

    def mart_access(self, settings: Settings, /) -> MartAccess:
        """Return the schemas of marts, and who may read them."""
        ...

    def ask_marts(self, settings: Settings, query: str, limit: int | None, /) -> Answer:
        """Answer a query where the marts are, as an analyst where the target has such a role. Raises QueryError."""
        ...

    def lacking(self, settings: Settings, needs: Sequence[Need], names: Mapping[str, str], /) -> list[str]:
        """Return each permission of `needs` that the credentials at hand lack, with where. Changes nothing.

        `names` fills in what the needs call raw, staging and mart. Raises LakeError when the cloud cannot be asked.
        """
        ...
