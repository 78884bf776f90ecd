"""A copy of the applied catalog in the lake's folder, for parts that need Kafka only: metrics, `lake produce`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lake_assets.catalog.texts import Catalog
from lake_assets.local_files import replace_if_changed
from lake_assets.project import read_files
from lake_assets.settings import Settings


def applied_folder(settings: Settings) -> Path:
    """Return a folder in the layout of `LAKE_CATALOG`."""
    return settings.home / "applied"


def catalog_version(folder: Path) -> str:
    """Return a text that changes when a file of this catalog is replaced, added or removed; empty without folders."""
    try:
        return "-".join(str((folder / kind).stat().st_mtime_ns) for kind in ("assets", "metrics"))
    except FileNotFoundError:
        return ""


def write_applied(settings: Settings, catalog: Catalog) -> None:
    """Replace the copy by these contracts and metrics; each file is replaced atomically."""
    folder = applied_folder(settings)
    _write(folder / "assets", {name: catalog.text(asset) for name, asset in catalog.assets.items()})
    _write(folder / "metrics", {name: catalog.text(metric) for name, metric in catalog.metrics.items()})


def read_copy(settings: Settings) -> Catalog:
    """Return the applied catalog from this folder; without a copy, as in a container, the files."""
    folder = applied_folder(settings)
    return read_files(replace(settings, catalog=folder) if folder.is_dir() else settings)


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        replace_if_changed(folder / f"{name}.yaml", text)
    for path in folder.glob("*.yaml"):
        if path.stem not in texts:
            path.unlink()
