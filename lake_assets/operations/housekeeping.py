"""What can be tidied without asking anybody, because no data goes by it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake_assets.bucket import remove
from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.errors import LakeError
from lake_assets.landing.compaction import Compaction, Files
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.unreferenced_files import clear_unreferenced_files, undo_spans, unreferenced_files
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.compaction import compact_closed
from lake_assets.operations.dagster_history import remove_history
from lake_assets.operations.retention import expire
from lake_assets.settings import Settings
from lake_assets.spill import remove_orphans
from lake_assets.warehouse.protocol import Warehouse

# Somebody who reads raw by an old snapshot, as an audit of Iceberg's own does, has so much time.
KEPT = timedelta(days=7)
# Whoever began to read the rows before has so much time.
_READERS = timedelta(hours=1)
_UNDO = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of one dataset: raw files that only old snapshots named went, and conformed ones of windows that were
    made again; small raw files are together now."""

    dataset: str
    files_removed: int
    superseded_removed: int
    compactions: tuple[Compaction, ...]

    @property
    def windows(self) -> int:
        return sum(len(one.windows) for one in self.compactions)

    @property
    def before(self) -> Files:
        """The small files."""
        return _sum([one.before for one in self.compactions])

    @property
    def after(self) -> Files:
        """What they were written to."""
        return _sum([one.after for one in self.compactions])


def clean(settings: Settings, assets: Sequence[Asset], now: datetime, log: Callable[[str], None]) -> list[Cleaned]:
    """Expires old raw snapshots of every applied dataset, removes files of windows that were made again, writes small
    raw files of closed windows together, and removes old runs from Dagster's history.

    Raises LakeError when that failed for some, after all others were done.
    """
    found: list[Cleaned] = []
    failed: list[str] = []
    with Ledger(settings) as ledger:
        applied = set(ledger.contracts()) if ledger.exists() else set[str]()
        datasets = by_dataset(one for one in assets if one.name in applied)
        try:
            if removed := remove_old_states(ledger, warehouse_for(settings), now) if datasets else 0:
                log(f"{removed:,} files that only older states of the staging tables needed are removed")
        except LakeError as error:
            failed.append(f"older states of the staging tables: {error}")
        for dataset, versions in datasets.items():
            try:
                with ledger.locked(f"dataset:{dataset}"):
                    files = expire(settings, ledger, versions[0], now - KEPT)
                    unneeded = remove_superseded(ledger, versions, now)
                cleaned = Cleaned(dataset, files, unneeded, tuple(compact_closed(settings, ledger, versions, now)))
            except (LakeError, OSError) as error:
                failed.append(f"{dataset}: {error}")
                continue
            found.append(cleaned)
            if cleaned.files_removed:
                log(f"{dataset}: {cleaned.files_removed:,} files that only old snapshots named are removed")
            if unneeded:
                log(f"{dataset}: {unneeded:,} files of windows that were made again since are removed")
            if cleaned.compactions:
                log(
                    f"{dataset}: {cleaned.before.count:,} small files of {cleaned.windows:,} windows are "
                    f"{cleaned.after.count:,} now, of {cleaned.before.bytes:,} bytes {cleaned.after.bytes:,}"
                )
    try:
        if orphaned := remove_orphans(settings.home):
            log(f"{orphaned:,} files and folders that killed processes had spilled are removed")
    except OSError as error:
        failed.append(f"spilled data: {error}")
    try:
        if runs := remove_history(settings, now):
            log(f"{runs:,} runs of a month ago and more are removed from Dagster's history")
    except LakeError as error:
        failed.append(f"Dagster's history: {error}")
    if failed:
        raise LakeError(f"not all is clean, the next hour tries again: {'; '.join(failed)}")
    return found


def remove_old_states(ledger: Ledger, warehouse: Warehouse, now: datetime) -> int:
    """Lets the warehouse remove what only its older states need; how many files. Raises Unavailable.

    Nobody has to wait for it: what is replaced meanwhile was there within the last hour, and stays.
    """
    spans = [(began, ended or now) for began, ended in undo_spans(ledger, now - _UNDO)]
    return warehouse.remove_old_states(now - _READERS, spans)


def remove_superseded(ledger: Ledger, versions: Sequence[Asset], now: datetime) -> int:
    """Removes conformed files of the versions that no table shows any more; how many. The caller holds the dataset's
    lock. Raises OSError."""
    found = [url for asset in versions for url in unreferenced_files(ledger, asset, now - _READERS, now - _UNDO)]
    for url in found:
        remove(url)
    clear_unreferenced_files(ledger, found)
    return len(found)


def _sum(files: Sequence[Files]) -> Files:
    return Files(sum(one.count for one in files), sum(one.bytes for one in files))
