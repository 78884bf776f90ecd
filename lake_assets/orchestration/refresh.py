"""Brings windows of one asset up to date: write aside, audit, publish in one step, write it down.

The order is the promise: a crash between any two steps leaves readers with the old rows or the new ones, and leaves
the window in the queue, so that the next run makes it again with the same result.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from lake_assets.catalog.accounting import WindowInput, WindowOutput
from lake_assets.catalog.model import Asset
from lake_assets.conform.duckdb import conform
from lake_assets.landing.changes import changes
from lake_assets.landing.files import files
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse

# What one conform holds in memory; a window with more rows is a batch of its own and spills to disk.
BATCH_ROWS = 2_000_000
# Windows that one transaction of the warehouse swaps.
BATCH_WINDOWS = 100


@dataclass(slots=True)
class Refresh:
    """What came of bringing an asset up to date. `published` and `held_back` are windows' outputs."""

    asset: Asset
    sequence: int = 0
    published: list[WindowOutput] = field(default_factory=list)
    held_back: list[WindowOutput] = field(default_factory=list)
    conform_seconds: float = 0.0
    publish_seconds: float = 0.0


def observe(
    settings: Settings, ledger: Ledger, assets: Sequence[Asset], since: dict[str, str]
) -> tuple[dict[str, list[Landed]], dict[str, str]]:
    """Looks at what raw tables were given since the cursors, and queues it; the windows by asset, and new cursors.

    Its cost follows what changed. Queueing is idempotent, so looking twice from the same cursors is harmless.
    """
    found = changes(settings, assets, since)
    landed = {
        name: [Landed(w.window, w.sequence, w.rows, w.bytes, w.files, w.min_offset, w.max_offset) for w in windows]
        for name, windows in found.windows.items()
    }
    ledger.record_landed(found.cursors, landed)
    return landed, found.cursors


def out_of_date(ledger: Ledger, asset: Asset, within: Callable[[str], bool]) -> list[str]:
    """The asset's queued windows that `within` accepts, in window order."""
    return sorted({entry.window for entry in ledger.pending([asset.name]) if within(entry.window)})


def refresh(
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    asset: Asset,
    choose: Callable[[], Collection[str]],
    run_id: str,
    log: Callable[[str], None],
) -> Refresh:
    """Makes the windows that `choose` names, once the asset's lock is held, and publishes those that pass.

    Raises LakeError when a window's rows are not all accounted for; then nothing of its batch is published.
    """
    result = Refresh(asset)
    scratch = settings.home / "tmp" / "conform"
    scratch.mkdir(parents=True, exist_ok=True)
    with ledger.locked(f"asset:{asset.name}"):
        windows = sorted(choose())
        if not windows:
            return result
        raw = files(settings, asset, windows)
        result.sequence = raw.sequence
        inputs = [
            WindowInput(
                window,
                tuple(file.path for file in raw.by_window.get(window, ())),
                sum(file.rows for file in raw.by_window.get(window, ())),
                sum(file.bytes for file in raw.by_window.get(window, ())),
            )
            for window in windows
        ]
        for number, batch in enumerate(batches(inputs), start=1):
            started = time.monotonic()
            outputs = conform(asset, batch, settings.conformed, scratch, run_id)
            conformed = time.monotonic()
            passed = [output for output in outputs if not output.blocked_by]
            blocked = [output for output in outputs if output.blocked_by]
            if passed:
                warehouse.replace_windows(asset, passed)
                ledger.publish(asset, raw.sequence, run_id, "duckdb", passed, time.monotonic() - started)
            if blocked:
                ledger.hold_back(asset, run_id, blocked)
            result.published += passed
            result.held_back += blocked
            result.conform_seconds += conformed - started
            result.publish_seconds += time.monotonic() - conformed
            rows = sum(output.raw_rows for output in outputs)
            log(
                f"{asset.name}: batch {number}, {batch[0].window} to {batch[-1].window}, {rows} rows, "
                f"{len(passed)} windows published, {len(blocked)} held back"
            )
    return result


def batches(inputs: Sequence[WindowInput]) -> Iterator[list[WindowInput]]:
    """Groups windows, in order, so that each group is small enough for one conform."""
    batch: list[WindowInput] = []
    rows = 0
    for window in inputs:
        if batch and (rows + window.rows > BATCH_ROWS or len(batch) == BATCH_WINDOWS):
            yield batch
            batch, rows = [], 0
        batch.append(window)
        rows += window.rows
    if batch:
        yield batch
