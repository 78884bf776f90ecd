"""The plugin that gives dbt's DuckDB the spill folder of its call; `dbt_project/profiles.yml` names this module.

A profile with that folder in it would be another one at each call, and dbt reads a whole project again when its profile
has changed: with a thousand models half a minute.
"""

import os

from dbt.adapters.duckdb.plugins import BasePlugin  # noqa: TID253 - dbt itself imports this module
from duckdb import DuckDBPyConnection

from lake_assets.compile.sql import literal


class Plugin(BasePlugin):
    """A plugin that dbt-duckdb calls for each connection, before it attaches databases."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        # Only `lake-dbt` makes one; a plain `dbt` spills where DuckDB does by itself.
        if folder := os.environ.get("LAKE_DUCKDB_SPILL"):
            conn.execute(f"set temp_directory = {literal(folder)}")
