"""Protocols of a target's adapters: the warehouse, access to marts, and the module that makes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TableCounts, TableName
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings
from lake_assets.warehouse.results import QueryResult, Reason

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from lake_assets.warehouse.erasure import Erasure


class Warehouse(Protocol):
    """Stores staging and quarantine tables. Adapters inherit the methods over many assets unless they can do better.

    For readers every window changes atomically, from its old rows to its new ones. Publishing the same outputs twice
    leaves the same rows.
    """

    def ensure(self, asset: Asset) -> list[str]:
        """Create the asset's staging and quarantine tables, or add what they lack.

        Returns one sentence for each change; an empty list when nothing was missing.
        """
        ...

    def missing(self, asset: Asset) -> list[str]:
        """Return the sentences that `ensure` would return, without changing anything."""
        ...

    def missing_by_asset(self, assets: Sequence[Asset]) -> dict[str, list[str]]:
        """Return the sentences of `missing` by name, of those assets that lack anything."""
        return {asset.name: sentences for asset in assets if (sentences := self.missing(asset))}

    def create(self, assets: Sequence[Asset]) -> None:
        """Make the tables of assets that have none yet, many in one step where the warehouse can."""
        for asset in assets:
            self.ensure(asset)

    def drop(self, asset: Asset) -> None:
        """Drop the asset's staging and quarantine tables if they exist. Conformed files stay in the bucket."""
        ...

    def replace_windows(self, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
        """Replace the windows' staging and quarantine rows by those of the outputs' files, atomically."""
        ...

    def remove_windows(self, asset: Asset, table: TableName, windows: Sequence[str]) -> None:
        """Delete all rows of the windows from one of the two tables; does nothing if there are none."""
        ...

    def remove_old_states(self, before: datetime, spans: Sequence[tuple[datetime, datetime]]) -> int:
        """Delete old states of all tables that no reader needs; return the number of files.

        Needed are the states since `before`, and within the spans. Current rows stay. A warehouse that does this by
        itself does nothing here.
        """
        ...

    def window_rows(self, asset: Asset, windows: Sequence[str] | None = None) -> dict[str, TableCounts]:
        """Return staging and quarantine rows of every window that has any, counted in the tables.

        With `windows`, only of those.
        """
        ...

    def window_rows_by_asset(self, assets: Sequence[Asset]) -> dict[str, dict[str, TableCounts]]:
        """Return what `window_rows` returns of each of the assets, by name."""
        return {asset.name: self.window_rows(asset) for asset in assets}

    def rows(self, asset: Asset, table: TableName, windows: Sequence[str], columns: Sequence[str]) -> "pyarrow.Table":
        """Return these columns of all current rows of the windows; in no order, and all in memory."""
        ...

    def reasons(self, assets: Sequence[Asset]) -> list[Reason]:
        """Return the reasons for quarantined rows, in the order of the assets' names, most rows first."""
        ...

    def staging(
        self, session: "DuckDBPyConnection", asset: Asset, columns: Sequence[str], low: datetime, high: datetime
    ) -> str:
        """Make an asset's staging rows readable in a DuckDB session; return SQL of a relation, which may follow `from`.

        It has at least the named columns, and at least the rows whose event time is in `low` <= time < `high`.
        """
        ...

    def query(self, query: str, limit: int | None) -> QueryResult:
        """Run an engineer's read-only query in the warehouse's own SQL. Raises QueryError."""
        ...


class MartAccess(Protocol):
    """The schemas of marts (`funnel_data_mart`): all that analysts may read, closed to all others."""

    def check(self) -> None:
        """Raise SettingsError if the target's settings would put the files of marts where they cannot stay."""
        ...

    def missing(self, schemas: Sequence[str]) -> list[str]:
        """Return the schemas that do not exist, or that analysts cannot read yet. Changes nothing."""
        ...

    def ensure(self, schemas: Sequence[str]) -> None:
        """Create the schemas and let analysts read all in them, now and after every rebuild. Idempotent.

        Raises MartNameError for a schema that analysts must not read.
        """
        ...

    def tables(self) -> list[str] | None:
        """Return all tables in schemas of marts, as `schema.table` in order; None where this is not looked up."""
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

    def query_marts(self, settings: Settings, query: str, limit: int | None, /) -> QueryResult:
        """Query the marts, as an analyst where the target has such a role. Raises QueryError."""
        ...

    def lacking(self, settings: Settings, needs: Sequence[Need], names: Mapping[str, str], /) -> list[str]:
        """Return each permission of `needs` that the credentials at hand lack, with where. Changes nothing.

        `names` fills in what the needs call raw, staging and mart. Raises LakeError when the cloud cannot be asked.
        """
        ...
