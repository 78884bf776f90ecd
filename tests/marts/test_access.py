"""Analysts read marts and nothing else: they log in as BI tools do and try."""

import os
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.compile.grants import MartNameError, mart_grants
from lake_assets.errors import Unavailable
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.reader_priority import LOWEST, limit_readers
from lake_assets.project import read_files
from lake_assets.settings import Role, Settings
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import mart_schemas
from lake_assets.warehouse.metric_tables import ensure_metric_tables
from tests.support.forbidden_statements import FORBIDDEN
from tests.support.mart_rows import Dbt


@pytest.mark.parametrize("role", ["analyst", "connect"])
def test_role_of_a_person_or_sink_has_limits(built: Settings, role: Role) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "temp_file_limit")
    with psycopg.connect(built.postgres.conninfo(role)) as session:
        limits = [session.execute(f"show {name}".encode()).fetchone() for name in names]
        [(connections,)] = session.execute("select rolconnlimit from pg_roles where rolname = current_user").fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select pg_advisory_lock(1)")
    assert not {("0",), ("-1",)} & set(limits)
    assert 0 < connections < 100


def test_analysts_sort_larger_than_its_limit_ends(built: Settings) -> None:
    with psycopg.connect(built.postgres.conninfo("lake"), autocommit=True) as lake:
        assert lake.execute("select pg_try_advisory_lock(1), pg_advisory_unlock(1)").fetchall() == [(True, True)]
    with psycopg.connect(built.postgres.conninfo("lake_admin"), autocommit=True) as admin:
        before = admin.execute(
            "select setconfig from pg_db_role_setting join pg_roles r on r.oid = setrole where rolname = 'analyst'"
        ).fetchone()
        assert before is not None
        assert "temp_file_limit=256MB" in before[0]
        admin.execute("alter role analyst set temp_file_limit = '1MB'")
        try:
            with (
                psycopg.connect(built.postgres.conninfo("analyst")) as analyst,
                pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="temp_file_limit"),
            ):
                analyst.execute("select count(*) from (select * from generate_series(1, 3000000) i order by -i) s")
        finally:
            admin.execute("alter role analyst set temp_file_limit = '256MB'")


def test_wait_for_a_lock_ends_and_names_its_holder(built: Settings) -> None:
    with (
        Ledger(built) as holder,
        Ledger(replace(built, run_seconds=1)) as waiter,
        holder.locked("dataset:proof"),
    ):
        program = rf".* {os.getpid()}@.+ \(role lake, Postgres process \d+, since 20..-..-.. ..:.. UTC\)"
        with (
            pytest.raises(Unavailable, match=rf"^the lock 'dataset:proof' is held by {program}: wait for it or end it"),
            waiter.locked("dataset:proof"),
        ):
            pass
        with waiter.locked("dataset:other"):
            pass


@pytest.mark.parametrize("role", ["lake", "dagster"])
def test_wait_of_the_lake_for_a_lock_of_postgres_ends(built: Settings, role: Role) -> None:
    with psycopg.connect(built.postgres.conninfo(role, None if role == "lake" else "dagster")) as session:
        assert session.execute("show lock_timeout").fetchone() == ("10min",)


def test_each_lock_that_is_not_free_in_time_names_its_holder(
    built: Settings, catalog: Mapping[str, Asset], monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = next(iter(read_files(built).metrics.values()))
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=500ms")
    holder = rf"{os.getpid()}@.+ \(role lake, Postgres process \d+, since 20"
    with Ledger(built) as holding, Ledger(replace(built, run_seconds=1)) as waiting:
        holding.ensure_schema()
        with holding.locked("ledger"), pytest.raises(Unavailable, match=f"^the lock 'ledger' is held by .*{holder}"):
            waiting.ensure_schema()
        with holding.locked("metrics"), pytest.raises(Unavailable, match=f"^the lock 'metrics' is held by .*{holder}"):
            ensure_metric_tables(built, metric)
        with holding.connection.transaction():
            holding.connection.execute("lock table ledger.contract in access exclusive mode")
            held = f"^a table of the lake is locked by another session; .*{holder}"
            with pytest.raises(Unavailable, match=held), Ledger(replace(built, run_seconds=1)) as reading:
                reading.contracts()


def test_sessions_of_analysts_take_the_processor_time_that_the_lake_leaves(built: Settings) -> None:
    with psycopg.connect(built.postgres.conninfo("analyst"), autocommit=True) as analyst, Ledger(built) as lake:
        limit_readers(lake)
        sessions = (analyst, lake.connection)
        assert [psutil.Process(session.info.backend_pid).nice() for session in sessions] == [LOWEST, 0]
        groups = [Path(f"/proc/{session.info.backend_pid}/autogroup") for session in sessions]
        shares = [group.read_text("ascii").split()[-1] for group in groups if group.exists()]
        assert shares in ([str(LOWEST), "0"], [])


def test_query_that_needs_all_memory_ends_alone(built: Settings) -> None:
    with psycopg.connect(built.postgres.conninfo("analyst"), autocommit=True) as analyst:
        analyst.execute("set work_mem = '20GB'")
        with pytest.raises(psycopg.errors.OutOfMemory):
            analyst.execute("select length(repeat('x', 900000000))")
        assert analyst.execute("select 1").fetchone() == (1,)


@pytest.fixture
def analyst(built: Settings) -> Generator[psycopg.Connection]:
    """Logged in as BI tools are, and not read-only by choice: what holds an analyst back must be the grants."""
    with psycopg.connect(built.postgres.conninfo("analyst"), autocommit=True) as session:
        yield session


def test_an_analyst_reads_every_mart(analyst: psycopg.Connection) -> None:
    for mart in ("funnel_data_mart.funnel", "sales_data_mart.sales"):
        assert analyst.execute(f"select count(*) from {mart}".encode()).fetchone() > (0,)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_an_analyst_is_refused(analyst: psycopg.Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
        analyst.execute(statement.encode())


def test_an_analyst_may_read_no_table_outside_the_mart_schemas(analyst: psycopg.Connection, built: Settings) -> None:
    """The test covers all existing schemas: a new one needs no change here."""
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
