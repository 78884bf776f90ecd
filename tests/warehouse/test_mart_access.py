"""Marts are open to the analysts of the settings, staging only to the lake."""

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.aws import client
from lake_assets.compile.grants import MartNameError
from lake_assets.errors import LakeError, SettingsError
from lake_assets.gcp import bigquery_client
from lake_assets.operations.adapters import mart_access_for, warehouse_for
from lake_assets.operations.apply_plan import grant_steps
from lake_assets.settings import load_settings
from tests.support.cloud_lakes import CLOUDS, CloudLake, variables
from tests.support.conform_records import ORDERS

MARTS = ("funnel_data_mart", "sales_data_mart")
ANALYST = {"aws": "arn:aws:iam::123456789012:role/analyst", "gcp": "group:analysts@example.com"}


def _lake(name: str, at: Path) -> Generator[CloudLake]:
    """An empty one that knows its analysts."""
    with ExitStack() as stack:
        stack.enter_context(variables({"LAKE_HOME": str(at / "home")}))
        lake = stack.enter_context(CLOUDS[name](load_settings(), at))
        stack.enter_context(variables(lake.environment))
        yield replace(lake, settings=replace(lake.settings, analysts=(ANALYST[name],)))


@pytest.fixture
def on_bigquery(tmp_path: Path) -> Generator[CloudLake]:
    yield from _lake("gcp", tmp_path)


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[CloudLake]:
    yield from _lake(request.param, tmp_path)


def test_marts_that_are_not_there_are_missing_until_they_are_made(cloud: CloudLake) -> None:
    access = mart_access_for(cloud.settings)
    assert access.missing(MARTS) == list(MARTS)
    access.ensure(MARTS[:1])
    assert access.missing(MARTS) == ["sales_data_mart"]
    access.ensure(MARTS)
    access.ensure(MARTS)
    assert access.missing(MARTS) == []


def test_marts_that_were_made_without_analysts_are_opened_to_them_later(cloud: CloudLake) -> None:
    closed = mart_access_for(replace(cloud.settings, analysts=()))
    closed.ensure(MARTS)
    assert closed.missing(MARTS) == []
    access = mart_access_for(cloud.settings)
    assert access.missing(MARTS) == list(MARTS)
    access.ensure(MARTS)
    assert access.missing(MARTS) == []


def test_a_schema_that_is_no_mart_is_neither_made_nor_opened(cloud: CloudLake) -> None:
    with pytest.raises(MartNameError):
        mart_access_for(cloud.settings).ensure(["orders_staging"])
    assert mart_access_for(cloud.settings).missing(["orders_data_mart"]) == ["orders_data_mart"]


def test_analysts_may_read_marts_and_no_staging(cloud: CloudLake) -> None:
    mart_access_for(cloud.settings).ensure(MARTS)
    warehouse = warehouse_for(cloud.settings)
    assert warehouse.ensure(ORDERS)
    assert warehouse.missing(ORDERS) == []
    if cloud.settings.target == "gcp":
        bigquery = bigquery_client(cloud.settings.gcp.project, cloud.settings.gcp.location)
        readers = {
            name: [e["groupByEmail"] for e in bigquery.get_dataset(name).to_api_repr()["access"] if "groupByEmail" in e]
            for name in ("funnel_data_mart", "orders_staging")
        }
        assert readers == {"funnel_data_mart": ["analysts@example.com"], "orders_staging": []}
    else:
        formation = client("lakeformation")
        layers = {
            name: formation.get_resource_lf_tags(Resource={"Database": {"Name": name}})["LFTagOnDatabase"][0][
                "TagValues"
            ]
            for name in ("funnel_data_mart", "orders_staging")
        }
        assert layers == {"funnel_data_mart": ["mart"], "orders_staging": ["staging"]}
        for entry in formation.list_permissions()["PrincipalResourcePermissions"]:
            expression = entry["Resource"]["LFTagPolicy"]["Expression"]
            assert expression == [{"TagKey": "lake_layer", "TagValues": ["mart"]}]


@pytest.fixture
def on_athena(tmp_path: Path) -> Generator[CloudLake]:
    yield from _lake("aws", tmp_path)


def test_a_workgroup_that_enforces_where_results_go_is_refused(on_athena: CloudLake) -> None:
    assert list(grant_steps(on_athena.settings))
    assert on_athena.athena
    on_athena.athena.workgroups["lake"] = {
        "EnforceWorkGroupConfiguration": True,
        "ResultConfiguration": {"OutputLocation": "s3://lake/athena/lake/"},
    }
    with pytest.raises(SettingsError, match=r"'lake' .* enforces its output location s3://lake/athena/lake/"):
        list(grant_steps(on_athena.settings))
    with pytest.raises(LakeError, match="WorkGroup none is not found"):
        mart_access_for(replace(on_athena.settings, athena_workgroup="none")).check()


def test_a_mart_dataset_keeps_its_readers_but_not_all_project_members(on_bigquery: CloudLake) -> None:
    bigquery = bigquery_client(on_bigquery.settings.gcp.project, on_bigquery.settings.gcp.location)
    dataset = bigquery.create_dataset("sales_data_mart")
    before = dataset.to_api_repr()["access"]
    assert "projectReaders" in str(before)
    access = mart_access_for(on_bigquery.settings)
    assert access.missing(["sales_data_mart"]) == ["sales_data_mart"]
    access.ensure(["sales_data_mart"])
    after = bigquery.get_dataset("sales_data_mart").to_api_repr()["access"]
    assert "projectReaders" not in str(after)
    assert {"role": "OWNER", "userByEmail": "lake@example.com"} in after


def test_an_analyst_that_bigquery_would_not_know_is_a_clear_error(on_bigquery: CloudLake) -> None:
    settings = replace(on_bigquery.settings, analysts=("analysts",))
    with pytest.raises(SettingsError, match="'analysts': on gcp write group:"):
        mart_access_for(settings).ensure(MARTS)
