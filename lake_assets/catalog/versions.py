"""Major versions of a dataset, each of which is an asset."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract


def applied_versions(contracts: Mapping[str, str], dataset: str) -> list[Asset]:
    """Return the dataset's versions as last applied, oldest first, including those without a contract file."""
    versions = [
        parse_contract(text, PurePath(f"applied/{name}.yaml"))
        for name, text in contracts.items()
        if name == dataset or name.startswith(f"{dataset}_v")
    ]
    return sorted((asset for asset in versions if asset.dataset == dataset), key=lambda asset: asset.major)


def by_dataset(assets: Iterable[Asset]) -> dict[str, list[Asset]]:
    """Group assets by dataset, oldest version first."""
    datasets: dict[str, list[Asset]] = {}
    for asset in sorted(assets, key=lambda asset: (asset.dataset, asset.major)):
        datasets.setdefault(asset.dataset, []).append(asset)
    return datasets
