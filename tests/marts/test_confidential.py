"""Marts cannot show what analysts may not have, by whatever way a model asks for it."""

import re
from collections.abc import Generator, Mapping
from pathlib import Path

import psycopg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.dbt.manifest import load_manifest
from lake_assets.dbt.mart_reads import refused_models
from lake_assets.orchestration.marts import mart_definitions
from lake_assets.settings import Settings
from tests.support.mart_rows import call_dbt

BY_REF = "select lead_id, email from {{ ref('stg_leads') }}"
BY_SOURCE = "select lead_id, email from {{ source('leads_staging', 'leads') }}"
BY_HAND = "select lead_id, email from lake.leads_staging.leads"
OPEN_SOURCE = "select contract_id from {{ source('contracts_staging', 'contracts') }}"


@pytest.fixture
def model(lake: Settings) -> Generator[Path]:
    path = lake.dbt_project / "models" / "marts" / "funnel_data_mart" / "people.sql"
    yield path
    path.unlink()


def write(path: Path, query: str) -> None:
    path.write_text(f"{{{{ config(contract={{'enforced': false}}) }}}}\n{query}", "utf-8")


def test_a_mart_that_selects_a_confidential_field_cannot_be_built(built: Settings, model: Path) -> None:
    write(model, BY_REF)
    done = call_dbt(built, "run", "--select", "people")
    assert done.returncode == 1
    assert 'column "email" not found' in done.stdout
    with psycopg.connect(built.postgres.conninfo("analyst")) as analyst, pytest.raises(psycopg.errors.UndefinedTable):
        analyst.execute("select * from funnel_data_mart.people")


def test_mart_is_judged_by_its_compiled_sql_before_it_runs(built: Settings, model: Path, tmp_path: Path) -> None:
    write(model, "select email from lake.{{ 'leads_' ~ 'staging' }}.leads")
    by_macro = model.with_name("by_macro.sql")
    write(by_macro, f"{{% set rows = run_query(\"copy (select 1) to '{tmp_path}/copy.csv'\") %}}select 1 as a")
    try:
        done = call_dbt(built, "run", "--select", "people", "by_macro", "sales")
    finally:
        by_macro.unlink()
    output = " ".join(done.stdout.split())
    assert "the model people reads lake.leads_staging.leads in line 2 of its compiled SQL" in output
    assert "file system operations are disabled by configuration" in output
    assert "PASS=1 WARN=0 ERROR=2" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "sentence_part"),
    [
        (BY_SOURCE, r"people reads the staging table of leads, .* \(email\): write ref\('stg_leads'\)"),
        (BY_HAND, "people names leads_staging.leads directly"),
    ],
)
def test_a_model_around_stg_is_left_out_with_what_is_behind_it(
    lake: Settings, catalog: Mapping[str, Asset], model: Path, query: str, sentence_part: str
) -> None:
    write(model, query)
    behind = model.with_name("behind.sql")
    write(behind, "select * from {{ ref('people') }}")
    try:
        keys = {key.to_user_string() for made in mart_definitions(lake, catalog).assets for key in made.keys}
        [sentence] = refused_models(load_manifest(lake), catalog.values()).values()
    finally:
        behind.unlink()
    assert keys == {"funnel_data_mart/funnel", "sales_data_mart/sales"}
    assert re.search(sentence_part, sentence)


def test_the_staging_table_of_an_asset_without_secrets_may_be_read(
    lake: Settings, catalog: Mapping[str, Asset], model: Path
) -> None:

    assert all(field.is_shown for field in catalog["contracts"].fields)
    write(model, OPEN_SOURCE)
    assert mart_definitions(lake, catalog).assets
