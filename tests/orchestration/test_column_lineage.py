"""Lineage of the columns of marts: what a build reports, and what is kept of it between builds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lake_assets.dbt.environment import dbt_state
from lake_assets.orchestration import column_lineage as module
from lake_assets.orchestration.column_lineage import column_lineage, with_lineage
from lake_assets.orchestration.keys import staging_key
from lake_assets.settings import load_settings
from tests.support.raw_assets import example_asset

ORDERS = example_asset("orders", "shop")
ASSETS = {staging_key(ORDERS): ORDERS}
FIELD = ORDERS.fields[0].name
MART, OTHER, HIDDEN = "model.lake.totals", "model.lake.other", "model.lake.stg_orders"
SOURCE = "source.lake.orders_staging.orders"
KEY = "dagster/column_lineage"


def model(alias: str, parents: list[str], materialized: str = "table") -> dict[str, Any]:
    return {
        "schema": "shop_data_mart",
        "alias": alias,
        "database": "serving",
        "package_name": "lake",
        "original_file_path": f"models/{alias}.sql",
        "config": {"materialized": materialized},
        "columns": {"region": {}},
        "depends_on": {"nodes": parents},
    }


MANIFEST: Mapping[str, Any] = {
    "nodes": {
        MART: model("totals", [HIDDEN, OTHER]),
        OTHER: model("other", []),
        HIDDEN: model("stg_orders", [SOURCE], "ephemeral"),
    },
    "sources": {
        SOURCE: {
            "schema": "orders_staging",
            "name": "orders",
            "identifier": "orders",
            "database": "lake",
            "columns": {},
        }
    },
}
SQL = f"""
    with __dbt__cte__stg_orders as (select * from "lake"."orders_staging"."orders")
    select s.{FIELD} as id, o.region, count(*) as orders
    from __dbt__cte__stg_orders as s cross join "serving"."shop_data_mart"."other" as o group by 1, 2
"""
Read = Callable[..., Mapping[str, dg.TableColumnLineage]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))

    def call(sql: str = SQL, manifest: Mapping[str, Any] = MANIFEST) -> Mapping[str, dg.TableColumnLineage]:
        return column_lineage(load_settings(), manifest, ASSETS, MART, sql)

    return call


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that were analysed."""
    queries: list[str] = []
    analyse = module._analyse

    def counting(sql: str, *arguments: Any) -> Any:
        queries.append(sql)
        return analyse(sql, *arguments)

    monkeypatch.setattr(module, "_analyse", counting)
    return queries


def sources(lineage: Mapping[str, dg.TableColumnLineage]) -> dict[str, list[tuple[dg.AssetKey, str]]]:
    return {
        column: [(dep.asset_key, dep.column_name) for dep in deps]
        for column, deps in lineage[KEY].deps_by_column.items()
    }


def test_column_comes_from_staging_through_stg_models_and_from_other_marts(read: Read) -> None:
    assert sources(read()) == {
        "id": [(staging_key(ORDERS), FIELD)],
        "region": [(dg.AssetKey(["shop_data_mart", "other"]), "region")],
    }


def test_lineage_is_analysed_once_for_the_same_sql_and_columns(read: Read, analysed: list[str]) -> None:
    first = read()
    assert read() == first
    assert len(analysed) == 1
    wider = {**MANIFEST["nodes"][OTHER], "columns": {"region": {}, "seen": {}}}
    read(manifest={**MANIFEST, "nodes": {**MANIFEST["nodes"], OTHER: wider}})
    assert len(analysed) == 2
    read(SQL.replace("count(*)", "sum(1)"))
    assert len(analysed) == 3
    assert [file.name for file in (dbt_state(load_settings()) / "lineage").iterdir()] == [f"{MART}.json"]


def test_sql_that_cannot_be_analysed_has_no_lineage_and_no_error(read: Read, analysed: list[str]) -> None:
    assert [read("this is no select"), read("this is no select")] == [{}, {}]
    assert len(analysed) == 1


def test_event_of_a_built_model_gets_the_lineage_of_what_dbt_compiled(tmp_path: Path, read: Read) -> None:
    compiled = tmp_path / "compiled" / "lake" / "models" / "totals.sql"
    compiled.parent.mkdir(parents=True)
    compiled.write_text(SQL, "utf-8")
    settings = load_settings()
    event = dg.Output(None, "totals", metadata={"unique_id": MART, "status": "success"})
    shown = with_lineage(settings, MANIFEST, ASSETS, tmp_path, event)
    assert shown.metadata["status"].value == "success"
    assert shown.metadata[KEY].value == read()[KEY]
    check = dg.AssetCheckResult(passed=True)
    assert with_lineage(settings, MANIFEST, ASSETS, tmp_path, check) is check
    compiled.unlink()
    assert KEY not in with_lineage(settings, MANIFEST, ASSETS, tmp_path, event).metadata
