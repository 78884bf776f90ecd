"""End sessions of readers that keep a mart from being replaced.

A new mart takes the name of the old one, which waits for every transaction that has read the old one. Young ones do not
matter: the old mart's rows are replaced instead (dbt_project/macros/mart_table.sql). But a reader can keep a
transaction open for as long as it likes, and the run, and all later ones, would wait with it.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from lake_assets.settings import Settings

# So long the lake lets a reader be that has left its transaction open, and so old any transaction may be.
IDLE_SECONDS = 5
BUSY_SECONDS = 60
_POLL_SECONDS = 0.5
# The lake is a member of its readers' roles and of no others: `analyst`, `engineer`, and analysts with a name.
_END = """\
select pg_terminate_backend(blocker.pid)
from pg_locks waiting
join pg_stat_activity waiter using (pid)
cross join unnest(pg_blocking_pids(waiting.pid)) blocking (pid)
join pg_stat_activity blocker on blocker.pid = blocking.pid
where not waiting.granted and waiting.waitstart < now() - interval '1 s' and (
  blocker.xact_start < now() - make_interval(secs => %(busy)s)
  or blocker.state <> 'active' and blocker.state_change < now() - make_interval(secs => %(idle)s)
)
and waiter.usename = 'lake' and blocker.usename <> 'lake' and pg_has_role('lake', blocker.usename, 'usage')"""


@contextmanager
def end_blockers(settings: Settings) -> Generator[None]:
    """During the block, end readers for whose locks the lake waits and who are older than the limits above."""
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(settings, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(settings: Settings, done: threading.Event) -> None:
    while not done.wait(_POLL_SECONDS):
        try:
            with psycopg.connect(settings.postgres.conninfo("lake"), autocommit=True) as connection:
                while not done.wait(_POLL_SECONDS):
                    connection.execute(_END, {"idle": IDLE_SECONDS, "busy": BUSY_SECONDS})
        except psycopg.Error:
            continue  # Postgres restarts; the build itself reports that
