"""The metrics' tables and views in the database that serves them."""

from collections.abc import Iterable

import psycopg

from lake_assets.catalog.metric import Metric
from lake_assets.compile.metric_sink import Database
from lake_assets.compile.metric_tables import SCHEMA, metric_statements, shards_table
from lake_assets.errors import postgres_unavailable
from lake_assets.settings import Settings


def sink_database(settings: Settings) -> Database:
    """How Kafka Connect reaches the database."""
    postgres = settings.postgres
    url = f"jdbc:postgresql://{postgres.host}:{postgres.port}/{postgres.dbname}?currentSchema={SCHEMA}&reWriteBatchedInserts=true"
    return Database(url, "connect", settings.connect_password)


def applied_definitions(settings: Settings, metrics: Iterable[Metric]) -> dict[str, str]:
    """The definition that each metric's table was made for, by view name; a metric without a table is left out."""
    names = {shards_table(metric): metric.table for metric in metrics}
    with _session(settings) as session:
        rows = session.execute(
            "select relname, obj_description(c.oid) from pg_class c join pg_namespace n on n.oid = relnamespace "
            "where nspname = %s and relname = any(%s)",
            [SCHEMA, list(names)],
        ).fetchall()
    return {names[name]: definition or "" for name, definition in rows}


def ensure_metric_tables(settings: Settings, metric: Metric) -> None:
    """Makes table, trigger, view and grants of a metric; can be run again. Raises Unavailable."""
    with _session(settings) as session:
        # Two at once would collide on the function that all metrics share.
        session.execute("select pg_advisory_xact_lock(hashtext('metrics'))")
        for statement in metric_statements(metric):
            session.execute(statement.encode())


def _session(settings: Settings) -> psycopg.Connection:
    try:
        return psycopg.connect(settings.postgres.conninfo("lake"))
    except psycopg.OperationalError as error:
        raise postgres_unavailable(settings.postgres.host, settings.postgres.port, error) from error
