"""Rows that a warehouse has given, for a DuckDB session to ask about."""

from typing import TYPE_CHECKING

from lake_assets.catalog.model import Asset
from lake_assets.compile.sql import identifier

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection


def fetched(session: "DuckDBPyConnection", asset: Asset, rows: "pyarrow.Table") -> str:
    """A temporary table of the session with these staging rows, as SQL; DuckDB may spill it to disk."""
    name = identifier(f"{asset.name}_staging")
    session.register("fetched_rows", rows)
    session.execute(f"create or replace temp table {name} as from fetched_rows")
    session.unregister("fetched_rows")
    return name
