"""Versions of a dataset, whose windows may differ in length, as one erasure sees them."""

from collections.abc import Iterable
from dataclasses import replace

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import applied_versions
from lake_assets.catalog.windows import window_end, window_start, windows_between
from lake_assets.ledger.ledger import Ledger
from lake_assets.warehouse.erasure import Positions


def versions_of(ledger: Ledger, asset: Asset) -> list[Asset]:
    """The asset, and the other versions of its dataset, whose tables stay beside it."""
    others = [one for one in applied_versions(ledger.contracts(), asset.dataset) if one.name != asset.name]
    return [asset, *(replace(one, topic=asset.topic) for one in others)]


def windows_of(version: Asset, asset: Asset, windows: Iterable[str]) -> list[str]:
    """The windows of a version, which may be shorter, in these of the asset."""
    if version.window == asset.window:
        return list(windows)
    bounds = [(window_start(window, asset.window), window_end(window, asset.window)) for window in windows]
    return [own for low, high in bounds for own in windows_between(low, high, version.window)]


def in_windows_of(version: Asset, asset: Asset, at: Positions) -> Positions:
    return {own: positions for window, positions in at.items() for own in windows_of(version, asset, [window])}
