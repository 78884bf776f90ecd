"""Compaction of small raw files in closed windows, which have no pending work."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_end
from lake_assets.landing.changes import Cursor
from lake_assets.landing.compaction import Compaction, Files, compact, small_files
from lake_assets.ledger.forgotten import not_rewritten
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import add_orphan_files, open_decisions
from lake_assets.ledger.window_states import window_states_by_asset
from lake_assets.operations.retention import raw_kept
from lake_assets.settings import Settings

# Limits of one compaction, while the dataset's windows wait: some seconds.
_BATCH = Files(1_000, 512 << 20)


def compact_closed(settings: Settings, ledger: Ledger, versions: Sequence[Asset], now: datetime) -> list[Compaction]:
    """Compact small raw files of windows that have ended, are published and are not queued; return what was done.

    `versions` are all applied versions of the dataset, the oldest first. A window that retention is about to remove
    stays as it is. Raises RawTableError, Unavailable.
    """
    compactions: list[Compaction] = []
    oldest, dataset = versions[0], versions[0].dataset
    positions = ledger.cursors()
    if any(version.name not in positions for version in versions):
        return compactions
    cursors = [Cursor.parse(positions[version.name]) for version in versions]
    for batch in _batches(small_files(settings, oldest, _at_rest(ledger, versions, now), cursors)):
        with ledger.locked(f"dataset:{dataset}"):
            windows = sorted({*batch} & {*_at_rest(ledger, versions, now)})
            done = compact(settings, oldest, windows, cursors, lambda urls: add_orphan_files(ledger, dataset, urls))
        if done:
            compactions.append(done)
    return compactions


def _at_rest(ledger: Ledger, versions: Sequence[Asset], now: datetime) -> list[str]:
    """Return the windows with no pending work, in order."""
    oldest = versions[0]
    # An interrupted removal is resolved by the files that still exist: compaction must not replace them before.
    if any(decision.element == "raw" for decision in open_decisions(ledger, oldest)) or not_rewritten(
        ledger, oldest.dataset
    ):
        return []
    states = [item for states in window_states_by_asset(ledger, versions).values() for item in states.items()]
    published = {window for window, state in states if state.published}
    queued = {window for window, state in states if state.is_queued}
    kept = raw_kept(versions)
    ends = {window: window_end(window, oldest.window) for window in sorted(published - queued)}
    return [window for window, end in ends.items() if end <= now and (kept is None or end + kept > now)]


def _batches(windows: Mapping[str, Files]) -> Iterator[Sequence[str]]:
    """Yield windows in order, in batches that are compacted quickly."""
    batch: list[str] = []
    count = size = 0
    for window, files in windows.items():
        if batch and (count + files.count > _BATCH.count or size + files.bytes > _BATCH.bytes):
            yield batch
            batch, count, size = [], 0, 0
        batch.append(window)
        count, size = count + files.count, size + files.bytes
    if batch:
        yield batch
