"""`lake backfill`: windows are made anew from raw, a few at a time and fresh ones first, and brought back when asked.

What is left stands in the ledger, so a backfill that died goes on where it was. What had been published before stands
there too, with its files, which stay in the bucket: an undo publishes copies of them like any other output.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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

# Windows that are made between two looks at what is fresh, if they have no more than `BATCH_ROWS` rows together.
BATCH_WINDOWS = 10
# A run that has just published a window takes a request for it off the queue, which came a moment before.
_TRIES = 3
_AT_ONCE = 16

Make = Callable[[Sequence[Pending]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What a backfill would make: `rows` by window, and the `bytes` of their raw files.

    `seconds` is what they should take by what they took last, None when none was ever made. `gone` are windows of which
    raw has nothing any more, and which stay as they are. `goes_on` is when the backfill began of which these windows
    are left; `forgets` are windows of an older backfill that could be brought back until this one begins.
    """

    first: str
    last: str
    rows: Mapping[str, int]
    bytes: int
    seconds: float | None
    gone: tuple[str, ...]
    goes_on: datetime | None
    forgets: int


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What became of the windows of a plan. `held_back` gives by window the checks that failed, `failed` by step why it
    could not be done, `left` are the windows that starting it again would make."""

    made: tuple[str, ...]
    held_back: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undo:
    """The windows that an undo brings back, and of the others why they stay as they are."""

    windows: tuple[str, ...]
    kept: Mapping[str, str]


def plan_backfill(settings: Settings, asset: Asset, first: str, last: str) -> BackfillPlan:
    """What a backfill of the windows `first` to `last` would make. Changes nothing.

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
    make: Make,
    log: Callable[[str], None],
) -> Backfilled:
    """Rebuild the windows of `plan_backfill`. `make` brings entries of the queue up to date; it returns causes by step.

    Of the catalog's `assets` what has landed meanwhile is made before each few windows. When it dies, those few are
    still queued, and the same call goes on with the others. Raises LakeError when one runs already, Unavailable.
    """
    with Ledger(settings) as ledger, _alone(ledger, asset):
        agreed = _find(settings, ledger, asset, first, last)
        if agreed.goes_on is None:
            start_backfill(ledger, asset, first, last, tuple(agreed.rows))
        failed: dict[str, str] = {}
        for batch in _batches(agreed.rows):
            observe(settings, ledger, list(assets.values()), ledger.cursors())
            # What a run was asked for is under way, or has failed and is asked for again by the stack.
            if fresh := [entry for entry in ledger.pending(list(assets)) if entry.requested_at is None]:
                failed |= make(fresh)
            windows = [window for window in remaining_windows(ledger, asset) if window in batch]
            for _ in range(_TRIES):
                if not windows:
                    break
                with ledger.locked(f"dataset:{asset.dataset}"):
                    request_windows(ledger, asset, windows)
                failed |= make([entry for entry in ledger.pending([asset.name]) if entry.window in windows])
                windows = _overlooked(ledger, asset, windows)
            still = set(remaining_windows(ledger, asset))
            log(f"{sum(window not in still for window in agreed.rows)} of {len(agreed.rows)} windows are made")
        still = [window for window in remaining_windows(ledger, asset) if window in agreed.rows]
        states = window_states(ledger, asset, still)
        held = {w: tuple(s.held_back.checks) for w, s in states.items() if s.held_back and not s.is_queued}
        rest = tuple(window for window in still if window not in held)
        if not rest:
            end_backfill(ledger, asset)
    done = tuple(window for window in agreed.rows if window not in still)
    return Backfilled(done, held, failed, rest)


def plan_undo(settings: Settings, asset: Asset) -> Undo:
    """What an undo of the last backfill would bring back. Changes nothing.

    Raises LakeError when there is none, or when files are gone that had been published before.
    """
    with Ledger(settings) as ledger:
        return _plan_undo(settings, ledger, asset)[0]


def undo(settings: Settings, asset: Asset, tell: Callable[[Sequence[WindowOutput]], None]) -> Undo:
    """Publishes again what had been published before the last backfill, and ends it; gives what was brought back.

    `tell` hears of the outputs that are published. A window that is not as the backfill made it stays: it may hold
    events that came later. When it dies, windows that it was at are queued, and calling it again brings them back all
    the same. Raises LakeError as `plan_undo`, and when a backfill runs; Unavailable.
    """
    with Ledger(settings) as ledger, _alone(ledger, asset):
        agreed, _ = _plan_undo(settings, ledger, asset)
        end_backfill(ledger, asset)
        done: list[str] = []
        kept = dict(agreed.kept)
        for first in range(0, len(agreed.windows), BATCH_WINDOWS):
            # Under the lock nobody publishes, but something may have been between two batches.
            with ledger.locked(f"dataset:{asset.dataset}"):
                found, before = _plan_undo(settings, ledger, asset, agreed.windows[first : first + BATCH_WINDOWS])
                _bring_back(settings, ledger, asset, [before[window] for window in found.windows], tell)
            done += found.windows
            kept |= found.kept
    return Undo(tuple(done), kept)


@contextmanager
def _alone(ledger: Ledger, asset: Asset) -> Iterator[None]:
    with ledger.alone(f"backfill:{asset.name}") as held:
        if not held:
            raise LakeError(f"a backfill of {asset.name} runs already, or its undo: let it end, then say this again.")
        yield


def _find(settings: Settings, ledger: Ledger, asset: Asset, first: str, last: str) -> BackfillPlan:
    if not ledger.exists():
        raise LakeError("nothing is applied yet: run 'lake apply' first.")
    states = {w: state for w, state in window_states(ledger, asset).items() if first <= w <= last}
    lost = {window for window, state in states.items() if state.raw_is_lost}
    raw = {window: rows for window, rows in window_rows(settings, asset).items() if first <= window <= last}
    windows = [window for window in raw if window not in lost]
    gone = [w for w, state in states.items() if state.raw_rows and (w in lost or w not in raw)]
    older = last_backfill(ledger, asset)
    goes_on = (
        older is not None
        and older.ended_at is None
        and (older.first, older.last, older.contract_version) == (first, last, asset.version)
    )
    if goes_on:
        unmade = set(remaining_windows(ledger, asset))
        windows = [window for window in windows if window in unmade]
    held = files(settings, asset, windows).by_window if windows else {}
    rows = {window: sum(file.rows for file in found) for window, found in held.items()}
    known = [entry for window in rows if window in states and (entry := states[window].published)]
    known_rows = sum(entry.raw_rows for entry in known)
    seconds = sum(entry.seconds for entry in known) * sum(rows.values()) / known_rows if known_rows else None
    return BackfillPlan(
        first,
        last,
        rows,
        sum(file.bytes for found in held.values() for file in found),
        seconds,
        tuple(gone),
        older.began_at if older and goes_on else None,
        0 if goes_on else len(published_windows(ledger, asset)),
    )


def _batches(rows: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    for window, count in rows.items():
        if batch and (len(batch) == BATCH_WINDOWS or sum(rows[one] for one in batch) + count > BATCH_ROWS):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _overlooked(ledger: Ledger, asset: Asset, asked: Collection[str]) -> list[str]:
    """Those of the windows that were asked for that are neither made, nor judged and held back, nor queued."""
    states = window_states(ledger, asset, asked)
    return [w for w in remaining_windows(ledger, asset) if w in asked and states.get(w, NO_STATE).is_at_rest]


def _plan_undo(
    settings: Settings, ledger: Ledger, asset: Asset, only: Collection[str] | None = None
) -> tuple[Undo, Mapping[str, Before]]:
    """What would be brought back, of `only` these windows when they are given, and what had been published there."""
    before = {one.window: one for one in published_windows(ledger, asset) if only is None or one.window in only}
    if not before:
        raise LakeError(f"there is no backfill of {asset.name} to undo.")
    states = window_states(ledger, asset, before)
    raw = window_rows(settings, asset)
    kept: dict[str, str] = {}
    outputs: dict[str, WindowOutput | None] = {}
    for window, one in before.items():
        output, state = one.kept, states.get(window, NO_STATE)
        if one.contract_version is None:
            kept[window] = "nothing had been published before"
        elif state.removed_at:
            kept[window] = "retention has removed some of it"
        elif (state.published and state.published.published_at) != one.published_at:
            kept[window] = "it was made again since"
        elif output is not None and output.raw_rows != raw.get(window, 0):
            kept[window] = "events have landed in it since"
        elif state.is_queued and not one.undoing:
            kept[window] = "it is queued to be made again"
        else:
            outputs[window] = output
    gone = [window for window, output in outputs.items() if output is None]
    named = {path: w for w, o in outputs.items() if o for path in (*o.good_files, *o.quarantine_files)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        gone += {named[path] for path, found in zip(named, pool.map(size, named), strict=True) if found is None}
    if gone:
        raise _gone(asset, sorted(gone))
    return Undo(tuple(outputs), kept), before


def _gone(asset: Asset, windows: Sequence[str]) -> LakeError:
    more = f" and {len(windows) - 1} more windows" if len(windows) > 1 else ""
    return LakeError(
        f"the files of {asset.name} {windows[0]}{more} that were published before are gone or unknown, so nothing is "
        f"brought back: mend what makes the windows, then: lake backfill {asset.name} --from WINDOW --to WINDOW."
    )


def _bring_back(
    settings: Settings,
    ledger: Ledger,
    asset: Asset,
    chosen: Sequence[Before],
    tell: Callable[[Sequence[WindowOutput]], None],
) -> None:
    windows = [one.window for one in chosen]
    outputs = {one.window: _copied(settings, asset, one.kept) for one in chosen if one.kept}
    # As late as may be, and told to the ledger: what lands after this snapshot queues its window as ever.
    raw = files(settings, asset, windows)
    for window, output in outputs.items():
        if sum(file.rows for file in raw.by_window.get(window, ())) != output.raw_rows:
            raise LakeError(f"events of {asset.name} {window} have landed this moment: say this again.")
    begin_undo(ledger, asset, windows)
    warehouse_for(settings).replace_windows(asset, list(outputs.values()))
    for one in chosen:
        then = replace(asset, version=one.contract_version or asset.version)
        publish_windows(
            ledger,
            then,
            raw.sequence,
            [outputs[one.window]],
            run_id=one.run_id or "",
            engine=one.engine or "",
            seconds=one.seconds or 0.0,
        )
    tell(list(outputs.values()))
    end_undo(ledger, asset, windows, raw.sequence)


def _copied(settings: Settings, asset: Asset, output: WindowOutput) -> WindowOutput:
    """The output with files of its own: a warehouse takes a file once, and one that it let go may be removed."""
    start = f"{window_folder(settings.conformed, asset, output.window)}/{uuid4().hex[:12]}"

    def copied(paths: Sequence[str], ending: str) -> tuple[str, ...]:
        urls = [f"{start}-{number}.{ending}" for number in range(len(paths))]
        for path, url in zip(paths, urls, strict=True):
            try:
                copy(path, url)
            except FileNotFoundError:
                raise _gone(asset, [output.window]) from None
        return tuple(map(local_path, urls))

    return replace(
        output,
        good_files=copied(output.good_files, "parquet"),
        quarantine_files=copied(output.quarantine_files, "quarantine.parquet"),
    )
