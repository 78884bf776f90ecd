"""What can be tidied without asking anybody, because no data goes by it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.errors import LakeError
from lake_assets.landing.compaction import Compaction, Files
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.compaction import compact_closed
from lake_assets.operations.dagster_history import remove_history
from lake_assets.operations.old_states import remove_old_states, remove_superseded
from lake_assets.operations.retention import expire
from lake_assets.settings import Settings

# Somebody who reads raw by an old snapshot, as an audit of Iceberg's own does, has so much time.
KEPT = timedelta(days=7)


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
                    superseded = remove_superseded(ledger, versions, now)
                cleaned = Cleaned(dataset, files, superseded, tuple(compact_closed(settings, ledger, versions, now)))
            except (LakeError, OSError) as error:
                failed.append(f"{dataset}: {error}")
                continue
            found.append(cleaned)
            if cleaned.files_removed:
                log(f"{dataset}: {cleaned.files_removed:,} files that only old snapshots named are removed")
            if superseded:
                log(f"{dataset}: {superseded:,} files of windows that were made again since are removed")
            if cleaned.compactions:
                log(
                    f"{dataset}: {cleaned.before.count:,} small files of {cleaned.windows:,} windows are "
                    f"{cleaned.after.count:,} now, of {cleaned.before.bytes:,} bytes {cleaned.after.bytes:,}"
                )
    try:
        if runs := remove_history(settings, now):
            log(f"{runs:,} runs of a month ago and more are removed from Dagster's history")
    except LakeError as error:
        failed.append(f"Dagster's history: {error}")
    if failed:
        raise LakeError(f"not all is clean, the next hour tries again: {'; '.join(failed)}")
    return found


def _sum(files: Sequence[Files]) -> Files:
    return Files(sum(one.count for one in files), sum(one.bytes for one in files))
