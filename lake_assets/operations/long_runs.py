"""Runs of Dagster that have not ended for a long time: one that hangs keeps later ones waiting."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg

from lake_assets.settings import Settings

LONG = timedelta(minutes=30)
_UNFINISHED: LiteralString = """\
select run_id, coalesce(start_time, extract(epoch from create_timestamp at time zone 'UTC'))::float8 as since
from runs where status in ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING') order by since"""


@dataclass(frozen=True, slots=True)
class LongRun:
    """An unfinished run. `since` is the time of its start, or of its request if it has not started; ISO 8601, UTC."""

    run_id: str
    since: str
    age_seconds: int
    most_seconds: int

    def __str__(self) -> str:
        return (
            f"Run {self.run_id.partition('-')[0]} has not ended for {timedelta(seconds=self.age_seconds)} (h:mm:ss), "
            f"since {self.since}. A started run is ended after {timedelta(seconds=self.most_seconds)} "
            "(LAKE_RUN_SECONDS); to end it now, terminate it in Dagster's web UI."
        )


def long_runs(settings: Settings, now: datetime) -> list[LongRun]:
    """Return unfinished runs older than half an hour or half of what a run may take; oldest first.

    Returns none when Postgres does not answer or Dagster has not created its tables yet.
    """
    try:
        with psycopg.connect(settings.postgres.conninfo("dagster", "dagster"), connect_timeout=3) as connection:
            row = connection.execute("select to_regclass('runs') is not null").fetchone()
            rows = connection.execute(_UNFINISHED).fetchall() if row == (True,) else []
    except psycopg.Error:
        return []
    bound = min(LONG, timedelta(seconds=settings.run_seconds / 2))
    begun = ((run_id, datetime.fromtimestamp(since, UTC)) for run_id, since in rows)
    return [
        LongRun(run_id, since.isoformat(timespec="seconds"), int((now - since).total_seconds()), settings.run_seconds)
        for run_id, since in begun
        if now - since > bound
    ]
