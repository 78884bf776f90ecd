"""Dagster's Postgres storage with pooled connections.

Outside of the web UI, Dagster's storage opens a connection for every statement. With SCRAM each one costs milliseconds
on both sides. A run over 90 windows of three assets stores 1,600 events, so connecting took most of its time. The hook
that gives the web UI a pool is used for every process.

Before each event the storage also checks that a table exists, on a second connection while it holds the first. That
took a quarter of the time of a run over 1,000 windows. An existing table is therefore cached.
"""

from collections.abc import Callable

from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

_NO_TIMEOUT = 0
_RECYCLE_SECONDS = 3600
# Besides the pooled connection; a thread that finds none free opens another for as long as it needs it.
_OVERFLOW = 20


class PooledPostgresStorage(DagsterPostgresStorage):
    """`postgres_url` as in the base class."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage.optimize_for_webserver(_NO_TIMEOUT, _RECYCLE_SECONDS, _OVERFLOW)
        self._event_log_storage.has_table = _cached(  # pyright: ignore[reportAttributeAccessIssue]
            self._event_log_storage.has_table
        )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> "PooledPostgresStorage":
        return cls(pg_url_from_config(config_value), inst_data)


def _cached(has_table: Callable[[str], bool]) -> Callable[[str], bool]:
    """Cache positive answers of `has_table`."""
    tables: set[str] = set()

    def cached(name: str) -> bool:
        if name not in tables and has_table(name):
            tables.add(name)
        return name in tables

    return cached
