"""Lookup of assets by the name that a user typed."""

import difflib
from collections.abc import Mapping
from pathlib import Path

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError

_SHOWN = 8


def find(assets: Mapping[str, Asset], name: str, catalog: Path | None = None) -> Asset:
    """Return the asset of that name, or the newest version of the dataset of that name.

    Raises LakeError, with the nearest name, when there is none. With the folder of a catalog in which the name has a
    file, the error states that the file is not applied.
    """
    if name in assets:
        return assets[name]
    if versions := [asset for asset in assets.values() if asset.dataset == name]:
        return max(versions, key=lambda asset: asset.major)
    if catalog is not None and (catalog / "assets" / f"{name}.yaml").is_file():
        raise LakeError(f"the contract of '{name}' is not applied: check it with `lake plan`, and run `lake apply`.")
    near = difflib.get_close_matches(name, assets, n=1)
    more = f" and {len(assets) - _SHOWN} more" if len(assets) > _SHOWN else ""
    known = ", ".join(difflib.get_close_matches(name, assets, n=_SHOWN, cutoff=0.0))
    hint = f"did you mean '{near[0]}'?" if near else f"the assets are: {known or 'none yet'}{more}."
    raise LakeError(f"there is no asset '{name}': {hint}")


def chosen(assets: Mapping[str, Asset], name: str | None, catalog: Path | None = None) -> list[Asset]:
    """Return the named asset, or all of them."""
    return [find(assets, name, catalog)] if name else list(assets.values())
