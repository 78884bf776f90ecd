"""Requests to Lake Formation, sent to moto's, which accepts them and enforces nothing."""

from dataclasses import replace
from typing import Any

import pytest

from lake_assets.aws import client
from lake_assets.catalog.model import Field, FieldType
from lake_assets.compile.grants import MartNameError
from lake_assets.compile.lake_formation import (
    analyst_grants,
    classification_tag,
    layer_tag,
    mart_tags,
    staging_tags,
)
from tests.support.buckets import Bucket
from tests.support.conform_records import ORDERS

TEXT = FieldType("string")
CUSTOMERS = replace(
    ORDERS,
    dataset="customers",
    fields=(
        Field("id", TEXT),
        Field("name", TEXT, classification="personal"),
        Field("email", TEXT, classification="personal"),
        Field("margin", TEXT, classification="internal"),
    ),
)
ANALYST = "arn:aws:iam::123456789012:role/analyst"


@pytest.fixture
def formation(moto: Bucket, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.environment["AWS_ENDPOINT_URL_S3"])
    return client("lakeformation")


def test_a_classified_field_is_a_tagged_column_and_staging_is_no_mart(formation: Any) -> None:
    for tag in filter(None, (layer_tag(), classification_tag(CUSTOMERS))):
        formation.create_lf_tag(**tag)
    for tagged in (*staging_tags(CUSTOMERS), mart_tags("funnel_data_mart")):
        assert formation.add_lf_tags_to_resource(**tagged)["Failures"] == []
    table = {"DatabaseName": "customers_staging", "Name": "customers"}

    def tags(resource: dict[str, Any]) -> list[Any]:
        answer = formation.get_resource_lf_tags(Resource=resource)
        found = [answer.get("LFTagOnDatabase", []), *(column["LFTags"] for column in answer.get("LFTagsOnColumns", []))]
        return [(tag["TagKey"], tag["TagValues"]) for tags in found for tag in tags]

    columns = {"TableWithColumns": {**table, "ColumnNames": ["name", "email"]}}
    assert ("lake_classification", ["personal"]) in tags(columns)
    assert tags({"Database": {"Name": "customers_staging"}}) == [("lake_layer", ["staging"])]
    assert tags({"Database": {"Name": "funnel_data_mart"}}) == [("lake_layer", ["mart"])]


def test_a_tag_has_the_classes_that_a_contract_names() -> None:
    assert classification_tag(ORDERS) is None
    assert (classification_tag(CUSTOMERS) or {})["TagValues"] == ["internal", "personal"]


def test_analysts_are_granted_marts_and_nothing_else(formation: Any) -> None:
    for grant in analyst_grants(ANALYST):
        formation.grant_permissions(**grant)
        assert grant["Resource"]["LFTagPolicy"]["Expression"] == [{"TagKey": "lake_layer", "TagValues": ["mart"]}]
    granted = [
        (one["Resource"]["LFTagPolicy"]["ResourceType"], one["Permissions"])
        for one in formation.list_permissions()["PrincipalResourcePermissions"]
        if one["Principal"] == {"DataLakePrincipalIdentifier": ANALYST}
    ]
    assert sorted(granted) == [("DATABASE", ["DESCRIBE"]), ("TABLE", ["SELECT", "DESCRIBE"])]


def test_a_database_that_is_no_mart_is_not_opened() -> None:
    with pytest.raises(MartNameError, match="rename its folder"):
        mart_tags("customers_staging")
