"""JSON Schema of `catalog.json`: `python -m lake_assets.operations.catalog_page.schema > docs/catalog.schema.json`."""

import json
import sys
from typing import Any

import msgspec

from lake_assets.operations.catalog_page.document import Document


def catalog_schema() -> dict[str, Any]:
    """Return the schema of the document, with its classes' docstrings as descriptions."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "catalog.json of `lake docs build`",
        **msgspec.json.schema(Document),
    }


def schema_text() -> str:
    return json.dumps(catalog_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
