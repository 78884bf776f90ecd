"""Reasons for quarantined rows, read so that an asset that cannot be read hides no other."""

from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError, Unavailable, Unreadable
from lake_assets.warehouse.protocol import Warehouse
from lake_assets.warehouse.results import Reason

# Assets of one query: its text stays below the limits of all targets, 256 kB of Athena's above all.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class QuarantineReport:
    """Reasons in the order of the assets' names, most rows first; and by asset why its quarantine could not be read."""

    reasons: Sequence[Reason]
    failed: dict[str, str]


def read_quarantine(warehouse: Warehouse, assets: Sequence[Asset]) -> QuarantineReport:
    """Read the reasons of all assets. Raises Unavailable when a server does not answer."""
    ordered = sorted(assets, key=lambda asset: asset.name)
    report = QuarantineReport([], {})
    for first in range(0, len(ordered), _AT_ONCE):
        report = _joined(report, _read(warehouse, ordered[first : first + _AT_ONCE]))
    return report


def _read(warehouse: Warehouse, assets: Sequence[Asset]) -> QuarantineReport:
    """Read assets together; on failure each half by itself, down to the asset that cannot be read."""
    try:
        return QuarantineReport(warehouse.reasons(assets), {})
    except LakeError as error:
        if isinstance(error, Unavailable) and not isinstance(error, Unreadable):
            raise
        if len(assets) == 1:
            return QuarantineReport([], {assets[0].name: str(error)})
    half = len(assets) // 2
    return _joined(_read(warehouse, assets[:half]), _read(warehouse, assets[half:]))


def _joined(report: QuarantineReport, other: QuarantineReport) -> QuarantineReport:
    return QuarantineReport([*report.reasons, *other.reasons], {**report.failed, **other.failed})
