"""`lake backfill`: rebuild windows from raw in batches, with fresh windows first, or undo that.

The ledger has the remaining windows, so a backfill resumes after a crash. It also has the earlier publications with
their files, which stay in the bucket: an undo publishes copies of them like any other output.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from lake_assets.bucket import copy, local_path, size
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.conform.write_windows import window_folder
from lake_assets.errors import LakeError
from lake_assets.landing.files import files, window_rows
from lake_assets.ledger.backfills import (
    Before,
    begin_undo,
    end_backfill,
    end_undo,
    last_backfill,
    published_windows,
    remaining_windows,
    request_windows,
    start_backfill,
)
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.publish import publish_windows
from lake_assets.ledger.window_states import NO_STATE, window_states
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.refresh import BATCH_ROWS, observe
from lake_assets.settings import Settings

# Windows that are built before fresh ones have their turn, if they have no more than `BATCH_ROWS` rows together.
BATCH_WINDOWS = 10
# A run that has just published a window removes an earlier request for it from the queue.
_TRIES = 3
_AT_ONCE = 16

Build = Callable[[Sequence[Pending]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """Windows that a backfill would rebuild, as `rows` by window, and the `bytes` of their raw files.

    `seconds` is estimated from their last builds, None if there was none. `missing_raw` are windows without raw rows,
    which stay as they are. `unfinished_since` is the start of the backfill that this one would resume. `unrestorable`
    is the number of windows of an older backfill that can be restored until this one begins.
    """

    first: str
    last: str
    rows: Mapping[str, int]
    bytes: int
    seconds: float | None
    missing_raw: tuple[str, ...]
    unfinished_since: datetime | None
    unrestorable: int


@dataclass(frozen=True, slots=True)
class Backfilled:
    """Result of a backfill.

    `made` windows are rebuilt. `held_back` has the failed checks by window, `failed` the causes by step. `left` are the
    windows that the same command would rebuild.
    """

    made: tuple[str, ...]
    held_back: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undo:
    """Windows that an undo restores, and the reason for each other window that stays as it is (`kept`)."""

    windows: tuple[str, ...]
    kept: Mapping[str, str]


def plan_backfill(settings: Settings, asset: Asset, first: str, last: str) -> BackfillPlan:
    """Plan a backfill of the windows `first` to `last`. Changes nothing.

    Raises LakeError when the contract is not the applied one, Unavailable.
    """
    with Ledger(settings) as ledger:
        return _find(settings, ledger, asset, first, last)


def backfill(
    settings: Settings,
    assets: Mapping[str, Asset],
    asset: Asset,
    first: str,
    last: str,
    build: Build,
    *,
    log: Callable[[str], None],
) -> Backfilled:
    """Rebuild the windows of `plan_backfill`. `build` brings queued entries up to date; it returns causes by step.

    Before each batch, windows of the catalog's `assets` that landed in the meantime are built. After a crash the batch
    is still queued, and the same call resumes. Raises LakeError when one runs already, Unavailable.
    """
    with Ledger(settings) as ledger, _alone(ledger, asset):
        plan = _find(settings, ledger, asset, first, last)
        if plan.unfinished_since is None:
            start_backfill(ledger, asset, first, last, tuple(plan.rows))
        failed: dict[str, str] = {}
        for batch in _batches(plan.rows):
            observe(settings, ledger, list(assets.values()), ledger.cursors())
            # Entries with a requested run are in flight, or failed and are retried by the stack.
            if fresh := [entry for entry in ledger.pending(list(assets)) if entry.requested_at is None]:
                failed |= build(fresh)
            windows = [window for window in remaining_windows(ledger, asset) if window in batch]
            for _ in range(_TRIES):
                if not windows:
                    break
                with ledger.locked(f"dataset:{asset.dataset}"):
                    request_windows(ledger, asset, windows)
                failed |= build([entry for entry in ledger.pending([asset.name]) if entry.window in windows])
                windows = _overlooked(ledger, asset, windows)
            unbuilt = set(remaining_windows(ledger, asset))
            log(f"{sum(window not in unbuilt for window in plan.rows)} of {len(plan.rows)} windows are rebuilt")
        remaining = [window for window in remaining_windows(ledger, asset) if window in plan.rows]
        states = window_states(ledger, asset, remaining)
        held_back = {w: tuple(s.held_back.checks) for w, s in states.items() if s.held_back and not s.is_queued}
        rest = tuple(window for window in remaining if window not in held_back)
        if not rest:
            end_backfill(ledger, asset)
    done = tuple(window for window in plan.rows if window not in remaining)
    return Backfilled(done, held_back, failed, rest)


def plan_undo(settings: Settings, asset: Asset) -> Undo:
    """Plan the undo of the last backfill. Changes nothing.

    Raises LakeError when there is none, or when files of the earlier publications are missing.
    """
    with Ledger(settings) as ledger:
        return _plan_undo(settings, ledger, asset)[0]


def undo(settings: Settings, asset: Asset, report: Callable[[Sequence[WindowOutput]], None]) -> Undo:
    """Restore the publications from before the last backfill, and end it; return the restored windows.

    `report` receives the outputs that are published. A window that changed after the backfill stays, because it may
    have later events. After a crash the windows of its batch are queued, and the same call restores them nevertheless.
    Raises LakeError as `plan_undo`, and when a backfill runs; Unavailable.
    """
    with Ledger(settings) as ledger, _alone(ledger, asset):
        plan, _ = _plan_undo(settings, ledger, asset)
        end_backfill(ledger, asset)
        done: list[str] = []
        kept = dict(plan.kept)
        for first in range(0, len(plan.windows), BATCH_WINDOWS):
            # No run publishes under the lock, but one may have between two batches.
            with ledger.locked(f"dataset:{asset.dataset}"):
                batch, before = _plan_undo(settings, ledger, asset, plan.windows[first : first + BATCH_WINDOWS])
                _restore(settings, ledger, asset, [before[window] for window in batch.windows], report)
            done += batch.windows
            kept |= batch.kept
    return Undo(tuple(done), kept)


@contextmanager
def _alone(ledger: Ledger, asset: Asset) -> Generator[None]:
    with ledger.alone(f"backfill:{asset.name}") as acquired:
        if not acquired:
            raise LakeError(
                f"a backfill of {asset.name} or its undo is running: wait until it ends, then repeat the command."
            )
        yield


def _find(settings: Settings, ledger: Ledger, asset: Asset, first: str, last: str) -> BackfillPlan:
    if not ledger.exists():
        raise LakeError("nothing is applied yet: run `lake apply` first.")
    states = {w: state for w, state in window_states(ledger, asset).items() if first <= w <= last}
    lost = {window for window, state in states.items() if state.raw_is_lost}
    raw = {window: rows for window, rows in window_rows(settings, asset).items() if first <= window <= last}
    windows = [window for window in raw if window not in lost]
    missing = [w for w, state in states.items() if state.raw_rows and (w in lost or w not in raw)]
    older = last_backfill(ledger, asset)
    resumes = (
        older is not None
        and older.ended_at is None
        and (older.first, older.last, older.contract_version) == (first, last, asset.version)
    )
    if resumes:
        unbuilt = set(remaining_windows(ledger, asset))
        windows = [window for window in windows if window in unbuilt]
    raw_files = files(settings, asset, windows).by_window if windows else {}
    rows = {window: sum(file.rows for file in window_files) for window, window_files in raw_files.items()}
    built = [entry for window in rows if window in states and (entry := states[window].published)]
    built_rows = sum(entry.raw_rows for entry in built)
    seconds = sum(entry.seconds for entry in built) * sum(rows.values()) / built_rows if built_rows else None
    return BackfillPlan(
        first,
        last,
        rows,
        sum(file.bytes for window_files in raw_files.values() for file in window_files),
        seconds,
        tuple(missing),
        older.began_at if older and resumes else None,
        0 if resumes else len(published_windows(ledger, asset)),
    )


def _batches(rows: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    for window, count in rows.items():
        if batch and (len(batch) == BATCH_WINDOWS or sum(rows[name] for name in batch) + count > BATCH_ROWS):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _overlooked(ledger: Ledger, asset: Asset, requested: Collection[str]) -> list[str]:
    """Return the requested windows that are neither rebuilt, nor held back, nor queued."""
    states = window_states(ledger, asset, requested)
    return [w for w in remaining_windows(ledger, asset) if w in requested and states.get(w, NO_STATE).is_at_rest]


def _plan_undo(
    settings: Settings, ledger: Ledger, asset: Asset, only: Collection[str] | None = None
) -> tuple[Undo, Mapping[str, Before]]:
    """Return the windows to restore (if given, `only` of these), and the earlier publication of each window."""
    before = {row.window: row for row in published_windows(ledger, asset) if only is None or row.window in only}
    if not before:
        raise LakeError(f"there is no backfill of {asset.name} to undo.")
    states = window_states(ledger, asset, before)
    raw = window_rows(settings, asset)
    kept: dict[str, str] = {}
    outputs: dict[str, WindowOutput | None] = {}
    for window, publication in before.items():
        output, state = publication.kept, states.get(window, NO_STATE)
        if publication.contract_version is None:
            kept[window] = "nothing had been published before"
        elif state.removed_at:
            kept[window] = "retention has removed some of it"
        elif (state.published and state.published.published_at) != publication.published_at:
            kept[window] = "it was rebuilt since"
        elif output is not None and output.raw_rows != raw.get(window, 0):
            kept[window] = "events have landed in it since"
        elif state.is_queued and not publication.undoing:
            kept[window] = "it is queued to be rebuilt"
        else:
            outputs[window] = output
    missing = [window for window, output in outputs.items() if output is None]
    windows = {path: w for w, o in outputs.items() if o for path in (*o.good_files, *o.quarantine_files)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        missing += {
            windows[path] for path, length in zip(windows, pool.map(size, windows), strict=True) if length is None
        }
    if missing:
        raise _missing_files(asset, sorted(missing))
    return Undo(tuple(outputs), kept), before


def _missing_files(asset: Asset, windows: Sequence[str]) -> LakeError:
    more = f" and {len(windows) - 1} more windows" if len(windows) > 1 else ""
    return LakeError(
        f"the files of {asset.name} {windows[0]}{more} that were published before are missing or unknown, so nothing "
        f"is restored: fix what builds the windows, then run `lake backfill {asset.name} --from WINDOW --to WINDOW`."
    )


def _restore(
    settings: Settings,
    ledger: Ledger,
    asset: Asset,
    publications: Sequence[Before],
    report: Callable[[Sequence[WindowOutput]], None],
) -> None:
    windows = [publication.window for publication in publications]
    outputs = {row.window: _copied(settings, asset, row.kept) for row in publications if row.kept}
    # Read raw as late as possible, and record its sequence: rows after this snapshot queue their window as usual.
    raw = files(settings, asset, windows)
    for window, output in outputs.items():
        if sum(file.rows for file in raw.by_window.get(window, ())) != output.raw_rows:
            raise LakeError(f"events of {asset.name} {window} have just landed: repeat the command.")
    begin_undo(ledger, asset, windows)
    warehouse_for(settings).replace_windows(asset, list(outputs.values()))
    for row in publications:
        then = replace(asset, version=row.contract_version or asset.version)
        publish_windows(
            ledger,
            then,
            raw.sequence,
            [outputs[row.window]],
            run_id=row.run_id or "",
            engine=row.engine or "",
            seconds=row.seconds or 0.0,
        )
    report(list(outputs.values()))
    end_undo(ledger, asset, windows, raw.sequence)


def _copied(settings: Settings, asset: Asset, output: WindowOutput) -> WindowOutput:
    """Return the output with copies of its files: a warehouse takes a file once, and may delete one it released."""
    start = f"{window_folder(settings.conformed, asset, output.window)}/{uuid4().hex[:12]}"

    def copied(paths: Sequence[str], ending: str) -> tuple[str, ...]:
        urls = [f"{start}-{number}.{ending}" for number in range(len(paths))]
        for path, url in zip(paths, urls, strict=True):
            try:
                copy(path, url)
            except FileNotFoundError:
                raise _missing_files(asset, [output.window]) from None
        return tuple(map(local_path, urls))

    return replace(
        output,
        good_files=copied(output.good_files, "parquet"),
        quarantine_files=copied(output.quarantine_files, "quarantine.parquet"),
    )
