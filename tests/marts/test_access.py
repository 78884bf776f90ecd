"""Analysts read marts and nothing else: they log in as BI tools do and try."""

from collections.abc import Mapping

import psycopg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.compile.grants import MartNameError, mart_grants
from lake_assets.settings import Settings
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import mart_schemas
from tests.support.mart_rows import Dbt

FORBIDDEN = [
    "create table public.mine (i integer)",
    "create table funnel_data_mart.mine (i integer)",
    "create temporary table mine (i integer)",
    "create schema mine",
    "create role mine",
    "create function public.f() returns integer language sql as 'select 1'",
    "create view funnel_data_mart.v as select 1",
    "insert into funnel_data_mart.funnel select * from funnel_data_mart.funnel",
    "update funnel_data_mart.funnel set leads = 0",
    "delete from funnel_data_mart.funnel",
    "truncate funnel_data_mart.funnel",
    "drop table funnel_data_mart.funnel",
    "select * from ducklake.ducklake_table",
    "select * from ducklake.ducklake_data_file",
    "select * from raw.iceberg_tables",
    "select pg_read_file('/etc/passwd')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/passwd')",
    "select lo_from_bytea(0, 'a file of any size')",
    "copy (select 1) to '/tmp/out'",
    "copy (select 1) to program 'true'",
    "select rolpassword from pg_authid",
    "set role lake",
    "set session authorization lake",
    "alter system set log_statement = 'all'",
    "create extension dblink",
]


@pytest.fixture
def analyst(built: Settings) -> psycopg.Connection:
    """Logged in as BI tools are, and not read-only by choice: what holds an analyst back must be the grants."""
    return psycopg.connect(built.postgres.conninfo("analyst"), autocommit=True)


def test_an_analyst_reads_every_mart(analyst: psycopg.Connection) -> None:
    for mart in ("funnel_data_mart.funnel", "sales_data_mart.sales"):
        assert analyst.execute(f"select count(*) from {mart}".encode()).fetchone() > (0,)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_an_analyst_is_refused(analyst: psycopg.Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
        analyst.execute(statement.encode())


def test_an_analyst_may_read_no_table_outside_the_mart_schemas(analyst: psycopg.Connection, built: Settings) -> None:
    """Over whatever schemas there are: one that somebody adds later is covered without a change here."""
    rows = analyst.execute(
        "select nspname, relname from pg_class join pg_namespace n on n.oid = relnamespace "
        "where relkind in ('r', 'v', 'm', 'p', 'f') and nspname not in ('pg_catalog', 'information_schema') "
        "and nspname not like 'pg\\_%' and has_schema_privilege(n.oid, 'usage') "
        "and has_any_column_privilege(pg_class.oid, 'select')"
    ).fetchall()
    assert {schema for schema, _ in rows} == set(mart_schemas(built))
    usable = analyst.execute(
        "select nspname from pg_namespace where has_schema_privilege(oid, 'usage') and nspname not like 'pg\\_%'"
    ).fetchall()
    assert {schema for (schema,) in usable} == {*mart_schemas(built), "information_schema"}


@pytest.mark.parametrize("database", ["dagster", "postgres", "template1"])
def test_an_analyst_may_not_enter_another_database(built: Settings, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(built.postgres.conninfo("analyst", database))


@pytest.mark.parametrize("role", ["lake", "lake_admin", "connect", "dagster"])
def test_an_analyst_cannot_become_another_role(analyst: psycopg.Connection, role: str) -> None:
    assert analyst.execute("select pg_has_role('analyst', %s, 'member')", [role]).fetchone() == (False,)


def test_a_rebuilt_mart_can_still_be_read(analyst: psycopg.Connection, dbt: Dbt) -> None:
    before = analyst.execute("select 'sales_data_mart.sales'::regclass::oid").fetchone()
    dbt("--quiet", "run", "--select", "sales")
    assert analyst.execute("select 'sales_data_mart.sales'::regclass::oid").fetchone() != before, "a new table"
    assert analyst.execute("select count(*) from sales_data_mart.sales").fetchone() > (0,)


def test_granting_again_changes_nothing_and_a_missing_grant_is_seen(
    built: Settings, catalog: Mapping[str, Asset]
) -> None:
    PostgresMarts(built).ensure(mart_schemas(built))
    assert PostgresMarts(built).missing(mart_schemas(built)) == []
    with psycopg.connect(built.postgres.conninfo("lake"), autocommit=True) as owner:
        owner.execute("revoke usage on schema sales_data_mart from analyst")
    assert PostgresMarts(built).missing(mart_schemas(built)) == ["sales_data_mart"]
    PostgresMarts(built).ensure(mart_schemas(built))
    assert PostgresMarts(built).missing(mart_schemas(built)) == []


@pytest.mark.parametrize(
    "schema", ["ledger", "leads_staging", "public", "x_data_mart; drop table y", "X_data_mart", ""]
)
def test_only_a_mart_schema_can_be_granted(schema: str) -> None:
    with pytest.raises(MartNameError, match="must be named like 'funnel_data_mart'"):
        mart_grants([schema])
