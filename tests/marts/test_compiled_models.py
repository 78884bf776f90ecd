"""Tables that the compiled SQL of a mart may read."""

import re
from types import SimpleNamespace

import pytest

from lake_assets.dbt.compiled_models import _problem_of_node, problem_of_model
from lake_assets.select_syntax import NotASelect, parse_select

TABLES = {("sales_data_mart", "sales"), ("contracts_staging", "contracts")}


def problem(sql: str) -> str | None:
    staging = "__dbt__cte__stg_leads as (select * from lake.leads_staging.leads)"
    return problem_of_model(f"with {staging}, own as (select 1 as a)\n{sql}", TABLES, ["stg_leads"])


@pytest.mark.parametrize(
    "sql",
    [
        "select * from __dbt__cte__stg_leads join own on true",
        "select * from serving.sales_data_mart.sales, lake.contracts_staging.contracts",
        "select * from serving.metrics.sales_by_region, range(10), unnest([1, 2])",
        "select read_text from (select 'read_text(x)' as read_text) -- from read_text('x')",
        "select date_trunc('month', a) from own pivot (sum(a) for a in (1, 2))",
    ],
)
def test_mart_reads_models_sources_and_metrics(sql: str) -> None:
    assert problem(sql) is None


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("select email from lake.leads_staging.leads", "lake.leads_staging.leads"),
        ('select email\nfrom lake."leads_staging" .leads', "lake.leads_staging.leads"),
        ("select email from lake.leads_staging/**/.leads", "lake.leads_staging.leads"),
        ("select 1 where exists (from lake.leads_staging.leads_quarantine)", "lake.leads_staging.leads_quarantine"),
        ("select * from serving.ledger.contract", "serving.ledger.contract"),
        ("select * from __ducklake_metadata_lake.ducklake.ducklake_table", "__ducklake_metadata_lake"),
        ("select * from 'file.csv'", "file.csv"),
        ("select (select max(content) from read_text('/etc/passwd'))", "read_text"),
        ("select * from (select * from read_parquet('raw/*.parquet'))", "read_parquet"),
        ("select * from postgres_query('serving', 'select 1')", "postgres_query"),
        ("select * from query('from lake.leads_staging.leads')", "query"),
    ],
)
def test_mart_that_reads_anything_else_is_refused_with_the_line(sql: str, name: str) -> None:
    line = 3 if "\n" in sql else 2
    assert re.match(rf"(reads|calls) {re.escape(name)}.* in line {line} of its compiled SQL: ", problem(sql) or "")


@pytest.mark.parametrize("sql", ["select 1; select 2", "attach 'x' as y", "copy (select 1) to 'x'", "selec 1"])
def test_text_that_is_not_one_select_is_refused(sql: str) -> None:
    assert (problem_of_model(sql, TABLES, []) or "").startswith("is not one SELECT of DuckDB: ")
    with pytest.raises(NotASelect):
        parse_select(sql)


def node(path: str, sql: str, *parents: str, ephemeral: bool = True) -> SimpleNamespace:
    name = path.rpartition("/")[2]
    return SimpleNamespace(
        resource_type="model", path=path, language="sql", schema="main", alias=name, name=name, compiled_code=sql,
        depends_on=SimpleNamespace(nodes=list(parents)), is_ephemeral_model=ephemeral,
    )  # fmt: skip


@pytest.mark.parametrize("table", ["lake.leads_staging.leads", "lake.sales_staging.sales"])
def test_ephemeral_model_of_a_person_is_judged_within_its_readers(table: str) -> None:
    staging = node("staging/leads/stg_leads", "", "source.leads")
    person = node("marts/a_data_mart/mine", "", "model.stg_leads", "source.sales")
    sql = (
        "with __dbt__cte__stg_leads as (select * from lake.leads_staging.leads), "
        f"__dbt__cte__mine as (select * from __dbt__cte__stg_leads, {table}) select * from __dbt__cte__mine"
    )
    mart = node("marts/a_data_mart/a", sql, "model.mine", ephemeral=False)
    sources = {"source.sales": SimpleNamespace(schema="sales_staging", identifier="sales")}
    manifest = SimpleNamespace(sources=sources, nodes={"model.stg_leads": staging, "model.mine": person})
    allowed = table == "lake.sales_staging.sales"
    assert (_problem_of_node(mart, manifest) is None) == allowed


def test_model_in_python_is_refused() -> None:
    model = SimpleNamespace(resource_type="model", path="marts/a_data_mart/a.py", language="python")
    assert _problem_of_node(model, None) == "is written in python: marts are SQL"
