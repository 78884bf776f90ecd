"""The plugin that lets dbt's DuckDB read the lake's bucket; `dbt_project/profiles.yml` names this module."""

import os

from dbt.adapters.duckdb.plugins import BasePlugin  # noqa: TID253 - dbt itself imports this module
from duckdb import DuckDBPyConnection

from lake_assets.warehouse.local.connection import close_to_files, open_bucket


class Plugin(BasePlugin):
    """A plugin that dbt-duckdb calls for each connection, before it attaches databases."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        open_bucket(conn, os.environ["LAKE_BUCKET"])

    def configure_cursor(self, cursor: DuckDBPyConnection) -> None:
        # All databases are attached by now.
        close_to_files(cursor, os.environ["LAKE_BUCKET"])
