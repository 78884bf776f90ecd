"""The major versions of a dataset, each of which is an asset."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract


def applied_versions(contracts: Mapping[str, str], dataset: str) -> list[Asset]:
    """The dataset's versions as they were last applied, oldest first, also those whose contract is gone since."""
    found = [
        parse_contract(text, PurePath(f"applied/{name}.yaml"))
        for name, text in contracts.items()
        if name == dataset or name.startswith(f"{dataset}_v")
    ]
    return sorted((one for one in found if one.dataset == dataset), key=lambda one: one.major)


def by_dataset(assets: Iterable[Asset]) -> dict[str, list[Asset]]:
    """The versions of each dataset, oldest first."""
    found: dict[str, list[Asset]] = {}
    for asset in sorted(assets, key=lambda asset: (asset.dataset, asset.major)):
        found.setdefault(asset.dataset, []).append(asset)
    return found
