"""Facts of Metabase's OpenAPI file, and the double that holds requests against them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.doubles.metabase import KEY, metabase_double
from tests.support.metabase_facts import ENDPOINTS, FILE, problems, read_facts, reduce_api

OPERATION: dict[str, Any] = {"parameters": []}


def api(**operations: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI file in which POST /api/card/ is this operation, and all others take nothing."""
    paths: dict[str, dict[str, Any]] = {}
    for name in ENDPOINTS:
        method, path = name.split(" ")
        paths.setdefault(path, {})[method.lower()] = operations.get("card") if name == "POST /api/card/" else OPERATION
    return {"paths": paths}


def test_facts_are_names_types_and_required_fields_without_texts() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "a text"},
            "type": {"oneOf": [{"$ref": "#/components/schemas/any"}, {"type": "null"}]},
            "ignore": {"type": "boolean", "default": False},
            "query": {"type": "object", "properties": {}},
        },
        "required": ["name", "ignore"],
    }
    operation = {
        "summary": "a text",
        "parameters": [{"in": "query", "name": "f", "required": True, "schema": {"type": "string", "default": "all"}}],
        "requestBody": {"content": {"application/json": {"schema": schema}}},
    }
    facts = reduce_api(api(card=operation))["POST /api/card/"]
    assert "a text" not in json.dumps(facts)
    assert facts["query"]["required"] == []
    assert facts["body"] == {
        "type": "object",
        "properties": {
            "ignore": {"type": "boolean"},
            "name": {"type": "string", "minLength": 1},
            "query": {"type": "object"},
            "type": {"anyOf": [{}, {"type": "null"}]},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def test_endpoint_that_the_api_has_no_longer_is_an_error() -> None:
    with pytest.raises(KeyError):
        reduce_api({"paths": {}})


def test_stored_facts_are_of_all_endpoints_and_name_their_origin() -> None:
    assert set(read_facts()) == set(ENDPOINTS)
    assert "metabase/metabase" in json.loads(FILE.read_text("utf-8"))["origin"]


def test_only_questions_take_an_identity() -> None:
    """Reason for the marker in the descriptions of collections and dashboards."""
    takes = [name for name, facts in read_facts().items() if "entity_id" in facts.get("body", {}).get("properties", {})]
    assert takes == ["POST /api/card/"]


CARD = {"name": "a", "dataset_query": {}, "display": "table", "visualization_settings": {}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda body: body, None),
        (lambda body: {**body, "made_by": "lake"}, "'made_by' was unexpected"),
        (lambda body: {**body, "name": ""}, "name: '' should be non-empty"),
        (lambda body: {**body, "collection_id": 0}, "collection_id"),
        (lambda body: {key: value for key, value in body.items() if key != "display"}, "'display' is a required"),
    ],
)
def test_body_is_held_against_the_facts(change: Callable[[object], object], problem: str | None) -> None:
    found = problems(read_facts()["POST /api/card/"]["body"], change(CARD))
    assert found == [] if problem is None else problem in found[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/api/dashboard/", None, 404),
        ("POST", "/api/dashboard/", {"name": "a", "dashcards": []}, 400),
        ("GET", "/api/card/?f=theirs", None, 400),
        ("GET", "/api/card/short", None, 400),
        ("GET", "/api/card/lake-0123456789012345", None, 404),
        ("POST", "/api/permissions/group", {"name": "a"}, 200),
    ],
)
def test_double_refuses_what_the_facts_do_not_allow(method: str, path: str, body: object, code: int) -> None:
    with metabase_double() as server:
        reply = requests.request(method, server.url + path, json=body, headers={"X-API-Key": KEY}, timeout=10)
        assert reply.status_code == code
