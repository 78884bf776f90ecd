"""Dagster's Postgres storage with connections that are kept.

The storage as it comes opens a connection for every statement outside of the web UI, and with SCRAM each one costs
milliseconds on both sides. A run over 90 windows of three assets stores 1,600 events, so most of its time went into
saying hello. The hook that gives the web UI a pool is used for every process.
"""

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

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> "PooledPostgresStorage":
        return cls(pg_url_from_config(config_value), inst_data)
