"""Housekeeping that never deletes data, so it needs no confirmation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake_assets.bucket import remove
from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.errors import LakeError
from lake_assets.landing.compaction import Compaction, Files
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.unreferenced_files import clear_unreferenced_files, undo_spans, unreferenced_files
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.compaction import compact_closed
from lake_assets.operations.dagster_history import remove_history
from lake_assets.operations.metric_retention import expire_metrics
from lake_assets.operations.retention import expire
from lake_assets.settings import Settings
from lake_assets.spill import remove_orphans
from lake_assets.warehouse.protocol import Warehouse

# Time for readers of an old raw snapshot, such as an audit by Iceberg itself.
KEPT = timedelta(days=7)
# Time for readers that began before the rows were replaced.
_READERS = timedelta(hours=1)
_UNDO = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Result of the housekeeping of one dataset.

    `files_removed` are raw files that only old snapshots named, `superseded_removed` conformed files of windows that
    were rebuilt. `compactions` are of small raw files.
    """

    dataset: str
    files_removed: int
    superseded_removed: int
    compactions: tuple[Compaction, ...]

    @property
    def windows(self) -> int:
        return sum(len(compaction.windows) for compaction in self.compactions)

    @property
    def before(self) -> Files:
        """The small files."""
        return _sum([compaction.before for compaction in self.compactions])

    @property
    def after(self) -> Files:
        """The files that replace them."""
        return _sum([compaction.after for compaction in self.compactions])


def clean(settings: Settings, assets: Sequence[Asset], now: datetime, log: Callable[[str], None]) -> list[Cleaned]:
    """Expire old raw snapshots of every applied dataset, delete files of rebuilt windows, compact small raw files of
    closed windows, and delete expired windows of metrics, spilled data of killed processes and old runs of Dagster.

    Raises LakeError when that failed for some of them, after all others were done.
    """
    results: list[Cleaned] = []
    failed: list[str] = []
    with Ledger(settings) as ledger:
        applied = set(ledger.contracts()) if ledger.exists() else set[str]()
        datasets = by_dataset(asset for asset in assets if asset.name in applied)
        try:
            if removed := remove_old_states(ledger, warehouse_for(settings), now) if datasets else 0:
                log(f"{removed:,} files that only older states of the staging tables needed are removed")
        except LakeError as error:
            failed.append(f"older states of the staging tables: {error}")
        try:
            for metric, rows in expire_metrics(ledger, read_applied(ledger).metrics.values(), now).items():
                log(f"metrics.{metric}: {rows:,} rows of expired windows are removed")
        except LakeError as error:
            failed.append(f"expired windows of metrics: {error}")
        for dataset, versions in datasets.items():
            try:
                with ledger.locked(f"dataset:{dataset}"):
                    files = expire(settings, ledger, versions[0], now - KEPT)
                    unneeded = remove_unreferenced_files(ledger, versions, now)
                cleaned = Cleaned(dataset, files, unneeded, tuple(compact_closed(settings, ledger, versions, now)))
            except (LakeError, OSError) as error:
                failed.append(f"{dataset}: {error}")
                continue
            results.append(cleaned)
            if cleaned.files_removed:
                log(f"{dataset}: {cleaned.files_removed:,} files that only old snapshots named are removed")
            if unneeded:
                log(f"{dataset}: {unneeded:,} files of windows that were rebuilt since are removed")
            if cleaned.compactions:
                log(
                    f"{dataset}: {cleaned.before.count:,} small files of {cleaned.windows:,} windows are "
                    f"{cleaned.after.count:,} now, of {cleaned.before.bytes:,} bytes {cleaned.after.bytes:,}"
                )
    failed += _clean_home(settings, now, log)
    if failed:
        raise LakeError(f"not all is clean, the next hour tries again: {'; '.join(failed)}")
    return results


def _clean_home(settings: Settings, now: datetime, log: Callable[[str], None]) -> list[str]:
    """Delete spilled data of killed processes and old runs of Dagster's history; return what failed."""
    failed: list[str] = []
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
    return failed


def remove_old_states(ledger: Ledger, warehouse: Warehouse, now: datetime) -> int:
    """Delete files that only older states of the warehouse need; return their number. Raises Unavailable.

    It takes no lock: files that are replaced in the meantime were in use within the last hour, and stay.
    """
    spans = [(began, ended or now) for began, ended in undo_spans(ledger, now - _UNDO)]
    return warehouse.remove_old_states(now - _READERS, spans)


def remove_unreferenced_files(ledger: Ledger, versions: Sequence[Asset], now: datetime) -> int:
    """Delete conformed files of the versions that no table references any more; return their number.

    The caller holds the dataset's lock. Raises OSError.
    """
    urls = [url for asset in versions for url in unreferenced_files(ledger, asset, now - _READERS, now - _UNDO)]
    for url in urls:
        remove(url)
    clear_unreferenced_files(ledger, urls)
    return len(urls)


def _sum(files: Sequence[Files]) -> Files:
    return Files(sum(part.count for part in files), sum(part.bytes for part in files))
