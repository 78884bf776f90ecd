"""Select what a refresh builds, as of one snapshot of raw."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.engine import Choice, choose
from lake_assets.landing.files import DataFile, files
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import removed
from lake_assets.operations.refresh.context import RefreshContext
from lake_assets.operations.retention import settle_removals


@dataclass(frozen=True, slots=True)
class Work:
    """Windows to build as of the raw snapshot with this `sequence` number, and the engine for them.

    `without_raw` are those whose raw rows are missing: they are built from their good rows and from what quarantine
    kept, because from raw alone they would become empty. `unchanged` are requested windows of which retention removed
    such rows as well: they stay as they are.
    """

    sequence: int
    engine: Choice
    inputs: tuple[WindowInput, ...]
    without_raw: frozenset[str]
    unchanged: tuple[str, ...]


def select_windows(context: RefreshContext, windows: Sequence[str]) -> Work:
    """Return the work for these windows. The caller holds the dataset's lock."""
    asset, ledger = context.asset, context.ledger
    settle_removals(context.settings, ledger, context.warehouse, asset)
    lost = {window: removal for window, removal in removed(ledger, asset).items() if "raw" in removal.at}
    raw = files(context.settings, asset, windows)
    inputs = [_input(window, raw.by_window.get(window, ())) for window in windows]
    without_raw = _without_raw(ledger, asset, inputs, lost)
    unchanged = tuple(w for w in windows if w in lost and (w not in without_raw or len(lost[w].at) > 1))
    return Work(
        raw.sequence,
        choose(asset, inputs, context.settings.spark),
        tuple(window for window in inputs if window.window not in unchanged),
        frozenset(without_raw.difference(unchanged)),
        unchanged,
    )


def _input(window: str, raw_files: Sequence[DataFile]) -> WindowInput:
    return WindowInput(
        window,
        tuple(file.path for file in raw_files),
        sum(file.rows for file in raw_files),
        sum(file.bytes for file in raw_files),
    )


def _without_raw(ledger: Ledger, asset: Asset, inputs: Sequence[WindowInput], lost: Collection[str]) -> set[str]:
    """Return those of the windows that were built from raw rows once, and have none now.

    Rows that landed after retention removed the others (`lost`) do not make them whole again.
    """
    empty = [window for window in inputs if not window.rows or window.window in lost]
    return {w.window for w in empty if any(entry.raw_rows for entry in ledger.windows(asset, w.window))}
