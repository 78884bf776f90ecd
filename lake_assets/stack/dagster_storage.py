"""Dagster's Postgres storage with connections that are kept.

The storage as it comes opens a connection for every statement outside of the web UI, and with SCRAM each one costs
milliseconds on both sides. A run over 90 windows of three assets stores 1,600 events, so most of its time went into
saying hello. The hook that gives the web UI a pool is used for every process.

It also asks before each event whether a table is there, on a second connection while it holds the first: a quarter of
the time of a run over 1,000 windows. What is there once stays there.
"""

from collections.abc import Callable

from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

_NO_TIMEOUT = 0
_RECYCLE_SECONDS = 3600
# Beside the one that is kept; a thread that finds none free opens another for as long as it needs it.
_OVERFLOW = 20


class PooledPostgresStorage(DagsterPostgresStorage):
    """`postgres_url` as in the storage it extends."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage.optimize_for_webserver(_NO_TIMEOUT, _RECYCLE_SECONDS, _OVERFLOW)
        self._event_log_storage.has_table = _remembered(  # pyright: ignore[reportAttributeAccessIssue]
            self._event_log_storage.has_table
        )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> "PooledPostgresStorage":
        return cls(pg_url_from_config(config_value), inst_data)


def _remembered(has_table: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same answer, and for a table that is there without asking again."""
    there: set[str] = set()

    def remembered(name: str) -> bool:
        if name not in there and has_table(name):
            there.add(name)
        return name in there

    return remembered
