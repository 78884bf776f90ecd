"""Boards as assets behind the marts and metrics that they show: lineage ends at its reader, not at a table."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import dagster as dg
from dagster._core.utils import is_valid_email

from lake_assets.catalog.board import Board
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.manifest import Manifest
from lake_assets.orchestration.asset_tags import reader_tags
from lake_assets.orchestration.code_references import code_references
from lake_assets.orchestration.keys import board_key, metric_key, staging_key
from lake_assets.orchestration.marts import is_mart, mart_key, mart_sources
from lake_assets.settings import Settings

GROUP = "boards"


def board_assets(
    settings: Settings, manifest: Manifest, assets: Mapping[str, Asset], metrics: Mapping[str, Metric]
) -> list[dg.AssetSpec]:
    """Return an asset for each exposure of the dbt project that shows a mart or metric of this catalog.

    Nothing builds them: the dashboard, or another tool, reads the tables when the page is opened.
    """
    pages = {board.name: board for board in read_boards(manifest, metrics, assets.values()).boards}
    by_key = {staging_key(asset): asset for asset in assets.values()}
    specs: list[dg.AssetSpec] = []
    for exposure in manifest["exposures"].values():
        page = pages.get(exposure["name"])
        models = [name for name in exposure["depends_on"]["nodes"] if is_mart(manifest["nodes"].get(name))]
        shown = {mart_key(manifest["nodes"][name]) for name in models}
        live = list(_metrics(page, metrics))
        if shown or live:
            sources = [by_key[key] for name in models for key in mart_sources(manifest, name) if key in by_key]
            sources += [assets[metric.source] for metric in live]
            deps = sorted(shown | {metric_key(metric) for metric in live})
            specs.append(_board(settings, exposure, page, deps, reader_tags("board", sources)))
    return specs


def _board(
    settings: Settings,
    exposure: Mapping[str, Any],
    page: Board | None,
    deps: list[dg.AssetKey],
    tags: Mapping[str, str],
) -> dg.AssetSpec:
    email = str((exposure.get("owner") or {}).get("email"))
    url = exposure.get("url") or _page_address(settings, page)
    file = PurePath(settings.dbt_project, exposure["original_file_path"])
    by_hand = settings.dbt_project / "boards" / f"{exposure['name']}.py"
    return dg.AssetSpec(
        board_key(exposure["name"]),
        deps=deps,
        description=(exposure.get("description") or "").strip() or None,
        group_name=GROUP,
        kinds={"streamlit" if page else str(exposure.get("type") or "dashboard")},
        owners=[email] if is_valid_email(email) else [],
        tags=tags,
        metadata={
            **({"dagster/uri": dg.MetadataValue.url(url)} if url else {}),
            **code_references([("exposure", file), ("page", by_hand)]),
        },
    )


def _page_address(settings: Settings, page: Board | None) -> str | None:
    """Return the address of the board's page in the lake's own dashboard; None where it has none."""
    return f"{settings.dashboard_address}/{page.name}" if page and settings.dashboard_port else None


def _metrics(page: Board | None, metrics: Mapping[str, Metric]) -> Iterator[Metric]:
    shown = {chart.table.metric for chart in page.charts} if page else set[str | None]()
    return (metric for metric in metrics.values() if metric.table in shown)
