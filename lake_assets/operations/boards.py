"""Boards of the lake as it is applied, for other BI tools, and the schemas that their readers may query."""

from collections.abc import Sequence

from lake_assets.applied_files import read_copy
from lake_assets.catalog.board import Board
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.manifest import load_manifest
from lake_assets.errors import LakeError
from lake_assets.settings import Settings
from lake_assets.warehouse.marts import mart_schemas


def described_boards(settings: Settings) -> Sequence[Board]:
    """Return the boards. Raises LakeError for a mistake in any chart, which would be removed otherwise."""
    if settings.target != "local":
        raise LakeError(
            f"on the target `{settings.target}` marts are not in Postgres: `lake bi` is for the target `local`."
        )
    applied = read_copy(settings)
    found = read_boards(load_manifest(settings), applied.metrics, applied.assets.values())
    if found.problems:
        raise LakeError(
            "nothing is changed, because charts have mistakes:" + "".join(f"\n  {p}" for p in found.problems)
        )
    return found.boards


def readable_schemas(settings: Settings) -> Sequence[str]:
    """Return the schemas that role analyst reads: those of marts, and that of metrics."""
    return [*mart_schemas(settings), SCHEMA]
