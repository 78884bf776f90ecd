"""Facts about the endpoints of Metabase that the lake calls: names, types and required fields, from its OpenAPI file.

A Metabase serves that file at `/api/docs/openapi.json`, its repository has it as `docs/api.json`. Texts of it are not
kept. To write the facts again:

    python -m tests.support.metabase_facts api.json ORIGIN > tests/operations/metabase/endpoints.json
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from lake_assets.settings import PROJECT

FILE = PROJECT / "tests" / "operations" / "metabase" / "endpoints.json"
ENDPOINTS = (
    "GET /api/session/properties",
    "GET /api/user/current",
    "GET /api/database/",
    "GET /api/database/{id}/schemas",
    "GET /api/card/",
    "GET /api/card/{id}",
    "POST /api/card/",
    "PUT /api/card/{id}",
    "GET /api/collection/",
    "POST /api/collection/",
    "PUT /api/collection/{id}",
    "GET /api/collection/{id}/items",
    "GET /api/collection/graph",
    "PUT /api/collection/graph",
    "POST /api/dashboard/",
    "GET /api/dashboard/{id}",
    "PUT /api/dashboard/{id}",
    "GET /api/permissions/group",
    "POST /api/permissions/group",
    "GET /api/permissions/graph/db/{db-id}",
    "PUT /api/permissions/graph",
)
_FACTS = ("type", "enum", "const", "minLength", "minimum", "pattern")


def reduce_api(api: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of each endpoint: schemas of path, query and body. Raises KeyError for a missing one."""
    return {name: _endpoint(api["paths"], *name.split(" ")) for name in ENDPOINTS}


def _endpoint(paths: Mapping[str, Any], method: str, path: str) -> dict[str, Any]:
    found = paths[path][method.lower()]
    facts: dict[str, Any] = {}
    for place in ("path", "query"):
        parameters = {each["name"]: each for each in found["parameters"] if each["in"] == place}
        if parameters:
            facts[place] = _object(
                {name: each["schema"] for name, each in parameters.items()},
                [name for name, each in parameters.items() if each["required"]],
            )
    if "requestBody" in found:
        facts["body"] = _schema(found["requestBody"]["content"]["application/json"]["schema"])
    return facts


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of facts. A reference to another schema becomes one that takes anything."""
    if schema.get("properties"):
        return _object(schema["properties"], schema.get("required", ()))
    facts = {key: schema[key] for key in _FACTS if key in schema}
    if "items" in schema:
        facts["items"] = _schema(schema["items"])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            facts["anyOf"] = [_schema(each) for each in schema[key]]
    return facts


def _object(properties: Mapping[str, Any], required: Any) -> dict[str, Any]:
    """Return the schema of an object without other fields, which newer versions of Metabase refuse."""
    return {
        "type": "object",
        "properties": {name: _schema(schema) for name, schema in sorted(properties.items())},
        # A field with a default need not be sent, although the file lists it as required.
        "required": sorted(name for name in required if "default" not in properties[name]),
        "additionalProperties": False,
    }


def read_facts() -> dict[str, Any]:
    return json.loads(FILE.read_text("utf-8"))["endpoints"]


def problems(schema: Mapping[str, Any] | None, value: object) -> list[str]:
    """Return a sentence for each way in which a request is not as the facts have it."""
    if schema is None:
        return [] if value in (None, {}) else ["there are no such fields"]
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


if __name__ == "__main__":
    file, origin = sys.argv[1:3]
    facts = reduce_api(json.loads(Path(file).read_text("utf-8")))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(facts[name], sort_keys=True)}" for name in facts)
    print(f'{{"origin": {json.dumps(origin)},\n"endpoints": {{\n{lines}\n}}}}')
