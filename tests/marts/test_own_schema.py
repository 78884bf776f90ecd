"""Analysts work in a schema of their own, on the shared marts, with the rights they have anyway."""

from collections.abc import Generator
from pathlib import Path

import duckdb
import psycopg
import pytest

from lake_assets.dbt.environment import dbt_environment, dbt_state
from lake_assets.settings import Settings
from tests.support.mart_rows import Dbt, call_dbt

DRAFT = """
{{ config(contract={'enforced': false}) }}
select region, sum(orders) as orders from {{ ref('sales') }} group by 1
"""


@pytest.fixture
def draft(lake: Settings) -> Generator[None]:
    path = lake.dbt_project / "models" / "marts" / "sales_data_mart" / "regions.sql"
    path.write_text(DRAFT, "utf-8")
    yield
    path.unlink()


def personal(lake: Settings, schema: str) -> Path:
    return dbt_state(lake) / "own" / schema / "personal.duckdb"


def test_a_draft_reads_shared_marts_and_is_built_in_its_analysts_schema(built: Settings, dbt: Dbt, draft: None) -> None:
    dbt("--quiet", "run", "--select", "regions", LAKE_DBT_SCHEMA="dev_ann")
    with duckdb.connect(personal(built, "dev_ann"), read_only=True) as own:
        assert own.execute("select region, orders from dev_ann.regions order by 1").fetchall() == [
            ("north", 250),
            ("south", 250),
        ]
    query = b"select count(*) from pg_class join pg_namespace n on n.oid = relnamespace where nspname like 'dev%'"
    with psycopg.connect(built.postgres.conninfo("lake")) as shared:
        assert shared.execute(query).fetchone() == (0,), "nothing of it is in the shared database"


def test_two_analysts_do_not_see_each_other(built: Settings, dbt: Dbt, draft: None) -> None:
    for schema in ("dev_ann", "dev_ben"):
        dbt("--quiet", "run", "--select", "regions", LAKE_DBT_SCHEMA=schema)
    assert personal(built, "dev_ann") != personal(built, "dev_ben")
    assert personal(built, "dev_ben").exists()


def test_an_own_schema_gives_no_way_to_staging_tables(built: Settings) -> None:
    done = call_dbt(built, "run", "--select", "sales", LAKE_DBT_SCHEMA="dev_ann")
    assert done.returncode == 1
    assert 'Catalog "lake" does not exist' in done.stdout


def test_analysts_dbt_has_no_credentials_but_the_analysts(lake: Settings) -> None:
    caller = {"LAKE_DBT_SCHEMA": "dev_ann", "LAKE_POSTGRES_DSN": "password=admins", "LAKE_POSTGRES": "user=lake"}
    environment = dbt_environment(lake, caller)
    texts = [value for name, value in environment.items() if name not in ("LAKE_POSTGRES_ANALYST", "LAKE_DBT_SCHEMA")]
    assert not [text for text in texts if "user=" in text or "password=" in text or "passfile=" in text]
    assert environment["LAKE_POSTGRES_ANALYST"] == lake.postgres.conninfo("analyst")
    assert "LAKE_BUCKET" not in environment


def test_the_logic_of_a_mart_is_tested_without_access_to_staging_tables(built: Settings, dbt: Dbt) -> None:
    done = dbt("test", "--select", "funnel,test_type:unit", LAKE_DBT_SCHEMA="dev_ann")
    assert "PASS=3" in done.stdout


def test_work_in_an_own_schema_leaves_the_shared_marts_as_they_are(built: Settings, dbt: Dbt, draft: None) -> None:
    query = b"select oid::int from pg_class where relname in ('sales', 'funnel') order by 1"
    with psycopg.connect(built.postgres.conninfo("lake"), autocommit=True) as shared:
        before = shared.execute(query).fetchall()
        dbt("--quiet", "run", "--select", "regions", LAKE_DBT_SCHEMA="dev_ann")
        assert shared.execute(query).fetchall() == before
