"""Migrations of the ledger: an older lake keeps its rows, and gets the schema of a new one."""

import hashlib
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.forgotten import Rows, receipts, unfinished
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.migration import NEWEST, schema_version
from lake_assets.ledger.removals import orphan_files, removed_offsets
from lake_assets.ledger.settled_offsets import known_offsets
from lake_assets.ledger.window_states import window_states
from lake_assets.settings import PROJECT, Settings

MIGRATIONS = PROJECT / "lake_assets/ledger/migrations"
# Lakes before migrations had numbers executed this file; what lakes before that had otherwise is beside this test.
OLDER_LEDGER = (MIGRATIONS / "0002_create_tables.sql").read_bytes()
MAJOR_COLUMN = (Path(__file__).parent / "major_column.sql").read_bytes()
# Beginnings of SHA-256.
APPLIED = {
    "0001_name_versions.sql": "f40499d7eb8ff124",
    "0002_create_tables.sql": "b77fb42709f59a90",
    "0003_name_datasets.sql": "78fb48c9188d60a2",
    "0004_count_expired_metrics.sql": "2e01c90429483bd2",
    "0005_record_previews.sql": "acd75ba61a3f4a60",
}
ROWS = b"""\
insert into ledger.contract (asset, version, text) values ('leads', '1.0.0', 'a: b');
insert into ledger.window (asset, "window", sequence, contract_version, run_id, engine, raw_rows, good, quarantined,
  duplicates, raw_bytes, seconds) values ('leads', '2026-01-02', 1, '1.0.0', '', '', 1, 1, 0, 0, 1, 1);
insert into ledger.window_partition (asset, "window", topic, partition, raw, good, quarantined, duplicates,
  redelivered, min_offset, max_offset) values ('leads', '2026-01-02', 'crm.leads', 0, 1, 1, 0, 0, 0, 9, 9);
insert into ledger.removal (asset, element, "window", sequence, rows, removed_at) values
  ('leads', 'raw', '2025-01-01', 1, 2, '2026-01-01 00:00+00'),
  ('leads', 'staging', '2025-01-01', 0, 2, '2026-01-02 00:00+00'),
  ('leads_v2', 'staging', '2025-01-02', 0, 2, '2026-01-02 00:00+00');
insert into ledger.removal_offsets (removal, topic, partition, first, last)
  select id, 'crm.leads', 0, 3, 4 from ledger.removal where element = 'raw';
insert into ledger.leftover_file (asset, url) values ('leads', 'file:///1.parquet');
insert into ledger.receipt (asset, fields, hash, checksum, sequence, files, rewritten_at)
  values ('leads', '{email}', 'h', 'c', 1, '{}', now());
insert into ledger.forgotten_window (receipt, "window", raw, staging, quarantine) select id, '2026-01-02', 1, 1, 0
  from ledger.receipt;
insert into ledger.forgotten_offsets (receipt, "window", topic, partition, first, last, in_raw)
  select id, '2026-01-02', 'crm.leads', 0, 5, 5, true from ledger.receipt;
"""


def _all(session: psycopg.Connection, query: str) -> list[tuple]:
    return session.execute(query.encode()).fetchall()


def schema(session: psycopg.Connection) -> dict[str, list[tuple]]:
    """Return columns, constraints and indexes of the ledger."""
    return {
        "columns": _all(
            session,
            "select table_name, column_name, data_type, is_nullable, column_default, identity_generation "
            "from information_schema.columns where table_schema = 'ledger' order by table_name, column_name",
        ),
        "constraints": _all(
            session,
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
            "where connamespace = 'ledger'::regnamespace order by 1, 2",
        ),
        "indexes": _all(session, "select indexdef from pg_indexes where schemaname = 'ledger' order by 1"),
    }


@pytest.fixture
def empty(stack: Settings) -> Generator[Ledger]:
    """A ledger without a schema; the lake gets its own back at the end."""
    with Ledger(stack) as ledger:
        ledger.ensure_schema()
        with ledger.connection.transaction(force_rollback=True):
            ledger.connection.execute("drop schema ledger cascade")
            yield ledger


def test_migrations_are_numbered_without_gaps() -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    assert [int(path.name[:4]) for path in files] == list(range(1, NEWEST + 1))


def test_a_migration_that_lakes_have_applied_never_changes() -> None:
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in MIGRATIONS.glob("*.sql")}
    assert digests == APPLIED, "add another migration instead; a new one gets a line in APPLIED"


def test_an_older_lake_gets_the_schema_of_a_new_one(empty: Ledger) -> None:
    session = empty.connection
    assert not empty.exists()
    empty.ensure_schema()
    new = schema(session)
    for older in ([OLDER_LEDGER], [OLDER_LEDGER, ROWS], [OLDER_LEDGER, MAJOR_COLUMN]):
        session.execute("drop schema ledger cascade")
        for statements in older:
            session.execute(statements)
        assert schema_version(session) == 0
        assert empty.exists()
        assert schema(session) == new


def test_each_migration_is_applied_once(empty: Ledger) -> None:
    empty.ensure_schema()
    applied = _all(empty.connection, "select number, name, applied_at from ledger.migration order by number")
    assert [number for number, *_ in applied] == list(range(1, NEWEST + 1))
    # A second time it would fail: the columns have their new names.
    empty.ensure_schema()
    assert empty.exists()
    assert _all(empty.connection, "select number, name, applied_at from ledger.migration order by number") == applied


def test_an_older_lake_keeps_its_rows_under_their_dataset(empty: Ledger) -> None:
    empty.connection.execute(OLDER_LEDGER)
    empty.connection.execute(ROWS)
    empty.ensure_schema()
    path = PROJECT / "lake_assets/catalog/assets/leads.yaml"
    leads = parse_contract(path.read_text("utf-8"), path)
    assert list(empty.contracts()) == ["leads"]
    states = window_states(empty, leads)
    assert list(states) == ["2025-01-01", "2026-01-02"]
    removed, erased = states.values()
    assert sorted(removed.removed_at) == ["raw", "staging"]
    assert removed.removed_rows == 2
    assert removed_offsets(empty, leads) == {"2025-01-01": [PartitionCount("crm.leads", 0, 2, 0, 0, 0, 0, 3, 4)]}
    assert orphan_files(empty, "leads") == ["file:///1.parquet"]
    (receipt,) = receipts(empty, "leads")
    assert (receipt.dataset, receipt.fields, receipt.windows) == ("leads", ("email",), {"2026-01-02": Rows(1, 1, 0)})
    assert [one.dataset for one in unfinished(empty)] == ["leads"]
    assert erased.erased_rows == 1
    assert erased.is_being_erased
    assert known_offsets(empty, [leads]) == {("crm.leads", 0): (5, 3)}


def test_versions_of_one_column_get_names_of_their_own(empty: Ledger) -> None:
    session = empty.connection
    session.execute(OLDER_LEDGER)
    session.execute(MAJOR_COLUMN)
    empty.ensure_schema()
    assert sorted(empty.contracts()) == ["a", "a_v2", "b"]
    assert _all(session, "select asset from ledger.window order by 1") == [("a",), ("a_v2",), ("b",)]
    assert _all(session, "select asset from ledger.window_partition") == [("a_v2",)]
    assert [entry.asset for entry in empty.pending()] == ["a_v2", "b"]
    assert empty.cursors() == {"b": "1.b.b"}
    assert _all(session, "select asset, dataset, element from ledger.removal order by id") == [
        (None, "a", "raw"),
        ("a_v2", None, "staging"),
    ]
    session.execute("delete from ledger.window where asset = 'a_v2'")
    assert _all(session, "select asset from ledger.window_partition") == []


def test_an_older_ledger_gets_the_tables_it_lacks(empty: Ledger) -> None:
    session = empty.connection
    session.execute(OLDER_LEDGER)
    session.execute("drop table ledger.failure, ledger.attempt, ledger.unreadable_raw, ledger.metric")
    assert empty.exists()
    assert known_failures(empty) == []
    assert empty.metrics() == {}
