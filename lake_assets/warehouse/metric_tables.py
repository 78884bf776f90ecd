"""The metrics' tables and views in the database that serves them."""

from collections.abc import Iterable

import psycopg

from lake_assets.advisory_locks import explain_lock_waits, take_transaction_lock
from lake_assets.catalog.metric import Metric
from lake_assets.compile.metric_sink import Database
from lake_assets.compile.metric_tables import SCHEMA, metric_statements, shards_table
from lake_assets.settings import Settings


def sink_database(settings: Settings) -> Database:
    """Return Kafka Connect's connection to the database."""
    url = settings.postgres.jdbc_url(SCHEMA, "&reWriteBatchedInserts=true")
    return Database(url, "connect", settings.connect_password)


def applied_definitions(settings: Settings, metrics: Iterable[Metric]) -> dict[str, str]:
    """Return the definition of each metric's table, by view name; metrics without a table are left out."""
    names = {shards_table(metric): metric.table for metric in metrics}
    with _session(settings) as session:
        rows = session.execute(
            "select relname, obj_description(c.oid) from pg_class c join pg_namespace n on n.oid = relnamespace "
            "where nspname = %s and relname = any(%s)",
            [SCHEMA, list(names)],
        ).fetchall()
    return {names[name]: definition or "" for name, definition in rows}


def ensure_metric_tables(settings: Settings, metric: Metric) -> None:
    """Create table, trigger, view and grants of a metric; idempotent. Raises Unavailable."""
    with _session(settings) as session, explain_lock_waits(session), session.transaction():
        # Concurrent calls would collide on the function that all metrics share.
        take_transaction_lock(session, "metrics")
        for statement in metric_statements(metric):
            session.execute(statement.encode())


def _session(settings: Settings) -> psycopg.Connection:
    try:
        return psycopg.connect(settings.postgres.conninfo("lake"))
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error
