"""Brings windows of one asset up to date: write aside, audit, publish in one step, write it down.

The order is the promise: a crash between any two steps leaves readers with the old rows or the new ones, and leaves
the window in the queue, so that the next run makes it again with the same result.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lake_assets.bucket import local_path
from lake_assets.catalog.accounting import WindowInput, WindowOutput
from lake_assets.catalog.budget import BUDGET, budget_outcome, over_budget
from lake_assets.catalog.model import Asset
from lake_assets.conform.duckdb import conform_apart
from lake_assets.conform.engine import Choice, choose
from lake_assets.conform.kept import QUARANTINE_COLUMNS, Kept, conform_kept, good_columns
from lake_assets.conform.reasons import broken_rules
from lake_assets.conform.settle import window_files
from lake_assets.errors import LakeError
from lake_assets.landing.changes import changes
from lake_assets.landing.files import files
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.ledger.removals import removed
from lake_assets.ledger.superseded import forget_superseded, set_aside
from lake_assets.orchestration.retention import settle_removals
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse

# What one conform holds in memory; a window with more rows is a batch of its own and spills to disk.
BATCH_ROWS = 2_000_000
# Windows that one transaction of the warehouse swaps.
BATCH_WINDOWS = 100


@dataclass(slots=True)
class Refresh:
    """What came of bringing an asset up to date. `published` and `held_back` are windows' outputs; `failed` says by
    window why it could not be made, `sentences` why one that is over its budget was held back; `details` is what the
    engine says of the run; `left` are windows that stay as they are, because retention took what they were made of."""

    asset: Asset
    sequence: int = 0
    engine: Choice | None = None
    failed: dict[str, str] = field(default_factory=dict)
    sentences: dict[str, str] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)
    published: list[WindowOutput] = field(default_factory=list)
    held_back: list[WindowOutput] = field(default_factory=list)
    conform_seconds: float = 0.0
    publish_seconds: float = 0.0
    left: list[str] = field(default_factory=list)


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


def queued_windows(ledger: Ledger, asset: Asset) -> list[str]:
    """Return the asset's queued windows, in window order."""
    return sorted({entry.window for entry in ledger.pending([asset.name])})


@dataclass(frozen=True, slots=True)
class Made:
    """What an engine made of some windows; see `Refresh` for the fields."""

    outputs: tuple[WindowOutput, ...]
    failed: Mapping[str, str]
    details: Mapping[str, object]


def refresh(
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    asset: Asset,
    chosen: Callable[[], Collection[str]],
    run_id: str,
    log: Callable[[str], None],
    on_spark: Callable[[Sequence[WindowInput]], Made],
) -> Refresh:
    """Makes the windows that `chosen` names, once the asset's lock is held, and publishes those that pass.

    `on_spark` makes windows on Spark, when the contract or their size asks for it. A window that cannot be made, or
    whose rows are not all accounted for, fails alone. A window whose raw rows are gone is made of its good rows and of
    what quarantine kept: of raw alone it would become empty. When retention took one of those too, it stays as it is.
    """
    result = Refresh(asset)
    scratch = settings.home / "tmp" / "conform"
    scratch.mkdir(parents=True, exist_ok=True)
    with ledger.locked(f"dataset:{asset.dataset}"):
        windows = sorted(chosen())
        if not windows:
            return result
        settle_removals(settings, ledger, warehouse, asset)
        lost = {window: one for window, one in removed(ledger, asset).items() if "raw" in one.at}
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
        gone = raw_is_gone(ledger, asset, inputs, lost)
        result.left = [w for w in windows if w in lost and (w not in gone or len(lost[w].at) > 1)]
        gone = {window: one for window, one in gone.items() if window not in result.left}
        result.engine = choose(asset, inputs, settings.spark)
        log(f"{asset.name}: {result.engine.engine}, because {result.engine.reason}")
        on_duckdb = result.engine.engine == "duckdb"
        whole = [window for window in inputs if window.window not in gone and window.window not in result.left]
        # Spark shares out the work itself, and starting it is what takes long: one job for all windows.
        work = [*(batches(whole) if on_duckdb else [whole] if whole else []), *([window] for window in gone.values())]
        for number, batch in enumerate(work, start=1):
            started = time.monotonic()
            # By these names is found what a run wrote that dies; what Spark writes it takes away itself.
            name = uuid.uuid4().hex[:12]
            written = _files(settings, asset, batch, name)
            set_aside(ledger, asset, [file for found in written.values() for file in found])
            if batch[0].window in gone:
                made = _from_kept(settings, ledger, warehouse, asset, batch[0].window, scratch, run_id, name)
            elif on_duckdb:
                made = Made(*conform_apart(asset, batch, settings.conformed, scratch, run_id, name), {})
            else:
                made = on_spark(batch)
            conformed = time.monotonic()
            outputs = [replace(o, checks=(*o.checks, *budget_outcome(asset, o))) for o in made.outputs]
            passed = [output for output in outputs if not output.blocked_by]
            blocked = [output for output in outputs if output.blocked_by]
            for first in range(0, len(passed), BATCH_WINDOWS):
                swapped = passed[first : first + BATCH_WINDOWS]
                # Before a table shows them: rather a few files too many, should this run die now, than one too few.
                shown = {file for o in swapped for file in (*written[o.window], *o.good_files, *o.quarantine_files)}
                forget_superseded(ledger, sorted(shown))
                warehouse.replace_windows(asset, swapped)
                ledger.publish(asset, raw.sequence, run_id, result.engine.engine, swapped, time.monotonic() - started)
            if blocked:
                sentences = {
                    output.window: over_budget(asset, output, broken_rules(output.quarantine_files))
                    for output in blocked
                    if BUDGET in output.blocked_by
                }
                ledger.hold_back(asset, run_id, blocked, sentences)
                set_aside(ledger, asset, [file for o in blocked for file in (*o.good_files, *o.quarantine_files)])
                result.sentences |= sentences
            result.published += passed
            result.held_back += blocked
            result.failed |= made.failed
            result.details |= made.details
            result.conform_seconds += conformed - started
            result.publish_seconds += time.monotonic() - conformed
            rows = sum(output.raw_rows for output in made.outputs)
            log(
                f"{asset.name}: batch {number}, {batch[0].window} to {batch[-1].window}, {rows} rows, "
                f"{len(passed)} windows published, {len(blocked)} held back, {len(made.failed)} failed"
            )
    return result


def raw_is_gone(
    ledger: Ledger, asset: Asset, inputs: Sequence[WindowInput], lost: Collection[str]
) -> dict[str, WindowInput]:
    """Those of the windows that were made of raw rows once, and have none now; by name, in order.

    What came after retention took them (`lost`) does not make them whole again.
    """
    empty = [window for window in inputs if not window.rows or window.window in lost]
    return {w.window: w for w in empty if any(known.raw_rows for known in ledger.windows(asset, w.window))}


def _from_kept(
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    asset: Asset,
    window: str,
    scratch: Path,
    run_id: str,
    name: str,
) -> Made:
    (known,) = ledger.windows(asset, window)
    kept = Kept(
        window,
        warehouse.rows(asset, "staging", [window], good_columns(asset)),
        warehouse.rows(asset, "quarantine", [window], QUARANTINE_COLUMNS),
        [count for _, count in ledger.partitions(asset, window)],
        known.raw_bytes,
    )
    try:
        return Made((conform_kept(asset, kept, settings.conformed, scratch, run_id, name),), {}, {})
    except LakeError as error:
        return Made((), {window: str(error)}, {})


def _files(settings: Settings, asset: Asset, windows: Sequence[WindowInput], name: str) -> dict[str, list[str]]:
    """Those that may be written for each window."""
    return {
        one.window: [local_path(url) for url in window_files(settings.conformed, asset, one.window, name)]
        for one in windows
    }


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
