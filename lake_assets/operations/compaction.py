"""Which windows of a dataset are left as they are, so that their small raw files may be written together."""

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

# What is written in one go, while the dataset's windows wait: some seconds.
_BATCH = Files(1_000, 512 << 20)


def compact_closed(settings: Settings, ledger: Ledger, versions: Sequence[Asset], now: datetime) -> list[Compaction]:
    """Writes the small raw files of a dataset together whose windows have ended, are published and are not queued; what
    was done. `versions` are all that are applied, the oldest first.

    A window that retention will take anyway stays as it is. Raises RawTableError, Unavailable.
    """
    found: list[Compaction] = []
    oldest, dataset = versions[0], versions[0].dataset
    known = ledger.cursors()
    if any(one.name not in known for one in versions):
        return found
    cursors = [Cursor.parse(known[one.name]) for one in versions]
    for batch in _batches(small_files(settings, oldest, _at_rest(ledger, versions, now), cursors)):
        with ledger.locked(f"dataset:{dataset}"):
            windows = sorted({*batch} & {*_at_rest(ledger, versions, now)})
            done = compact(settings, oldest, windows, cursors, lambda urls: add_orphan_files(ledger, dataset, urls))
        if done:
            found.append(done)
    return found


def _at_rest(ledger: Ledger, versions: Sequence[Asset], now: datetime) -> list[str]:
    """The windows that nobody has anything to do with now, in order."""
    oldest = versions[0]
    # A removal that was cut off is judged by which files are still there: whoever comes next looks.
    if any(one.element == "raw" for one in open_decisions(ledger, oldest)) or not_rewritten(ledger, oldest.dataset):
        return []
    states = [item for states in window_states_by_asset(ledger, versions).values() for item in states.items()]
    published = {window for window, state in states if state.published}
    queued = {window for window, state in states if state.is_queued}
    kept = raw_kept(versions)
    ends = {window: window_end(window, oldest.window) for window in sorted(published - queued)}
    return [window for window, end in ends.items() if end <= now and (kept is None or end + kept > now)]


def _batches(windows: Mapping[str, Files]) -> Iterator[Sequence[str]]:
    """Windows in order, so many at once that one go does not take long."""
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
