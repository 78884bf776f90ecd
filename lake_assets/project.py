"""Reads the catalog folder from disk; the parsing itself is pure and lives in `catalog`."""

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import check_together, parse_contract
from lake_assets.settings import Settings


def read_catalog(settings: Settings) -> dict[str, Asset]:
    """All assets by name, in name order. Raises ContractError, which lists every problem of every contract."""
    folder = settings.catalog / "assets"
    assets = [parse_contract(path.read_text("utf-8"), path) for path in sorted(folder.glob("*.yaml"))]
    check_together(assets)
    return {asset.name: asset for asset in sorted(assets, key=lambda asset: asset.name)}
