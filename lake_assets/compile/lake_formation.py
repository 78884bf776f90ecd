"""Access rights on AWS, as requests to Lake Formation: tags on the lake's databases and columns, and one grant.

Analysts read marts, by the tag `lake_layer`; a mart's database is tagged, so a new mart in it is readable at once. A
field's `classification` in the contract is a tag on its column, for a company's own grants. This module grants nothing
on staging: its readers need a reason of their own.

Each value is the arguments of boto3's `create_lf_tag`, `add_lf_tags_to_resource` or `grant_permissions`.
"""

from typing import Any

from lake_assets.catalog.model import Asset
from lake_assets.compile.grants import check_mart_schema

LAYER, CLASSIFICATION = "lake_layer", "lake_classification"
STAGING, MART = "staging", "mart"


def layer_tag() -> dict[str, Any]:
    """Return the tag that separates staging from marts, with all its values."""
    return {"TagKey": LAYER, "TagValues": [MART, STAGING]}


def classification_tag(asset: Asset) -> dict[str, Any] | None:
    """Return the tag of columns with the values of this asset's contract; None when no field has a class."""
    classes = sorted({field.classification for field in asset.fields if field.classification})
    return {"TagKey": CLASSIFICATION, "TagValues": classes} if classes else None


def staging_tags(asset: Asset) -> list[dict[str, Any]]:
    """Return the tags of an asset's database, and of its columns by their class."""
    names: dict[str, list[str]] = {}
    for field in asset.fields:
        if field.classification:
            names.setdefault(field.classification, []).append(field.name)
    database = {"Database": {"Name": asset.staging_schema}}
    table = {"DatabaseName": asset.staging_schema, "Name": asset.name}
    return [
        {"Resource": database, "LFTags": [{"TagKey": LAYER, "TagValues": [STAGING]}]},
        *(
            {
                "Resource": {"TableWithColumns": {**table, "ColumnNames": columns}},
                "LFTags": [{"TagKey": CLASSIFICATION, "TagValues": [value]}],
            }
            for value, columns in sorted(names.items())
        ),
    ]


def mart_tags(schema: str) -> dict[str, Any]:
    """Return the tag that opens a mart's database to analysts. Raises MartNameError."""
    check_mart_schema(schema)
    return {
        "Resource": {"Database": {"Name": schema}},
        "LFTags": [{"TagKey": LAYER, "TagValues": [MART]}],
    }


def analyst_grants(analyst: str) -> list[dict[str, Any]]:
    """Grant the principal with this ARN access to the marts' databases, and read access to all tables in them."""
    expression = [{"TagKey": LAYER, "TagValues": [MART]}]
    rights = {"DATABASE": ["DESCRIBE"], "TABLE": ["SELECT", "DESCRIBE"]}
    return [
        {
            "Principal": {"DataLakePrincipalIdentifier": analyst},
            "Resource": {"LFTagPolicy": {"ResourceType": kind, "Expression": expression}},
            "Permissions": permissions,
        }
        for kind, permissions in rights.items()
    ]
