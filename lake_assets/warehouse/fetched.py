"""Rows fetched from a warehouse, for queries in a DuckDB session."""

from typing import TYPE_CHECKING

from lake_assets.catalog.model import Asset
from lake_assets.compile.sql import identifier

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection


def fetched(session: "DuckDBPyConnection", asset: Asset, rows: "pyarrow.Table") -> str:
    """Load these staging rows into a temporary table of the session and return its name as SQL; DuckDB may spill it to
    disk.
    """
    name = identifier(f"{asset.name}_staging")
    session.register("fetched_rows", rows)
    session.execute(f"create or replace temp table {name} as from fetched_rows")
    session.unregister("fetched_rows")
    return name
