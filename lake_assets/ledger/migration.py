"""Schema of the ledger: numbered SQL files in `migrations`, each applied once, in order.

A change of the schema is a new file; files that a lake may have applied do not change.
"""

from pathlib import Path

import psycopg

from lake_assets.advisory_locks import take_transaction_lock

_MIGRATIONS = tuple(sorted((Path(__file__).parent / "migrations").glob("*.sql")))
NEWEST = len(_MIGRATIONS)


def schema_version(connection: psycopg.Connection) -> int | None:
    """Return the number of the last migration: 0 if the ledger is older than migrations, None if there is no ledger."""
    row = connection.execute(
        "select to_regclass('ledger.contract') is not null, to_regclass('ledger.migration') is not null"
    ).fetchone()
    exists, is_numbered = row or (False, False)
    if not exists:
        return None
    row = connection.execute("select max(number) from ledger.migration").fetchone() if is_numbered else None
    return row[0] if row else 0


def migrate_schema(connection: psycopg.Connection) -> None:
    """Apply the migrations that the ledger lacks, in one transaction. A concurrent call waits, and applies none.

    Raises Unavailable when it waits in vain.
    """
    with connection.transaction():
        take_transaction_lock(connection, "ledger")
        version = schema_version(connection) or 0
        if version >= NEWEST:
            return
        connection.execute(
            "create schema if not exists ledger; create table if not exists ledger.migration ("
            "number integer primary key, name text not null, applied_at timestamptz not null default now())"
        )
        for number, path in enumerate(_MIGRATIONS[version:], start=version + 1):
            connection.execute(path.read_bytes())
            connection.execute("insert into ledger.migration (number, name) values (%s, %s)", (number, path.stem))
