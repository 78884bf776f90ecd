"""A mart whose model was deleted or renamed is named, because readers still see its rows."""

import re
import shutil
from collections.abc import Generator

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner, Result

from lake_assets.cli.remove import command
from lake_assets.errors import LakeError
from lake_assets.operations.left_marts import marts_without_model
from lake_assets.orchestration.instance import open_instance
from lake_assets.settings import Settings

# A name that a model may have, and that is written in quotes only.
OLD = "Old sales, 2025"


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


@pytest.fixture
def old(built: Settings) -> Generator[Settings]:
    """The built lake with the table of a model that was deleted, which Dagster knows too."""
    key = dg.AssetKey(["sales_data_mart", OLD])
    with psycopg.connect(built.postgres.conninfo("lake"), autocommit=True) as session:
        session.execute(
            f'create table sales_data_mart."{OLD}" as select region from sales_data_mart.sales limit 3'.encode()
        )
        with open_instance(built) as instance:
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        yield built
        session.execute(f'drop table if exists sales_data_mart."{OLD}" cascade'.encode())
        with open_instance(built) as instance:
            instance.wipe_assets([key])


def remove(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def checksum_of(result: Result) -> str:
    found = re.search(r"--confirm (\w+)", result.output)
    assert found, result.output
    return found[1]


def test_left_mart_is_shown_first_and_removed_with_its_checksum(old: Settings) -> None:
    shown = remove(f"sales_data_mart.{OLD}")
    assert "3 rows" in shown.output
    assert marts_without_model(old) == [f"sales_data_mart.{OLD}"]
    removed = remove(f"sales_data_mart.{OLD}", "--confirm", checksum_of(shown))
    assert f"sales_data_mart.{OLD} is removed." in removed.output
    assert marts_without_model(old) == []
    with open_instance(old) as instance:
        assert not instance.has_asset_key(dg.AssetKey(["sales_data_mart", OLD]))


def test_left_mart_whose_rows_changed_since_is_not_removed(old: Settings) -> None:
    checksum = checksum_of(remove(f"sales_data_mart.{OLD}"))
    with psycopg.connect(old.postgres.conninfo("lake"), autocommit=True) as session:
        session.execute(f'insert into sales_data_mart."{OLD}" values (null)'.encode())
    result = remove(f"sales_data_mart.{OLD}", "--confirm", checksum)
    assert isinstance(result.exception, LakeError)
    assert "nothing was removed" in str(result.exception)
    assert marts_without_model(old) == [f"sales_data_mart.{OLD}"]


def test_left_mart_that_a_view_reads_is_not_removed_and_the_view_is_named(old: Settings) -> None:
    checksum = checksum_of(remove(f"sales_data_mart.{OLD}"))
    with psycopg.connect(old.postgres.conninfo("lake"), autocommit=True) as session:
        session.execute(f'create view sales_data_mart.regions as select region from sales_data_mart."{OLD}"'.encode())
        try:
            assert "read by sales_data_mart.regions" in remove(f"sales_data_mart.{OLD}").output
            result = remove(f"sales_data_mart.{OLD}", "--confirm", checksum)
            assert "sales_data_mart.regions" in str(result.exception)
            assert f"sales_data_mart.{OLD}" in (marts_without_model(old) or ())
        finally:
            session.execute("drop view sales_data_mart.regions")


def test_view_of_a_deleted_model_is_removed_too(old: Settings) -> None:
    with psycopg.connect(old.postgres.conninfo("lake"), autocommit=True) as session:
        session.execute("create view sales_data_mart.regions as select 1 as one")
        shown = remove("sales_data_mart.regions")
        remove("sales_data_mart.regions", "--confirm", checksum_of(shown))
        assert session.execute("select to_regclass('sales_data_mart.regions')").fetchone() == (None,)


@pytest.mark.parametrize("table", ["sales_data_mart.sales", "leads_staging.leads", "public.x", "sales_data_mart."])
def test_table_that_a_model_builds_or_that_is_no_mart_is_refused(old: Settings, table: str) -> None:
    result = remove(table, "--confirm", "0123456789ab")
    assert f"{table} is no table of a mart that has lost its model" in str(result.exception)
    with psycopg.connect(old.postgres.conninfo("lake"), autocommit=True) as session:
        assert session.execute("select to_regclass('sales_data_mart.sales')").fetchone() != (None,)
