"""Delete old runs from Dagster's storage, which would grow for ever: Dagster has no retention of its own.

The state of assets stays: the newest event of each asset, partition and kind, and the newest outcome of each check.
Everything else of that age is the log of runs. Dagster's guide to cleaning its database does the same by hand
(https://docs.dagster.io/deployment/troubleshooting/database-tuning).

Ids grow with time. The position in each table is kept in Dagster's own table of cursors, so the cost depends on the
rows that expired since, not on all rows.
"""

import shutil
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg

from lake_assets.advisory_locks import explain_lock_waits
from lake_assets.home import Home
from lake_assets.settings import Settings

KEPT = timedelta(days=30)
_ROWS = 10_000
_RUNS = 500
# Events with the state of an asset. Others only announce one, and those of checks are also in a table of their own.
_OF_ASSETS: LiteralString = (
    "asset_key is not null and dagster_event_type in ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION', "
    "'ASSET_FAILED_TO_MATERIALIZE', 'ASSET_HEALTH_CHANGED', 'FRESHNESS_STATE_EVALUATION', 'FRESHNESS_STATE_CHANGE')"
)
_SAME: LiteralString = "new.asset_key = old.asset_key and new.dagster_event_type = old.dagster_event_type"
# Rows with and without a partition are queried separately, since each has an index.
_EVENTS: LiteralString = f"""\
with seen as (
  select distinct asset_key, dagster_event_type, partition
  from event_logs where id > %(low)s and id <= %(high)s and {_OF_ASSETS}
),
of_partitions as (
  delete from event_logs as old using seen as new
  where old.id <= %(low)s and {_SAME} and old.partition = new.partition
  returning old.id
),
of_wholes as (
  delete from event_logs as old using seen as new
  where old.id <= %(low)s and {_SAME} and old.partition is null and new.partition is null
  returning old.id
),
of_these as (
  delete from event_logs as old
  where id > %(low)s and id <= %(high)s and (
    not coalesce({_OF_ASSETS}, false)
    or exists (select from event_logs as new where {_SAME} and new.partition = old.partition and new.id > old.id)
    or old.partition is null
    and exists (select from event_logs as new where {_SAME} and new.partition is null and new.id > old.id)
  )
  returning old.id
)
delete from asset_event_tags where event_id in (
  select id from of_partitions union all select id from of_wholes union all select id from of_these
)"""
_CHECKS: LiteralString = """\
with newer as (
  select asset_key, check_name, partition, max(id) as id
  from asset_check_executions where id > %(low)s group by asset_key, check_name, partition
)
delete from asset_check_executions as old using newer
where old.id <= %(high)s and old.id < newer.id and old.asset_key = newer.asset_key
  and old.check_name = newer.check_name and old.partition is not distinct from newer.partition"""
_TABLES: tuple[tuple[LiteralString, LiteralString, LiteralString], ...] = (
    ("event_logs", "timestamp", _EVENTS),
    ("asset_check_executions", "create_timestamp", _CHECKS),
)


def remove_history(settings: Settings, now: datetime) -> int:
    """Delete history older than a month; return the number of deleted runs. A run that has not ended stays.

    Raises Unavailable when Postgres does not answer.
    """
    # Dagster's columns have no time zone and are UTC.
    before = (now - KEPT).astimezone(UTC).replace(tzinfo=None)
    try:
        with (
            psycopg.connect(settings.postgres.conninfo("dagster", "dagster"), autocommit=True) as connection,
            explain_lock_waits(connection),
        ):
            row = connection.execute("select to_regclass('kvs') is not null").fetchone()
            if not row or not row[0]:
                return 0
            for table, time, removal in _TABLES:
                while _remove_next(connection, table, time, removal, before):
                    pass
            return _remove_runs(settings, connection, before)
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error


def _remove_next(
    connection: psycopg.Connection,
    table: LiteralString,
    time: LiteralString,
    removal: LiteralString,
    before: datetime,
) -> bool:
    """Delete from the next expired rows of a table.

    Return False if there were none, or if another process is deleting them: `lake maintain` and the hourly
    housekeeping may run at the same time.
    """
    key = f"lake.history.{table}"
    with connection.transaction():
        free = connection.execute("select pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (key,)).fetchone()
        if free != (True,):
            return False
        cursor = connection.execute("select value from kvs where key = %s", (key,)).fetchone()
        low = int(cursor[0]) if cursor else 0
        rows = connection.execute(
            f"select id, {time} from {table} where id > %s order by id limit %s", (low, _ROWS)
        ).fetchall()
        young = next((index for index, (_, created) in enumerate(rows) if created >= before), len(rows))
        if not young:
            return False
        high = rows[young - 1][0]
        connection.execute(removal, {"low": low, "high": high})
        connection.execute(
            "insert into kvs (key, value) values (%s, %s) on conflict (key) do update set value = excluded.value",
            (key, str(high)),
        )
    return True


def _remove_runs(settings: Settings, connection: psycopg.Connection, before: datetime) -> int:
    """Delete runs with their tags and compute logs."""
    logs = Home(settings.home).dagster / "compute_logs"
    removed = 0
    while True:
        runs = connection.execute(
            "delete from runs where run_id in (select run_id from runs where update_timestamp < %s "
            "and status in ('SUCCESS', 'FAILURE', 'CANCELED') limit %s) returning run_id",
            (before, _RUNS),
        ).fetchall()
        for (run_id,) in runs:
            shutil.rmtree(logs / run_id, ignore_errors=True)
        removed += len(runs)
        if len(runs) < _RUNS:
            return removed
