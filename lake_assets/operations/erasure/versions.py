"""Versions of a dataset, whose windows may differ in length, as one erasure sees them."""

from collections.abc import Iterable
from dataclasses import replace

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import applied_versions
from lake_assets.catalog.windows import window_end, window_start, windows_between
from lake_assets.ledger.ledger import Ledger
from lake_assets.warehouse.erasure import Positions


def versions_of(ledger: Ledger, asset: Asset) -> list[Asset]:
    """Return the asset and the other applied versions of its dataset, which have tables of their own."""
    others = [version for version in applied_versions(ledger.contracts(), asset.dataset) if version.name != asset.name]
    return [asset, *(replace(version, topic=asset.topic) for version in others)]


def windows_of(version: Asset, asset: Asset, windows: Iterable[str]) -> list[str]:
    """Return the windows of a version, which may be shorter, that these windows of the asset contain."""
    if version.window == asset.window:
        return list(windows)
    bounds = [(window_start(window, asset.window), window_end(window, asset.window)) for window in windows]
    return [own for low, high in bounds for own in windows_between(low, high, version.window)]


def in_windows_of(version: Asset, asset: Asset, positions: Positions) -> Positions:
    """Return the positions by window of a version; a shorter window gets those of the whole one."""
    return {own: rows for window, rows in positions.items() for own in windows_of(version, asset, [window])}
