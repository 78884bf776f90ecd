"""The grain of a model: the columns of its data test `grain`."""

from collections.abc import Mapping
from typing import Any

from lake_assets.dbt.manifest import Manifest

Node = Mapping[str, Any]


def tested_model(node: Node) -> str | None:
    """Return the model of a data test; a test written as SQL belongs to its first model."""
    if node["resource_type"] != "test":
        return None
    attached = node.get("attached_node")
    return attached or next((name for name in node["depends_on"]["nodes"] if name.startswith("model.")), None)


def kind_of_test(test: Node) -> str:
    """Return the kind of a generic test; a test written as SQL is its own."""
    metadata: Node | None = test.get("test_metadata")
    return metadata["name"] if metadata else test["name"]


def grain_of(manifest: Manifest, unique_id: str) -> tuple[str, ...]:
    """Return the columns of a model's grain; none if it has no such test."""
    for test in manifest["nodes"].values():
        if tested_model(test) == unique_id and kind_of_test(test) == "grain":
            columns: str | list[str] = test["test_metadata"]["kwargs"].get("columns", [])
            return (columns,) if isinstance(columns, str) else tuple(map(str, columns))
    return ()
