"""A dbt manifest with a mart and its boards, as far as boards are read from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.raw_assets import example_asset

STAGING = "source.lake.orders_staging.orders"
ASSETS = (example_asset("orders", "shop"),)
MART = "model.lake.orders"
COLUMNS = {
    "region": "string",
    "day": "date",
    "orders": "bigint",
    "amount": "decimal(18, 2)",
    "seen_at": "timestamp",
}


def chart(**changes: object) -> dict[str, object]:
    """Return a chart that is right, but for the changes; a change to None takes the key out."""
    keys = {"title": "Orders", "kind": "bar", "x": "region", "y": "orders", **changes}
    return {key: value for key, value in keys.items() if value is not None}


def manifest(
    charts: object,
    boards: Sequence[str] = ("shop_board",),
    live: object = None,
    data_types: Mapping[str, str] = COLUMNS,
) -> dict[str, Any]:
    """Return a manifest whose mart has `charts`; `live` are the charts of the first board itself."""
    mart = {
        "unique_id": MART,
        "resource_type": "model",
        "name": "orders",
        "alias": "orders",
        "schema": "shop_data_mart",
        "original_file_path": "models/marts/shop_data_mart/orders.sql",
        "patch_path": "lake://models/marts/shop_data_mart/orders.yml",
        "config": {"meta": {"charts": charts} if charts is not None else {}},
        "columns": {name: {"name": name, "data_type": data_type} for name, data_type in data_types.items()},
        "depends_on": {"nodes": [STAGING]},
    }
    exposures = {
        name: {
            "resource_type": "exposure",
            "name": name,
            "label": name.replace("_", " ").capitalize(),
            "description": "Orders of the shop.",
            "owner": {"name": "shop"},
            "original_file_path": "models/marts/shop_data_mart/orders.yml",
            "config": {"meta": {"charts": live} if live is not None and number == 0 else {}},
            "depends_on": {"nodes": [MART]},
        }
        for number, name in enumerate(boards)
    }
    source = {"schema": "orders_staging", "name": "orders"}
    return {"nodes": {MART: mart}, "sources": {STAGING: source}, "exposures": exposures}
