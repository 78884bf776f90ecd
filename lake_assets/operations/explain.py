"""The report of `lake why`: the state of an asset's windows, by the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.attempts import find_abandoned
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.forgotten import unfinished
from lake_assets.ledger.ledger import Ledger, PublishedWindow
from lake_assets.ledger.retries import trouble_of
from lake_assets.ledger.why import verdict
from lake_assets.ledger.window_states import NO_STATE, window_states
from lake_assets.operations.waiting_marts import WaitingMart, waiting_marts
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class WindowReport:
    """One window: its state and the next step as sentences, and its publication if there is one."""

    window: str
    state: str
    next_step: str
    published: PublishedWindow | None


@dataclass(frozen=True, slots=True)
class AssetReport:
    """The windows of an asset, or the one asked for. `partitions` are the counts of that one by Kafka partition.

    `unreadable` is the reason its raw table cannot be read. `marts` are its marts that wait.
    """

    asset: Asset
    windows: tuple[WindowReport, ...]
    partitions: tuple[PartitionCount, ...]
    unreadable: str | None
    marts: tuple[WaitingMart, ...] = ()


def explain(settings: Settings, asset: Asset, window: str | None) -> AssetReport:
    """Return the state of one window, or of all windows that the ledger has of this asset. Raises Unavailable."""
    with Ledger(settings) as ledger:
        find_abandoned(ledger, {asset.name: asset})
        reports = _window_reports(ledger, asset, window)
        counts = [count for _, count in ledger.partitions(asset, window)] if window else []
        marts = waiting_marts(settings, [asset], datetime.now(UTC))
        return AssetReport(asset, tuple(reports), tuple(counts), ledger.unreadable_raw(asset), tuple(marts))


def _window_reports(ledger: Ledger, asset: Asset, window: str | None) -> Sequence[WindowReport]:
    states = window_states(ledger, asset, [window] if window else None)
    pending = [entry for entry in ledger.pending([asset.name]) if window in (None, entry.window)]
    erasures = {
        name: receipt for receipt in unfinished(ledger) if receipt.dataset == asset.dataset for name in receipt.windows
    }
    failures = known_failures(ledger, [asset.name])
    shown = {name for name, state in states.items() if state.published or state.held_back}
    names = [window] if window else sorted({*shown, *(entry.window for entry in pending), *erasures})
    reports: list[WindowReport] = []
    for name in names:
        state = states.get(name, NO_STATE)
        sentences = verdict(
            asset,
            state.published,
            [entry for entry in pending if entry.window == name],
            state.held_back,
            removed_at=state.removed_at,
            erasure=erasures.get(name),
            trouble=trouble_of(asset.name, name, failures),
        )
        reports.append(WindowReport(name, *sentences, state.published))
    return reports
