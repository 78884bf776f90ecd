"""Content of catalog pages, made of contracts and a dbt manifest as dbt writes it, with as few keys as are read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lake_assets.catalog.model import Asset
from lake_assets.operations.catalog_page.assets import asset_entry
from lake_assets.operations.catalog_page.document import (
    FORMAT,
    AppliedVersion,
    AssetFigures,
    Day,
    Document,
    Rejected,
)
from lake_assets.operations.catalog_page.figures import Figures
from lake_assets.operations.catalog_page.marts import Marts, read_marts
from tests.support.contracts import parse

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def orders(**changes: Any) -> Asset:
    """The sound contract as an asset, changed also in ways that the parser would refuse."""
    return replace(parse(), **changes)


def figures_of(assets: Iterable[Asset], days: int = 3) -> Figures:
    """Figures of some days for each asset, with quarantined rows."""
    dates = [f"{NOW - timedelta(days=number):%Y-%m-%d}" for number in range(days)][::-1]
    numbers = AssetFigures(
        days=tuple(Day(day, 1_000 + 7 * number, number) for number, day in enumerate(dates)),
        versions=(AppliedVersion("1.0.0", days, 1_000 * days, days, 0, NOW),),
        applied_at=NOW,
        published_at=NOW,
        is_late=False,
        held_back=(),
        quarantine=(Rejected("enum", "status", days, 1),),
    )
    return Figures({asset.name: numbers for asset in assets})


def source(asset: Asset) -> dict[str, Any]:
    table = {"schema": asset.staging_schema, "name": asset.name, "identifier": asset.name}
    return {"resource_type": "source", "database": "lake", **table}


def model(
    name: str, sql: str | None, parents: Sequence[str], columns: Iterable[str] = (), *, schema: str = "a_data_mart",
    **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A model of the manifest; without `sql` dbt could not compile it."""
    return {
        "unique_id": f"model.lake.{name}",
        "resource_type": "model",
        "database": "serving",
        "schema": schema,
        "name": name,
        "alias": name,
        "path": f"marts/{schema}/{name}.sql",
        "description": f"All of {name}.",
        "config": {"materialized": "table", "meta": {"owners": ["team:growth"]}},
        "columns": {column: {"name": column, "data_type": "varchar", "constraints": []} for column in columns},
        "raw_code": "select * from {{ ref('stg_orders') }}",
        "depends_on": {"nodes": list(parents)},
        **({"compiled_code": sql} if sql else {}),
        **more,
    }


def manifest(models: Iterable[Mapping[str, Any]], assets: Iterable[Asset], **more: Any) -> dict[str, Any]:
    nodes = {node["unique_id"]: node for node in models}
    sources = {f"source.lake.{asset.name}": source(asset) for asset in assets}
    return {"nodes": nodes, "sources": sources, "exposures": {}, "unit_tests": {}, **more}


def marts_of(models: Iterable[Mapping[str, Any]], *assets: Asset, dialect: str = "duckdb", **more: Any) -> Marts:
    by_name = {asset.name: asset for asset in assets}
    return read_marts(manifest(models, assets, **more), by_name, {}, Figures(), dialect)


def document(assets: Sequence[Asset] = (), marts: Marts | None = None, notes: tuple[str, ...] = ()) -> Document:
    figures = figures_of(assets)
    marts = marts or Marts()
    entries = tuple(asset_entry(asset, figures, marts.readers_of_asset(asset.name), ()) for asset in assets)
    return Document(FORMAT, NOW, "local", True, entries, tuple(marts.entries), (), notes)
