"""Locks of Postgres: each wait has an end (`lock_timeout`), and its error names the holder."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from lake_assets.errors import Unavailable

_PROGRAM = "coalesce(nullif(application_name, ''), 'a session'), usename, pid"
_HOLDER = f"""\
select {_PROGRAM}, state_change from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and granted and objsubid = 1
and (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)"""
_OLDEST = f"""\
select {_PROGRAM}, xact_start from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
order by xact_start limit 3"""


def take_lock(connection: psycopg.Connection, name: str) -> None:
    """Take the lock of that name until the session ends or unlocks it.

    Raises Unavailable when another session holds it for longer than `lock_timeout`.
    """
    try:
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    except psycopg.errors.LockNotAvailable:
        raise _held(connection, name) from None


def take_transaction_lock(connection: psycopg.Connection, name: str) -> None:
    """Take the lock of that name until the open transaction ends. Raises Unavailable as `take_lock` does."""
    try:
        with connection.transaction():  # a savepoint, so that the holder can be looked up after the time-out
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
    except psycopg.errors.LockNotAvailable:
        raise _held(connection, name) from None


@contextmanager
def explain_lock_waits(connection: psycopg.Connection) -> Generator[None]:
    """Replace the error of a wait for rows or tables by Unavailable, which names the oldest open transactions."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise waited_in_vain(connection) from None


def waited_in_vain(connection: psycopg.Connection) -> Unavailable:
    """Return the error of a wait for rows or tables that timed out. An open transaction is rolled back."""
    connection.rollback()
    holders = ", ".join(map(_describe, connection.execute(_OLDEST).fetchall())) or "none"
    return Unavailable(
        f"a table of the lake is locked by another session; the oldest open transactions are of: {holders}. "
        "Wait for them or end them, and try again."
    )


def _held(connection: psycopg.Connection, name: str) -> Unavailable:
    row = connection.execute(_HOLDER, (name,)).fetchone()
    holder = _describe(row) if row else "a session that has ended"
    return Unavailable(f"the lock '{name}' is held by {holder}: wait for it or end it, and try again.")


def _describe(row: TupleRow) -> str:
    """Return program, role and process of a session, and since when it is in its statement or transaction."""
    program, role, pid, since = row
    return f"{program} (role {role}, Postgres process {pid}, since {since:%Y-%m-%d %H:%M} UTC)"
