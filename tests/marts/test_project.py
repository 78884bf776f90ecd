"""Promises of the dbt project about every mart, present and future."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.manifest import load_manifest
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings, load_settings
from lake_assets.target_profiles import PROFILES
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.marts import mart_schemas
from tests.support.mart_rows import call_dbt

MARTS = sorted(path.stem for path in (PROJECT / "dbt_project" / "models" / "marts").glob("*/*.sql"))
Node = Mapping[str, Any]


@pytest.fixture(scope="session")
def manifest(session_lake: Settings) -> Mapping[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(session_lake.home))
        patch.setenv("LAKE_DBT_PROJECT", str(session_lake.dbt_project))
        return load_manifest(session_lake)


@pytest.fixture(params=MARTS)
def mart(request: pytest.FixtureRequest, manifest: Mapping[str, Any]) -> Node:
    return manifest["nodes"][f"model.lake.{request.param}"]


def test_a_mart_lies_in_the_schema_that_its_folder_names(mart: Node) -> None:
    assert (mart["database"], mart["schema"]) == ("serving", Path(mart["original_file_path"]).parent.name)
    assert mart["schema"].endswith("_data_mart")


def test_files_of_a_mart_on_athena_outlive_the_longest_query() -> None:
    project = yaml.safe_load((PROJECT / "dbt_project" / "dbt_project.yml").read_text("utf-8"))
    # The limit of a DML query in Athena. Each build makes two versions: the switch, and its properties.
    builds = 30 * 60 / PROFILES["aws"].commit_seconds
    assert project["models"]["lake"]["marts"]["+versions_to_keep"] >= 2 * builds


def test_a_mart_has_an_enforced_contract_and_describes_all_it_has(mart: Node) -> None:
    assert mart["config"]["contract"]["enforced"]
    assert mart["description"]
    assert mart["columns"]
    for column in mart["columns"].values():
        assert column["description"], column["name"]
        assert column["data_type"], column["name"]


def test_mart_may_be_read_by_every_project_and_exposure(mart: Node) -> None:
    assert mart["access"] == "public"


def test_a_mart_has_a_tested_grain_whose_columns_are_never_null(mart: Node, manifest: Mapping[str, Any]) -> None:
    tests = [manifest["nodes"][c] for c in manifest["child_map"][mart["unique_id"]] if c.startswith("test.")]
    [grain] = [test["test_metadata"]["kwargs"]["columns"] for test in tests if test["test_metadata"]["name"] == "grain"]
    for column in grain:
        assert {"not_null"} <= {constraint["type"] for constraint in mart["columns"][column]["constraints"]}


def test_a_mart_has_an_owner_that_dagster_accepts(mart: Node) -> None:
    owners = mart["config"]["meta"]["owners"]
    assert owners
    assert all(re.fullmatch(r"team:\w+|[^@\s]+@[^@\s]+", owner) for owner in owners)


def test_a_mart_is_used_by_an_exposure_with_an_owner(mart: Node, manifest: Mapping[str, Any]) -> None:
    exposures = [e for e in manifest["exposures"].values() if mart["unique_id"] in e["depends_on"]["nodes"]]
    assert exposures
    assert all(e["owner"]["email"] and e["description"] for e in exposures)


def test_each_mart_and_metric_is_on_a_board_without_problems(manifest: Mapping[str, Any]) -> None:
    catalog = read_files(load_settings())
    metrics = catalog.metrics
    found = read_boards(manifest, metrics, catalog.assets.values())
    assert found.problems == ()
    shown = {chart.table.name for board in found.boards for chart in board.charts}
    assert shown == {*MARTS, *(metric.table for metric in metrics.values())}


def test_a_mart_has_unit_tests(mart: Node, manifest: Mapping[str, Any]) -> None:
    assert [u for u in manifest["unit_tests"].values() if mart["unique_id"] in u["depends_on"]["nodes"]]


def test_each_mart_has_a_yaml_beside_its_sql_and_schemas_are_the_folders(session_lake: Settings) -> None:
    folder = PROJECT / "dbt_project" / "models" / "marts"
    assert {path.with_suffix(".yml") for path in folder.glob("*/*.sql")} == set(folder.glob("*/*.yml"))
    assert mart_schemas(session_lake) == sorted(path.name for path in folder.iterdir())


def test_a_staging_model_leaves_nothing_in_the_warehouse(manifest: Mapping[str, Any]) -> None:
    staging = [node for node in manifest["nodes"].values() if node["name"].startswith("stg_")]
    assert {node["config"]["materialized"] for node in staging} == {"ephemeral"}


TARGETS = {"local": "duckdb", "gcp": "bigquery", "aws": "athena"}


@pytest.fixture(scope="session", params=TARGETS)
def compiled(
    request: pytest.FixtureRequest, session_lake: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, str]]:
    """The SQL of every model and test as the target's dialect, by name; compiled without a connection."""
    folder = tmp_path_factory.mktemp(request.param)
    profiles = (PROJECT / "dbt_project" / "profiles.yml").read_text("utf-8")
    # BigQuery's client looks for a login before the first query, which never comes.
    offline = profiles.replace("method: oauth\n", "method: oauth-secrets\n      token: none\n")
    (folder / "profiles.yml").write_text(offline, "utf-8")
    done = call_dbt(
        session_lake,
        *("--quiet", "--no-populate-cache", "compile", "--no-introspect"),
        LAKE_TARGET=request.param,
        DBT_PROFILES_DIR=str(folder),
        DBT_TARGET_PATH=str(folder / "target"),
        **({"LAKE_BUCKET": "s3://bucket"} if request.param == "aws" else {}),
        **({"LAKE_GCP_PROJECT": "project", "LAKE_GCP_LOCATION": "EU"} if request.param == "gcp" else {}),
    )
    assert done.returncode == 0, done.stdout
    found = (folder / "target" / "compiled" / "lake" / "models").rglob("*.sql")
    return TARGETS[request.param], {path.stem: path.read_text("utf-8") for path in found}


def test_every_model_and_test_compiles_for_every_target(compiled: tuple[str, dict[str, str]]) -> None:
    dialect, texts = compiled
    assert set(MARTS) <= set(texts)
    assert any(name.startswith("grain_") for name in texts)
    for name, text in texts.items():
        [statement] = sqlglot.parse(text, dialect=dialect)
        assert statement is not None, name
        assert not any(isinstance(part, sqlglot.exp.Command) for part in statement.walk()), name


def test_every_target_makes_the_same_marts_of_the_same_rows(
    compiled: tuple[str, dict[str, str]], built: Settings
) -> None:
    """Each target's own SQL, translated and run over the local staging tables, against the marts that dbt made."""
    dialect, texts = compiled
    with connect(built, read_only=True) as connection:
        for mart in MARTS:
            query = sqlglot.parse_one(texts[mart], dialect=dialect)
            for table in query.find_all(sqlglot.exp.Table):
                if table.db:
                    table.set("catalog", sqlglot.exp.to_identifier("lake"))
            made = f"serving.{next(s for s in mart_schemas(built) if s.startswith(mart))}.{mart}"
            # DuckDB has a timestamp where BigQuery has a date: the mart's own types decide.
            connection.execute(f"create temp table {mart}_again as from {made} limit 0")
            connection.execute(f"insert into {mart}_again {query.sql('duckdb')}")
            rows = connection.execute(f"from {mart}_again order by all").fetchall()
            assert rows
            assert rows == connection.execute(f"from {made} order by all").fetchall()
