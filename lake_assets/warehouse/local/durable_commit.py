"""Transactions of DuckLake whose files are on the disk before the commit that names them.

DuckDB syncs its databases and no Parquet file. Postgres, which has DuckLake's catalog, syncs each commit: after a power
cut the catalog would name files that are empty or missing.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from lake_assets.bucket import is_local, local_path
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES
from lake_assets.local_files import sync_files
from lake_assets.settings import Settings


@contextmanager
def durable_transaction(session: duckdb.DuckDBPyConnection, settings: Settings, asset: Asset) -> Generator[None]:
    """Commit the block's statements about an asset's tables; before, sync the files that DuckLake has written for them.

    Rolls back on any error. Stores of a cloud acknowledge only what is stored.
    """
    session.execute("begin")
    try:
        before = _files(settings, asset)
        yield
        new = [Path(file) for file in _files(settings, asset) - before]
        sync_files(new, Path(local_path(settings.staging_data)))
    except BaseException:
        session.execute("rollback")
        raise
    session.execute("commit")


def _files(settings: Settings, asset: Asset) -> set[str]:
    """Return DuckLake's own files of the tables: those that statements write, beside the conformed files."""
    if not is_local(settings.bucket):
        return set()
    schema = Path(local_path(settings.staging_data)) / asset.staging_schema
    found: set[str] = set()
    for folder in (schema / asset.table_name(table) for table in TABLES):
        with suppress(FileNotFoundError):
            found |= {entry.path for entry in os.scandir(folder)}
    return found
