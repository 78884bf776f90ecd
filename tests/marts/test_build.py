"""Marts as dbt makes them in Postgres."""

import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from lake_assets.dashboard.freshness import built_at
from lake_assets.settings import Settings
from lake_assets.warehouse.local import mart_blockers
from lake_assets.warehouse.local.mart_blockers import end_blockers
from tests.support.conditions import wait_until
from tests.support.mart_rows import Dbt, call_dbt

# A mart's columns and the staging rows they must add up to: nothing is lost between the two.
TOTALS = {
    "funnel_data_mart.funnel": ("sum(leads), sum(contracts), sum(revenue_eur + revenue_usd)", (300, 50, 1837.5)),
    "sales_data_mart.sales": ("sum(orders), sum(quantity), sum(amount)", (500, 1500, 62375)),
}


@pytest.fixture
def analyst(built: Settings) -> Generator[psycopg.Connection]:
    with psycopg.connect(built.postgres.conninfo("analyst"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def sales_sql(lake: Settings) -> Generator[Path]:
    """The sales mart's model, which a test may change; it is as it was afterwards."""
    path = lake.dbt_project / "models" / "marts" / "sales_data_mart" / "sales.sql"
    text = path.read_text("utf-8")
    yield path
    path.write_text(text, "utf-8")


@pytest.fixture
def sales_yaml(lake: Settings) -> Generator[Path]:
    """The sales mart's properties, which a test may change; they are as they were afterwards."""
    path = lake.dbt_project / "models" / "marts" / "sales_data_mart" / "sales.yml"
    text = path.read_text("utf-8")
    yield path
    path.write_text(text, "utf-8")


def test_the_unit_tests_of_the_marts_hold_and_need_no_staging_rows(dbt: Dbt, built: Settings) -> None:
    done = dbt("test", "--select", "test_type:unit")
    assert "PASS=4 WARN=0 ERROR=0" in done.stdout


@pytest.mark.parametrize("mart", TOTALS)
def test_a_mart_adds_up_to_its_staging_tables(analyst: psycopg.Connection, mart: str) -> None:
    columns, expected = TOTALS[mart]
    row = analyst.execute(f"select {columns} from {mart}".encode()).fetchone()
    assert row is not None
    assert tuple(float(value) for value in row) == expected


def test_a_mart_keeps_its_contracts_types_in_postgres(analyst: psycopg.Connection) -> None:
    rows = analyst.execute(
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
        "where attrelid = 'sales_data_mart.sales'::regclass and attnum > 0 order by attnum"
    ).fetchall()
    assert rows == [
        ("region", "character varying", True),
        ("day", "date", True),
        ("orders", "bigint", True),
        ("quantity", "bigint", True),
        ("amount", "numeric(18,2)", True),
    ]


def test_descriptions_of_a_mart_are_comments_in_postgres(
    dbt: Dbt, sales_yaml: Path, analyst: psycopg.Connection
) -> None:
    hostile = "It's $comments$ \\' \"x\"; drop table sales_data_mart.sales; -- %s %I größe"
    text = sales_yaml.read_text("utf-8")
    assert "description: Units sold." in text
    text = text.replace("description: Units sold.", f"description: {json.dumps(hostile)}")
    sales_yaml.write_text(text, "utf-8")
    dbt("run", "--select", "sales")
    rows = analyst.execute(
        "select attname, col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = 'sales_data_mart.sales'::regclass and attnum > 0"
    ).fetchall()
    assert dict(rows) == {
        "region": "Sales region; 'unknown' when the order names none.",
        "day": "Day of the order, UTC.",
        "orders": "Number of orders.",
        "quantity": hostile,
        "amount": "Sum of the orders' amounts.",
    }
    [(comment,)] = analyst.execute("select obj_description('sales_data_mart.sales'::regclass)").fetchall()
    description, built = comment.split("\n")
    assert description == "Sales of each region and day (UTC), by the time of the order."
    assert abs(datetime.now(UTC) - built_at(built)) < timedelta(minutes=1)


def test_a_reader_never_finds_a_mart_missing_or_empty_during_its_rebuild(dbt: Dbt, built: Settings) -> None:
    """A table that is dropped or emptied before it is filled would be seen by one of thousands of reads."""
    stop, seen, wrong = threading.Event(), [0], []

    def read() -> None:
        with psycopg.connect(built.postgres.conninfo("analyst"), autocommit=True) as connection:
            while not stop.is_set():
                try:
                    row = connection.execute("select count(*), sum(orders) from sales_data_mart.sales").fetchone()
                except psycopg.Error as error:
                    wrong.append(str(error))
                    continue
                seen[0] += 1
                if row is None or row[1] != 500:
                    wrong.append(str(row))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(3):
            dbt("--quiet", "run", "--select", "sales")
    finally:
        stop.set()
        reader.join()
    assert wrong == []
    assert seen[0] > 100


def test_mart_has_the_indexes_of_its_settings(dbt: Dbt, sales_sql: Path, analyst: psycopg.Connection) -> None:
    sales_sql.write_text("{{ config(indexes=[{'columns': ['region']}]) }}\n" + sales_sql.read_text("utf-8"), "utf-8")
    query = b"select indexdef from pg_indexes where schemaname = 'sales_data_mart' and tablename = 'sales'"
    for _ in range(2):
        dbt("run", "--select", "sales")
        [(definition,)] = analyst.execute(query).fetchall()
        assert "(region)" in definition


SUM, OID = "select sum(orders) from sales_data_mart.sales", "select 'sales_data_mart.sales'::regclass::oid"


def test_build_waits_for_no_reader_and_leaves_it_its_rows(dbt: Dbt, built: Settings) -> None:
    """Regression guard: the lake waited for a minute, with it all later runs and readers, and then ended the reader."""
    conninfo = built.postgres.conninfo
    with psycopg.connect(conninfo("lake")) as lake:
        lake.execute("delete from sales_data_mart.sales where orders = (select max(orders) from sales_data_mart.sales)")
    with psycopg.connect(conninfo("analyst")) as reader, psycopg.connect(conninfo("analyst")) as other:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        [oid], [before] = other.execute(OID).fetchall()[0], reader.execute(SUM).fetchall()[0]
        other.rollback()
        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(reader.execute, b"select pg_sleep(600)")
            dbt("--quiet", "run", "--select", "sales")
            assert other.execute(SUM).fetchone() == (500,)
            assert other.execute(OID).fetchone() == (oid,)
            assert not busy.done()
            reader.cancel_safe()
            assert isinstance(busy.exception(), psycopg.errors.QueryCanceled)
        reader.rollback()
        assert before < 500
        assert reader.execute(SUM).fetchone() == (500,)


@pytest.mark.parametrize("change", ["", "alter table sales_data_mart.sales add extra int"])
def test_idle_transaction_that_keeps_a_mart_from_its_change_ends(dbt: Dbt, built: Settings, change: str) -> None:
    with psycopg.connect(built.postgres.conninfo("lake"), autocommit=True) as lake:
        lake.execute(change.encode())
        with psycopg.connect(built.postgres.conninfo("analyst")) as idle:
            [(oid,)] = idle.execute(OID).fetchall()
            idle.execute(SUM)
            if not change:
                old = (
                    "select from pg_stat_activity where pid = %s and state_change < clock_timestamp() - interval '5 s'"
                )
                wait_until(lambda: lake.execute(old, [idle.info.backend_pid]).fetchone() is not None)
            dbt("--quiet", "run", "--select", "sales")
            with pytest.raises(psycopg.OperationalError):
                idle.execute("select 1")
        assert lake.execute(OID).fetchone() != (oid,)


@pytest.mark.parametrize(("seconds", "is_ended"), [(2, True), (600, False)])
def test_long_query_of_a_reader_ends_only_after_its_time(
    built: Settings, monkeypatch: pytest.MonkeyPatch, seconds: int, is_ended: bool
) -> None:
    monkeypatch.setattr(mart_blockers, "BUSY_SECONDS", seconds)
    conninfo = built.postgres.conninfo
    analyst = psycopg.connect(conninfo("analyst"), autocommit=True)
    with analyst as busy, psycopg.connect(conninfo("lake")) as lake:
        with ThreadPoolExecutor() as pool, end_blockers(built):
            answer = pool.submit(busy.execute, b"select pg_sleep(8) from sales_data_mart.sales limit 1")
            wait_until(lambda: is_reading(built))
            lake.execute("lock table sales_data_mart.sales in access exclusive mode")
            error = answer.exception()
        assert isinstance(error, psycopg.errors.AdminShutdown) == is_ended


def is_reading(settings: Settings) -> bool:
    query = "select 1 from pg_stat_activity where usename = 'analyst' and state = 'active' and query ~ 'pg_sleep'"
    with psycopg.connect(settings.postgres.conninfo("lake")) as session:
        return session.execute(query.encode()).fetchone() is not None


@pytest.mark.parametrize(
    ("find", "put", "error"),
    [
        ("coalesce(region, 'unknown') as region", "nullif(region, 'north') as region", "null value in column"),
        (
            "count(*) as orders",
            "cast(count(*) as varchar) as orders",
            "enforced contract that failed",
        ),
        ("count(*) as orders,", "", "enforced contract that failed"),
    ],
    ids=["a null where none may be", "another type", "a missing column"],
)
def test_a_mart_that_breaks_its_contract_is_not_published(
    analyst: psycopg.Connection, lake: Settings, sales_sql: Path, find: str, put: str, error: str
) -> None:
    before = analyst.execute("select * from sales_data_mart.sales order by 1, 2").fetchall()
    text = sales_sql.read_text("utf-8")
    assert find in text
    sales_sql.write_text(text.replace(find, put), "utf-8")
    done = call_dbt(lake, "run", "--select", "sales")
    assert done.returncode == 1
    assert error in done.stdout
    assert analyst.execute("select * from sales_data_mart.sales order by 1, 2").fetchall() == before
