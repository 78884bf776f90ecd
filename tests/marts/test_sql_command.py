"""`lake sql`."""

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from lake_assets.cli.sql import command
from lake_assets.errors import LakeError
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import up
from lake_assets.warehouse.local.analyst_query import query_as_analyst
from lake_assets.warehouse.local.ducklake import DuckLake
from lake_assets.warehouse.results import QueryError


def test_the_engineer_reads_staging_and_marts_with_or_without_the_database(built: Settings) -> None:
    for query in (
        "select count(*) from lake.leads_staging.leads",
        "select count(*) from leads_staging.leads",
        "select cast(sum(leads) as bigint) from serving.funnel_data_mart.funnel",
        "select cast(sum(leads) as bigint) from funnel_data_mart.funnel",
    ):
        assert DuckLake(built).query(query, None).rows == [[300]]


def test_the_analyst_sees_the_marts(built: Settings) -> None:
    answer = query_as_analyst(built, "select sum(leads) as leads from funnel_data_mart.funnel", None)
    assert (answer.columns, answer.rows) == (("leads",), [[300]])


@pytest.mark.parametrize(
    ("role", "query", "sentence"),
    [
        (
            "analyst",
            "select * from ducklake.ducklake_table",
            "analysts may read *_data_mart and metrics only: permission denied",
        ),
        (
            "analyst",
            "select * from nothing",
            'relation "nothing" does not exist: analysts may read *_data_mart and metrics only.',
        ),
        ("analyst", "delete from funnel_data_mart.funnel", "cannot execute DELETE in a read-only transaction."),
        ("engineer", "selec 1", 'syntax error at or near "selec".'),
        ("engineer", "drop table leads_staging.leads", "`lake sql` runs one query that reads: not one SELECT"),
        ("engineer", " ", "the query is empty"),
    ],
)
def test_a_refused_query_is_explained_in_one_sentence(built: Settings, role: str, query: str, sentence: str) -> None:
    refused = CliRunner().invoke(command, [query, "--as", role])
    assert isinstance(refused.exception, LakeError)
    assert refused.exception.exit_code == 2
    assert sentence in str(refused.exception)
    assert "\n" not in str(refused.exception)


# Each wrote, read or ran something outside the lake's tables before the session was locked.
@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1 as a) to 'TMP/copy.csv'",
        "copy (select 1 as a) to 'HOME/bucket/copy.csv'",
        "select count(*) from read_text('/etc/passwd')",
        "explain analyze select count(*) from read_text('/etc/passwd')",
        "select count(*) from read_text('PASSFILE')",
        "call postgres_execute('serving', 'commit; create schema proof')",
        "select * from postgres_execute('serving', 'commit; create schema proof')",
        "select * from query('select 1')",
        "select * from postgres_scan('LAKE', 'ledger', 'contract')",
        "attach 'LAKE' as w (type postgres)",
        "attach 'TMP/other.duckdb' as other",
        "load 'TMP/any.duckdb_extension'",
        "set enable_external_access = true",
        "reset lock_configuration",
        "select 1; create table memory.main.t (i integer)",
        "delete from leads_staging.leads",
        "delete from funnel_data_mart.funnel",
    ],
)
def test_engineers_query_leaves_the_lake_s_tables_in_no_way(built: Settings, tmp_path: Path, query: str) -> None:
    places = {
        "TMP": tmp_path,
        "HOME": built.home,
        "PASSFILE": built.postgres.passfile_of("lake_admin"),
        "LAKE": built.postgres.conninfo("lake").replace("'", "''"),
    }
    for name, place in places.items():
        query = query.replace(name, str(place))
    before = sorted(path for path in (built.home / "bucket").rglob("*"))
    with pytest.raises(QueryError):
        DuckLake(built).query(query, None)
    assert list(tmp_path.iterdir()) == []
    assert sorted(path for path in (built.home / "bucket").rglob("*")) == before


def test_engineer_logs_in_as_a_role_that_reads_all_and_writes_nothing(built: Settings) -> None:
    with psycopg.connect(built.postgres.conninfo("lake"), autocommit=True) as lake:
        lake.execute("create schema made_later")
        lake.execute("create table made_later.t (i integer)")
        try:
            with psycopg.connect(built.postgres.conninfo("engineer"), autocommit=True) as engineer:
                engineer.execute("set default_transaction_read_only = off")
                for table in ("made_later.t", "ducklake.ducklake_table", "raw.iceberg_tables", "sales_data_mart.sales"):
                    assert engineer.execute(f"select count(*) from {table}".encode()).fetchone()
                for statement in (
                    "insert into made_later.t values (1)",
                    "delete from sales_data_mart.sales",
                    "truncate ducklake.ducklake_table",
                    "drop table made_later.t",
                    "create table made_later.mine (i integer)",
                    "create temporary table mine (i integer)",
                    "create schema mine",
                    "set role lake",
                    "select pg_advisory_lock(1)",
                    "select pg_read_file('/etc/passwd')",
                    "copy (select 1) to program 'true'",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        engineer.execute(statement.encode())
        finally:
            lake.execute("drop schema made_later cascade")
    with psycopg.connect(built.postgres.conninfo("lake_admin"), autocommit=True) as admin:
        admin.execute("alter role engineer nologin")
        try:
            with pytest.raises(LakeError, match="not permitted to log in"):
                DuckLake(built).query("select 1", None)
        finally:
            admin.execute("alter role engineer login")


def test_lake_without_the_role_of_engineers_gets_it_from_the_next_up(built: Settings) -> None:
    with psycopg.connect(built.postgres.conninfo("lake_admin"), autocommit=True) as admin:
        admin.execute("drop owned by engineer")
        admin.execute("drop role engineer")
    built.postgres.passfile_of("engineer").unlink()
    up(parts=("postgres",))
    query = "select count(*) from leads_staging.leads union all select count(*) from serving.raw.iceberg_tables"
    assert DuckLake(built).query(query, None).rows == [[300], [0]]


def test_engineer_may_explain_and_describe(built: Settings) -> None:
    for query in ("explain select 1", "describe leads_staging.leads", "summarize from funnel_data_mart.funnel"):
        assert DuckLake(built).query(query, None).rows


def test_a_long_table_is_cut_and_the_cut_is_reported(built: Settings) -> None:
    shown = CliRunner().invoke(command, ["select range from range(500)", "--limit", "3"])
    assert "There are more than 3 rows" in shown.stderr
    assert len(shown.stdout.strip().splitlines()) == 2 + 3
    default = CliRunner().invoke(command, ["select range from range(500)"])
    assert "There are more than 100 rows" in default.stderr
    assert "more than" not in CliRunner().invoke(command, ["select range from range(100)"]).stderr


def test_json_holds_every_row_and_comes_from_stdin_too(built: Settings) -> None:
    query = "select range as n, timestamptz '2026-01-01 00:00:00+00' as t, 1.50 as money from range(200)"
    shown = CliRunner().invoke(command, ["-", "--json"], input=query)
    rows = json.loads(shown.stdout)
    assert len(rows) == 200
    assert rows[7] == {"n": 7, "t": "2026-01-01 00:00:00+00:00", "money": "1.50"}


def test_a_statement_without_rows_prints_nothing(built: Settings) -> None:
    done = CliRunner().invoke(command, ["set search_path = sales_data_mart", "--as", "analyst"])
    assert (done.exit_code, done.output) == (0, "")


def test_bytes_are_shown_as_text(built: Settings) -> None:
    answer = DuckLake(built).query("""select '{"a":1}\\xFF'::blob as payload""", None)
    assert answer.rows == [['{"a":1}\\xff']]
