"""The dashboard's own connection to Postgres."""

from collections.abc import Generator

import psycopg
import pytest

from lake_assets.dashboard.reader import NotRead, NotThere, Reader
from lake_assets.settings import Settings
from tests.support.frozen_processes import frozen

PID = "select pg_backend_pid(), current_user, current_setting('transaction_read_only')"


@pytest.fixture
def reader(built: Settings) -> Generator[Reader]:
    reader = Reader(built)
    yield reader
    reader.close()


def test_reader_is_the_analyst_and_read_only(reader: Reader) -> None:
    [(_, user, read_only)] = reader.rows(PID, 0)
    assert (user, read_only) == ("analyst", "on")
    assert reader.rows("select sum(orders) from sales_data_mart.sales", 0) == [(500,)]
    with pytest.raises(NotRead, match="read-only transaction"):
        reader.rows("create temporary table x (y int)", 0)


@pytest.mark.parametrize("table", ["ducklake.ducklake_table", "raw.iceberg_tables"])
def test_postgres_refuses_the_reader_all_but_marts_and_metrics(reader: Reader, table: str) -> None:
    with pytest.raises(NotRead, match="Analysts may not read this table") as refusal:
        reader.rows(f"select * from {table}", 0)
    assert isinstance(refusal.value.__cause__, psycopg.errors.InsufficientPrivilege)


def test_reader_leaves_no_transaction_open(built: Settings, reader: Reader) -> None:
    """The lake ends sessions that leave one open, because a mart then cannot be replaced."""
    [(pid, *_)] = reader.rows(PID, 0)
    with psycopg.connect(built.postgres.conninfo("lake_admin", "postgres")) as admin:
        assert admin.execute("select state from pg_stat_activity where pid = %s", [pid]).fetchall() == [("idle",)]


def test_readers_of_one_moment_share_a_query(reader: Reader) -> None:
    query = "select clock_timestamp()"
    assert reader.rows(query, 3600) == reader.rows(query, 3600)
    assert reader.rows(query, 3600) != reader.rows(query, 0)


def test_session_that_was_ended_is_opened_again(built: Settings, reader: Reader) -> None:
    [(pid, *_)] = reader.rows(PID, 0)
    with psycopg.connect(built.postgres.conninfo("lake_admin", "postgres"), autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(%s, 10000)", [pid])
    [(after, *_)] = reader.rows(PID, 0)
    assert after != pid


def test_server_that_stands_still_is_a_sentence(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_assets.dashboard.reader.WAIT_SECONDS", 0.5)
    [(pid, *_)] = reader.rows(PID, 0)
    with frozen(pid), pytest.raises(NotRead, match="The database does not answer"):
        reader.rows(PID, 0)
    [(after, *_)] = reader.rows(PID, 0)
    assert after == pid


def test_query_that_takes_too_long_is_ended(reader: Reader) -> None:
    with pytest.raises(NotRead, match="took longer than 3 s"):
        reader.rows("select pg_sleep(60)", 0)


def test_missing_table_is_reported_as_missing(reader: Reader) -> None:
    with pytest.raises(NotThere):
        reader.rows("select * from sales_data_mart.nothing", 0)
