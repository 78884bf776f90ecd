"""Asset names as people type them."""

import difflib
from collections.abc import Mapping

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError

_SHOWN = 8


def find(assets: Mapping[str, Asset], name: str) -> Asset:
    """The asset of that name, or the newest version of that dataset when the name is no asset's any more.

    Raises LakeError, with the nearest name, when there is none.
    """
    if name in assets:
        return assets[name]
    if versions := [asset for asset in assets.values() if asset.dataset == name]:
        return max(versions, key=lambda asset: asset.major)
    near = difflib.get_close_matches(name, assets, n=1)
    more = f" and {len(assets) - _SHOWN} more" if len(assets) > _SHOWN else ""
    known = ", ".join(difflib.get_close_matches(name, assets, n=_SHOWN, cutoff=0.0))
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {known or 'none yet'}{more}."
    raise LakeError(f"there is no asset '{name}': {hint}")


def chosen(assets: Mapping[str, Asset], name: str | None) -> list[Asset]:
    """The named asset, or all of them."""
    return [find(assets, name)] if name else list(assets.values())
