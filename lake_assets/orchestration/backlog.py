"""How far behind each asset is: on its way into raw, queued for conform, held back by a check."""

from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.landing.lag import lags
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.once import known_offsets
from lake_assets.orchestration.refresh import observe
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Backlog:
    """`under_way` are records that have not landed, `queued` and `held_back` are windows."""

    asset: str
    under_way: int
    queued: int
    held_back: int


def backlog(settings: Settings, assets: Sequence[Asset]) -> list[Backlog]:
    """The backlog of every applied asset, in order. Raises Unavailable when broker or Postgres do not answer."""
    with Ledger(settings) as ledger:
        if not ledger.exists():
            return []
        applied = {name for name, _ in ledger.contracts()}
        chosen = [asset for asset in assets if asset.name in applied]
        # Without this, what has landed since the sensor last looked would be neither under way nor queued.
        observe(settings, ledger, chosen, ledger.cursors())
        queued = {(entry.asset, entry.window) for entry in ledger.pending()}
        return [
            Backlog(
                asset.name,
                lag.under_way,
                sum(name == asset.name for name, _ in queued),
                len(ledger.held_back(asset)),
            )
            for asset, lag in zip(chosen, lags(settings, chosen, known_offsets(ledger, chosen)), strict=True)
        ]
