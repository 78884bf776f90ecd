"""Select what a refresh builds, as of one snapshot of raw."""

from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.engine import Choice, choose
from lake_assets.landing.files import DataFile, files
from lake_assets.ledger.window_states import NO_STATE, window_states
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
    asset = context.asset
    settle_removals(context.settings, context.ledger, context.warehouse, asset)
    known = window_states(context.ledger, asset, windows)
    states = {window: known.get(window, NO_STATE) for window in windows}
    raw = files(context.settings, asset, windows)
    inputs = [_input(window, raw.by_window.get(window, ())) for window in windows]
    # Rows that landed after retention removed the others do not make a window whole again.
    unchanged = tuple(
        window for window, state in states.items() if state.raw_is_lost and not (state.raw_rows and state.can_rebuild)
    )
    empty = {window.window for window in inputs if not window.rows or states[window.window].raw_is_lost}
    return Work(
        raw.sequence,
        choose(asset, inputs, context.settings.spark),
        tuple(window for window in inputs if window.window not in unchanged),
        frozenset(window for window in empty.difference(unchanged) if states[window].raw_rows),
        unchanged,
    )


def _input(window: str, raw_files: Sequence[DataFile]) -> WindowInput:
    return WindowInput(
        window,
        tuple(file.path for file in raw_files),
        sum(file.rows for file in raw_files),
        sum(file.bytes for file in raw_files),
        tuple(file.bytes for file in raw_files),
    )
