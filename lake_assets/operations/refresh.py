"""Brings windows of one asset up to date: write aside, audit, publish in one step, write it down.

The order is the promise: a crash between any two steps leaves readers with the old rows or the new ones, and leaves
the window in the queue, so that the next run makes it again with the same result.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg

from lake_assets.bucket import local_path
from lake_assets.catalog.budget import BUDGET, budget_outcome, over_budget
from lake_assets.catalog.failure import Cause
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.conform.duckdb import conform_apart
from lake_assets.conform.engine import Choice, choose
from lake_assets.conform.isolate import SAMPLE, Failed, Patience, common, isolate, sample, waiting
from lake_assets.conform.reasons import broken_rules
from lake_assets.conform.rebuild_without_raw import QUARANTINE_COLUMNS, Kept, conform_kept, good_columns
from lake_assets.conform.write_windows import window_files
from lake_assets.errors import LakeError, Unavailable
from lake_assets.landing.changes import changes
from lake_assets.landing.files import files
from lake_assets.ledger.attempts import begin_attempt, end_attempt, record_abandoned
from lake_assets.ledger.failures import known_failures, record_failed_run, record_failures
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.ledger.removals import removed
from lake_assets.ledger.retries import Lane, is_suspect, select
from lake_assets.ledger.unreferenced_files import add_unreferenced_files, clear_unreferenced_files
from lake_assets.operations.retention import limit_snapshots, settle_removals
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse

# What one conform holds in memory; a window with more rows is a batch of its own and spills to disk.
BATCH_ROWS = 2_000_000
# Windows that one transaction of the warehouse swaps.
BATCH_WINDOWS = 100


@dataclass(slots=True)
class Refresh:
    """What came of bringing an asset up to date. `published` and `held_back` are windows' outputs; `causes` says by
    window why it could not be made, `sentences` why one that is over its budget was held back; `details` is what the
    engine says of the run; `left` are windows that stay as they are, because retention took what they were made of."""

    asset: Asset
    sequence: int = 0
    engine: Choice | None = None
    causes: dict[str, Cause] = field(default_factory=dict)
    sentences: dict[str, str] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)
    published: list[WindowOutput] = field(default_factory=list)
    held_back: list[WindowOutput] = field(default_factory=list)
    conform_seconds: float = 0.0
    publish_seconds: float = 0.0
    left: list[str] = field(default_factory=list)

    @property
    def failed(self) -> dict[str, str]:
        """By window why it could not be made, in a sentence."""
        return {window: cause.sentence for window, cause in self.causes.items()}


@dataclass(frozen=True, slots=True)
class Observed:
    """The windows by asset that raw tables were given, and new cursors; `unreadable` says by asset why its table cannot
    be read."""

    landed: dict[str, list[Landed]]
    cursors: dict[str, str]
    unreadable: dict[str, str]


def observe(settings: Settings, ledger: Ledger, assets: Sequence[Asset], since: dict[str, str]) -> Observed:
    """Looks at what raw tables were given since the cursors, and queues it.

    Its cost follows what changed. Queueing is idempotent, so looking twice from the same cursors is harmless. A table
    that cannot be read is recorded, and keeps nothing from the others.
    """
    found = changes(settings, assets, since)
    landed = {
        name: [Landed(w.window, w.sequence, w.rows, w.bytes, w.files, w.min_offset, w.max_offset) for w in windows]
        for name, windows in found.windows.items()
    }
    ledger.record_landed(found.cursors, landed, found.unreadable)
    return Observed(landed, found.cursors, found.unreadable)


def queued_windows(ledger: Ledger, asset: Asset) -> list[str]:
    """Return the asset's queued windows, in window order."""
    return sorted({entry.window for entry in ledger.pending([asset.name])})


def windows_of_lane(ledger: Ledger, asset: Asset, lane: Lane) -> tuple[set[str], list[str]]:
    """Return the asset's queued windows that belong into a run of the lane, and the one to try before all others.

    There is one when all windows of the asset failed: any, so that it is not always one that fails by itself.
    """
    entries, failing = select(
        lane, ledger.pending([asset.name]), known_failures(ledger, [asset.name]), datetime.now(UTC)
    )
    windows = {entry.window for entry in entries}
    return windows, sample(sorted(windows))[:1] if failing.get(asset.name) else []


@dataclass(frozen=True, slots=True)
class Made:
    """What an engine made of some windows; see `Refresh` for the fields."""

    outputs: tuple[WindowOutput, ...]
    failed: Mapping[str, Cause]
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
    probe: Callable[[], str | None] = lambda: None,
) -> Refresh:
    """Makes the windows that `chosen` names, once the asset's lock is held, and publishes those that pass.

    Failures are written to the ledger, the one of the whole call too, which is raised. When there is a `probe` among
    the windows, because all of them failed, it is tried first, and the others only when it can be made.

    `on_spark` makes windows on Spark, when the contract or their size asks for it. A window that cannot be made, or
    whose rows are not all accounted for, fails alone. A window whose raw rows are gone is made of its good rows and of
    what quarantine kept: of raw alone it would become empty. When retention took one of those too, it stays as it is.
    """
    result = Refresh(asset)
    with ledger.locked(f"dataset:{asset.dataset}"):
        record_abandoned(ledger, asset)
        windows = sorted(chosen())
        if not windows:
            return result
        first = probe()
        try:
            _refresh(settings, ledger, warehouse, asset, windows, first, result, run_id, log, on_spark)
        except Exception as error:
            if not ledger.connection.closed:
                try:
                    record_failed_run(ledger, asset, Cause(_sentence(error)))
                except psycopg.Error:
                    # Of a Postgres that has gone, `Ledger` tells, instead of what follows from it.
                    if ledger.connection.broken:
                        raise
            raise
        finally:
            if not ledger.connection.closed:
                end_attempt(ledger, asset)
        made = [*(output.window for output in (*result.published, *result.held_back)), *result.left]
        record_failures(ledger, asset, made, result.causes, probed=first is not None)
        try:
            limit_snapshots(settings, ledger, asset)
        except LakeError as error:
            log(f"old snapshots stay until the next run: {error}")
    return result


def _sentence(error: Exception) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return first if isinstance(error, LakeError) else f"{type(error).__name__}: {first}"


def _refresh(
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    asset: Asset,
    windows: Sequence[str],
    probe: str | None,
    result: Refresh,
    run_id: str,
    log: Callable[[str], None],
    on_spark: Callable[[Sequence[WindowInput]], Made],
) -> None:
    """Make the windows into `result`, a batch at a time."""
    scratch = settings.home / "tmp" / "conform"
    scratch.mkdir(parents=True, exist_ok=True)
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
    engine = result.engine.engine
    log(f"{asset.name}: {engine}, because {result.engine.reason}")
    on_duckdb = engine == "duckdb"
    queue = [window for window in inputs if window.window not in result.left]
    # Windows that are tried before the others, each by itself: when none can be made, the others are not tried.
    probes = [probe] if probe in [window.window for window in queue] else []
    suspects = [failure.window for failure in known_failures(ledger, [asset.name]) if is_suspect(failure)]
    sampled = False
    patience = Patience()
    number = 0
    while queue:
        number += 1
        batch = _next_batch(queue, probes, suspects, gone, on_duckdb)
        taken = {window.window for window in batch}
        queue = [window for window in queue if window.window not in taken]
        begin_attempt(ledger, asset, taken)
        started = time.monotonic()
        # By these names is found what a run wrote that dies; what Spark writes it takes away itself.
        name = uuid.uuid4().hex[:12]
        written = _files(settings, asset, batch, name)
        add_unreferenced_files(ledger, asset, [file for found in written.values() for file in found])
        if batch[0].window in gone:
            made = _from_kept(settings, ledger, warehouse, asset, batch[0].window, scratch, run_id, name)
        elif on_duckdb:
            made = Made(*conform_apart(asset, batch, settings.conformed, scratch, run_id, name, patience), {})
        else:
            made = on_spark(batch)
        conformed = time.monotonic()
        outputs = [replace(o, checks=(*o.checks, *budget_outcome(asset, o))) for o in made.outputs]
        passed = [output for output in outputs if not output.blocked_by]
        blocked = [output for output in outputs if output.blocked_by]
        before = len(result.published)
        for first in range(0, len(passed), BATCH_WINDOWS):
            swapped = {output.window: output for output in passed[first : first + BATCH_WINDOWS]}

            def publish(
                names: Collection[str],
                swapped: Mapping[str, WindowOutput] = swapped,
                written: Mapping[str, Sequence[str]] = written,
                started: float = started,
            ) -> list[WindowOutput]:
                outputs = [swapped[window] for window in names]
                # Before a table shows them: rather a few files too many, should this run die now, than one too few.
                shown = sorted({f for o in outputs for f in (*written[o.window], *o.good_files, *o.quarantine_files)})
                clear_unreferenced_files(ledger, shown)
                try:
                    warehouse.replace_windows(asset, outputs)
                except (LakeError, duckdb.Error) as error:
                    if isinstance(error, Unavailable):
                        raise
                    add_unreferenced_files(ledger, asset, shown)
                    raise Failed(Cause(_sentence(error))) from error
                seconds = time.monotonic() - started
                ledger.publish(asset, raw.sequence, run_id, engine, outputs, seconds)
                return outputs

            isolated = isolate(list(swapped), publish, patience)
            result.published += isolated.results
            result.causes |= isolated.failed
        if blocked:
            sentences = {
                output.window: over_budget(asset, output, broken_rules(output.quarantine_files))
                for output in blocked
                if BUDGET in output.blocked_by
            }
            ledger.hold_back(asset, run_id, blocked, sentences)
            add_unreferenced_files(
                ledger, asset, [file for o in blocked for file in (*o.good_files, *o.quarantine_files)]
            )
            result.sentences |= sentences
        result.held_back += blocked
        result.causes |= made.failed
        result.details |= made.details
        result.conform_seconds += conformed - started
        result.publish_seconds += time.monotonic() - conformed
        rows, published = sum(output.raw_rows for output in made.outputs), len(result.published) - before
        log(
            f"{asset.name}: batch {number}, {batch[0].window} to {batch[-1].window}, {rows} rows, "
            f"{published} windows published, {len(blocked)} held back, {len(batch) - published - len(blocked)} failed"
        )
        if probes and all(window not in [left.window for left in queue] for window in probes):
            if cause := common([result.causes.get(window) for window in probes]):
                result.causes |= waiting([window.window for window in queue], cause)
                return
            probes = []
        elif queue and not sampled and len(batch) > SAMPLE and common([made.failed.get(w.window) for w in batch]):
            # All of this batch fail of one cause: see at once whether the others do.
            sampled, probes = True, sample([window.window for window in queue])


def _next_batch(
    queue: Sequence[WindowInput],
    probes: Sequence[str],
    suspects: Collection[str],
    gone: Collection[str],
    on_duckdb: bool,
) -> list[WindowInput]:
    """The windows that are made next: one that is tried for all others, else as many as one conform takes.

    Those that a run may have died of come last, each by itself.
    """
    if chosen := [window for window in queue if window.window in probes]:
        return chosen[:1]
    whole = [window for window in queue if window.window not in gone]
    if not whole:
        return [queue[0]]
    # Spark shares out the work itself, and starting it is what takes long: one job for all windows.
    if not on_duckdb:
        return whole
    clear = [window for window in whole if window.window not in suspects]
    return next(batches(clear)) if clear else whole[:1]


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
        return Made((), {window: Cause(str(error))}, {})


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
