"""Definition of an asset as users of Dagster see it: kinds, table, tags, files, freshness, and its readers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePath

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.orchestration.asset_tags import asset_tags, reader_tags
from lake_assets.orchestration.assets import conforming_definition, landing_definitions
from lake_assets.orchestration.boards import board_assets
from lake_assets.orchestration.code_references import code_references
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, load_settings

STAGING, QUARANTINE = dg.AssetKey(["leads_staging", "leads"]), dg.AssetKey(["leads_staging", "leads_quarantine"])
CONFORMED, RAW = dg.AssetKey(["conformed", "leads"]), dg.AssetKey(["raw", "leads"])
FUNNEL, SALES = dg.AssetKey(["funnel_data_mart", "funnel"]), dg.AssetKey(["sales_data_mart", "sales"])
METRIC = dg.AssetKey(["metrics", "sales_by_region"])
FUNNEL_BOARD, SALES_BOARD = dg.AssetKey(["board", "funnel_report"]), dg.AssetKey(["board", "sales_board"])
MARTS = PROJECT / "dbt_project" / "models" / "marts"
CONTRACTS = PROJECT / "lake_assets" / "catalog"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return read_files(load_settings())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def specs_on(target: str, home: Path, catalog: Catalog) -> Mapping[dg.AssetKey, dg.AssetSpec]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "LAKE_HOME": str(home / target),
            "LAKE_TARGET": target,
            "LAKE_GCP_PROJECT": "acme",
            "LAKE_GCP_LOCATION": "EU",
        }.items():
            patch.setenv(name, value)
        if target != "local":
            patch.setenv("LAKE_BUCKET", {"gcp": "gs://lake", "aws": "s3://lake"}[target])
        settings = replace(load_settings(), dashboard_port=8501 if target == "local" else 0)
        return {spec.key: spec for spec in build_definitions(settings, catalog).resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def shown(home: Path, catalog: Catalog) -> Mapping[dg.AssetKey, dg.AssetSpec]:
    return specs_on("local", home, catalog)


# Of staging tables and of marts: the kind, and the database in the full name.
STORES = {
    "local": (("ducklake", "lake"), ("postgres", "serving")),
    "gcp": (("bigquery", "acme"), ("bigquery", "acme")),
    "aws": (("athena", "awsdatacatalog"), ("athena", "awsdatacatalog")),
}


@pytest.mark.parametrize("target", STORES)
def test_kinds_and_table_names_are_those_of_the_target(target: str, home: Path, catalog: Catalog) -> None:
    """Regression: on Google Cloud the graph showed DuckLake, and tables of a database that is not there."""
    specs = specs_on(target, home, catalog)
    (kind, database), (mart_kind, mart_database) = STORES[target]
    assert specs[STAGING].kinds == specs[QUARANTINE].kinds == {kind, "table"}
    assert specs[STAGING].metadata["dagster/table_name"] == f"{database}.leads_staging.leads"
    assert specs[QUARANTINE].metadata["dagster/table_name"] == f"{database}.leads_staging.leads_quarantine"
    assert specs[FUNNEL].kinds == {"dbt", mart_kind}
    assert specs[FUNNEL].metadata["dagster/storage_kind"] == mart_kind
    assert specs[FUNNEL].metadata["dagster/table_name"] == f"{mart_database}.funnel_data_mart.funnel"
    assert specs[METRIC].kinds == {"kafka", "postgres"}


def test_raw_table_has_its_own_name_whatever_the_topic_is_called(catalog: Catalog) -> None:
    foreign = replace(catalog.assets["leads"], topic="Foreign-Topic")
    raw = landing_definitions(load_settings(), foreign)[-1]
    assert raw.metadata["dagster/table_name"] == "raw.crm.leads"


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"engine": "auto"}, {"parquet", "duckdb", "spark"}),
        ({"engine": "spark"}, {"parquet", "spark"}),
        ({"engine": "duckdb"}, {"parquet", "duckdb"}),
        ({"entrypoint": "spark/own.py"}, {"parquet", "spark"}),
    ],
)
def test_conformed_files_name_the_engines_that_may_write_them(
    changes: Mapping[str, str], kinds: set[str], catalog: Catalog
) -> None:
    asset = replace(catalog.assets["leads"], **changes)  # pyright: ignore[reportArgumentType]
    assert conforming_definition(load_settings(), asset).get_asset_spec(CONFORMED).kinds == kinds


@pytest.mark.parametrize(
    ("key", "tags"),
    [
        (RAW, {"layer": "raw", "domain": "crm", "contract": "leads", "classification": "personal"}),
        (STAGING, {"layer": "staging", "domain": "crm", "contract": "leads", "classification": "personal"}),
        (METRIC, {"layer": "metric", "domain": "shop", "contract": "sales"}),
        (SALES, {"layer": "mart", "domain": "shop", "contract": "sales"}),
        (FUNNEL, {"layer": "mart", "domain": "crm"}),
        (SALES_BOARD, {"layer": "board", "domain": "shop", "contract": "sales"}),
        (dg.AssetKey("leftovers"), {"layer": "operations"}),
    ],
    ids=lambda value: value.to_user_string() if isinstance(value, dg.AssetKey) else "",
)
def test_tags_name_layer_domain_contract_and_classification(
    key: dg.AssetKey, tags: Mapping[str, str], shown: Mapping[dg.AssetKey, dg.AssetSpec]
) -> None:
    assert {name: value for name, value in shown[key].tags.items() if not name.startswith("dagster/")} == tags


def test_every_asset_has_a_layer(shown: Mapping[dg.AssetKey, dg.AssetSpec]) -> None:
    assert [key for key, spec in shown.items() if "layer" not in spec.tags] == []


def test_dropped_field_classifies_raw_but_not_staging(catalog: Catalog) -> None:
    leads = catalog.assets["leads"]
    fields = tuple(replace(f, protection="drop") if f.classification == "personal" else f for f in leads.fields)
    dropped = replace(leads, fields=fields)
    assert asset_tags(dropped, "raw")["classification"] == "personal"
    assert "classification" not in asset_tags(dropped, "staging")


def test_classification_is_that_of_the_most_confidential_field(catalog: Catalog) -> None:
    leads = catalog.assets["leads"]
    given = ("public", "restricted", "internal")
    fields = tuple(replace(f, classification=c) for f, c in zip(leads.fields, given, strict=False))
    assert asset_tags(replace(leads, fields=fields), "staging")["classification"] == "restricted"


def test_mart_of_two_domains_has_none(catalog: Catalog) -> None:
    both = [catalog.assets["leads"], catalog.assets["sales"]]
    assert reader_tags("mart", both) == {"layer": "mart"}


def test_longest_names_of_the_catalog_are_values_of_tags(catalog: Catalog) -> None:
    longest = replace(catalog.assets["leads"], dataset="a" * 48, domain="b" * 48, version="99.0.0")
    assert dg.AssetSpec("any", tags=asset_tags(longest, "staging")).tags["contract"] == longest.name


def files(spec: dg.AssetSpec) -> dict[str, str]:
    references = spec.metadata["dagster/code_references"].code_references
    return {reference.label: reference.file_path for reference in references}


def test_code_references_are_the_files_of_this_machine(shown: Mapping[dg.AssetKey, dg.AssetSpec]) -> None:
    contract = str(CONTRACTS / "assets" / "leads.yaml")
    assert all(files(shown[key]) == {"contract": contract} for key in (RAW, CONFORMED, STAGING, QUARANTINE))
    folder = MARTS / "funnel_data_mart"
    assert files(shown[FUNNEL]) == {"model": str(folder / "funnel.sql"), "description": str(folder / "funnel.yml")}
    assert files(shown[METRIC])["metric"] == str(CONTRACTS / "metrics" / "sales_by_region.yaml")
    assert files(shown[FUNNEL_BOARD]) == {"exposure": str(folder / "funnel.yml")}


def test_file_that_is_not_on_this_machine_is_no_code_reference(tmp_path: Path) -> None:
    assert code_references([("contract", tmp_path / "missing.yaml"), ("contract", PurePath("leads.yaml"))]) == {}


def test_board_is_an_external_asset_behind_what_it_shows(
    shown: Mapping[dg.AssetKey, dg.AssetSpec], home: Path, catalog: Catalog
) -> None:
    board = shown[SALES_BOARD]
    assert {dep.asset_key for dep in board.deps} == {SALES, METRIC}
    assert (board.group_name, board.kinds, board.owners) == ("boards", {"streamlit"}, ["sales@example.com"])
    assert (board.description or "").startswith("Yesterday's sales")
    assert board.metadata["dagster/uri"].value == "http://127.0.0.1:8501/sales_board"
    assert not dg.Definitions([board]).resolve_asset_graph().get(SALES_BOARD).is_executable
    assert "dagster/uri" not in specs_on("gcp", home, catalog)[SALES_BOARD].metadata


def test_board_without_anything_of_this_catalog_is_left_out(home: Path, catalog: Catalog) -> None:
    specs = specs_on("local", home, replace(catalog, assets={"sales": catalog.assets["sales"]}, metrics={}))
    assert {key for key in specs if key.path[0] == "board"} == {SALES_BOARD}


@pytest.mark.parametrize(("email", "owners"), [("a@b.example", ["a@b.example"]), ("the sales team", []), (None, [])])
def test_owner_of_a_board_that_dagster_refuses_is_left_out(
    email: str | None, owners: list[str], catalog: Catalog
) -> None:
    """Otherwise one exposure would keep all definitions from being loaded."""
    exposure = {"name": "own", "owner": {"name": "sales", "email": email}, "original_file_path": "own.yml"}
    exposure |= {"depends_on": {"nodes": ["model.m", "model.stg"]}, "url": "https://bi.example/1", "config": {}}
    mart = {"resource_type": "model", "config": {"materialized": "table"}, "depends_on": {"nodes": []}}
    mart |= {"unique_id": "model.m", "schema": "own_data_mart", "alias": "m", "name": "m", "columns": {}}
    staging = {**mart, "unique_id": "model.stg", "alias": "stg", "config": {"materialized": "ephemeral"}}
    manifest = {"nodes": {"model.m": mart, "model.stg": staging}, "sources": {}, "exposures": {"own": exposure}}
    [board] = board_assets(load_settings(), manifest, catalog.assets, {})
    assert board.owners == owners
    assert [dep.asset_key for dep in board.deps] == [dg.AssetKey(["own_data_mart", "m"])]
    assert board.metadata["dagster/uri"].value == "https://bi.example/1"
    assert board.kinds == {"dashboard"}


def age(spec: dg.AssetSpec) -> timedelta:
    policy = spec.freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    return policy.fail_window.to_timedelta()


def test_mart_and_metric_are_as_fresh_as_their_contracts_promise(home: Path, catalog: Catalog) -> None:
    def promising(name: str, freshness: timedelta | None) -> Asset:
        return replace(catalog.assets[name], freshness=freshness)

    assets = {
        "contracts": promising("contracts", timedelta(hours=5)),
        "leads": promising("leads", timedelta(hours=3)),
        "sales": promising("sales", timedelta(hours=2)),
    }
    specs = specs_on("local", home, replace(catalog, assets=assets))
    assert age(specs[FUNNEL]) == timedelta(hours=3)
    # In a cloud a mart waits an hour between two builds.
    assert age(specs_on("gcp", home, replace(catalog, assets=assets))[FUNNEL]) == timedelta(hours=4)
    # A window of a minute that is final two minutes later, and a sensor that looks each minute.
    metric = catalog.metrics["sales_by_region"]
    assert age(specs[METRIC]) == timedelta(hours=2, minutes=1) + metric.window + metric.lateness
    without = {name: replace(asset, freshness=None) for name, asset in assets.items()}
    silent = specs_on("local", home, replace(catalog, assets=without))
    assert silent[FUNNEL].freshness_policy is silent[METRIC].freshness_policy is None


def test_condition_of_a_mart_explains_itself(shown: Mapping[dg.AssetKey, dg.AssetSpec]) -> None:
    condition = shown[FUNNEL].automation_condition
    assert condition is not None
    assert condition.get_label() == "build once for each change of what the mart reads"
    assert {child.get_label() for child in parts(condition)} >= {
        "a table it reads is newer than the mart",
        "no build was requested since",
        "never built",
        "its SQL changed",
        "a table it reads has rows",
    }


def parts(condition: dg.AutomationCondition) -> Iterator[dg.AutomationCondition]:
    for child in condition.children:
        yield child
        yield from parts(child)
