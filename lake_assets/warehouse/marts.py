"""The lake's files in the dbt project: the generated sources, and the schemas of the marts."""

from collections.abc import Iterable
from pathlib import Path

from lake_assets.catalog.model import Asset
from lake_assets.compile.dbt_sources import dbt_files
from lake_assets.local_files import replace_if_changed
from lake_assets.settings import Settings


def write_dbt_sources(settings: Settings, assets: Iterable[Asset]) -> list[Path]:
    """Write each asset's source and `stg_` model into the dbt project; return the changed paths, in name order.

    Files of other assets stay: their tables stay too, and marts may still read them.
    """
    changed: list[Path] = []
    for asset in assets:
        for relative, text in dbt_files(asset).items():
            path = settings.dbt_project / "models" / "staging" / relative
            if replace_if_changed(path, text):
                changed.append(path)
    return sorted(changed)


def mart_schemas(settings: Settings) -> list[str]:
    """Return the mart schemas of the dbt project: each folder under `models/marts` is one."""
    folder = settings.dbt_project / "models" / "marts"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
