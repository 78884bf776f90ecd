"""A mart whose model was deleted or renamed is named, because readers still see its rows."""

import shutil
from collections.abc import Generator

import psycopg
import pytest

from lake_assets.operations.left_marts import marts_without_model
from lake_assets.settings import Settings


@pytest.fixture
def models(built: Settings) -> Generator[Settings]:
    """The built lake, whose models are restored afterwards."""
    folder, kept = built.dbt_project / "models" / "marts", built.home / "kept_models"
    shutil.copytree(folder, kept)
    yield built
    shutil.rmtree(folder)
    shutil.move(kept, folder)


def test_tables_of_models_and_of_a_build_that_goes_on_are_no_left_marts(models: Settings) -> None:
    with psycopg.connect(models.postgres.conninfo("lake"), autocommit=True) as session:
        session.execute("create table sales_data_mart.sales__dbt_tmp ()")
        try:
            assert marts_without_model(models) == []
        finally:
            session.execute("drop table sales_data_mart.sales__dbt_tmp")


def test_table_of_a_deleted_model_is_a_left_mart(models: Settings) -> None:
    shutil.rmtree(models.dbt_project / "models" / "marts" / "funnel_data_mart")
    assert marts_without_model(models) == ["funnel_data_mart.funnel"]


def test_table_of_a_model_in_another_file_is_no_left_mart(models: Settings) -> None:
    folder = models.dbt_project / "models" / "marts" / "sales_data_mart"
    text = (folder / "sales.yml").read_text("utf-8")
    (folder / "sales.sql").rename(folder / "daily.sql")
    text = text.replace("- name: sales\n", "- name: daily\n", 1).replace("ref('sales')", "ref('daily')")
    text = text.replace("model: sales", "model: daily")
    (folder / "sales.yml").write_text(text, "utf-8")
    assert marts_without_model(models) == ["sales_data_mart.sales"]
    sql = (folder / "daily.sql").read_text("utf-8")
    (folder / "daily.sql").write_text("{{ config(alias='sales') }}\n" + sql, "utf-8")
    assert marts_without_model(models) == []
