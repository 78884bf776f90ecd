"""Removal of whole windows from a raw table, and of files that only expired snapshots need.

No folder is listed: a file is deleted only because a snapshot of this table named it.
"""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from lake_assets.bucket import remove
from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.errors import Unavailable
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.snapshots import entries, read_table
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import StaticTable, Table
    from pyiceberg.table.snapshots import Snapshot

# The sink commits as often as every second, and after a conflict the table is read again.
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.1
# Properties in which the sink finds, after a crash, its committed offsets: it searches back from the newest snapshot.
SINK_OFFSETS = "kafka.connect.offsets."
# Each commit writes the metadata of all snapshots, 1.1 kB for one, and each look at the table reads it. At a commit a
# second these two are five and ten minutes; a reader of an older snapshot reads the newest one instead.
KEPT_SNAPSHOTS = 300
MOST_SNAPSHOTS = 600
_T = TypeVar("_T")


def windows_until(settings: Settings, asset: Asset, windows: Collection[str], sequence: int) -> set[str]:
    """Return those of the windows with a file of a snapshot up to this sequence number. Raises Unavailable."""
    return read_table(
        settings, asset, lambda table: {window for window, _ in _files_until(table, asset, windows, sequence)}
    )


def remove_windows(settings: Settings, asset: Asset, windows: Collection[str], sequence: int) -> None:
    """Remove the windows' files of snapshots up to this sequence number from the table, all in one commit.

    Files that landed later stay. Removed files stay in the bucket until the snapshots that name them expire. Does
    nothing when they are removed already. Raises Unavailable when other commits keep conflicting.
    """

    def take_out(table: "Table") -> None:
        files = [file for _, file in _files_until(table, asset, windows, sequence)]
        if files:
            with table.transaction() as transaction, transaction.update_snapshot().overwrite() as overwrite:
                for file in files:
                    overwrite.delete_data_file(file)

    committed(settings, asset, take_out)


def expire_snapshots(
    settings: Settings, asset: Asset, before: datetime, about_to_remove: Callable[[Sequence[str]], None]
) -> int:
    """Expire old snapshots, delete the files that they alone named, and return the number of files.

    Old are those before `before`, and all but the newest KEPT_SNAPSHOTS if more than MOST_SNAPSHOTS are younger.
    `about_to_remove` is called with the files first. The newest snapshot stays, and all back to the sink's last one.
    Raises Unavailable.
    """

    def expire(table: "Table") -> list[str]:
        kept = kept_snapshots(table.metadata.snapshots, table.current_snapshot(), int(before.timestamp() * 1000))
        expired = [old for old in table.metadata.snapshots if old.snapshot_id not in {s.snapshot_id for s in kept}]
        if not expired:
            return []
        files = sorted(_files(table, expired) - _files(table, kept))
        about_to_remove(files)
        remove_snapshots(table, expired)
        return files

    urls = committed(settings, asset, expire)
    for url in urls:
        remove(url)
    return len(urls)


def remove_snapshots(table: "Table", snapshots: "Sequence[Snapshot]") -> None:
    """Commit the removal of all of them as one update.

    `table.maintenance.expire_snapshots` copies the metadata for each: 300 of 600 took half a minute.
    """
    from pyiceberg.table.update import AssertTableUUID, RemoveSnapshotsUpdate

    update = RemoveSnapshotsUpdate.model_validate({"snapshot-ids": [snapshot.snapshot_id for snapshot in snapshots]})
    table.catalog.commit_table(table, (AssertTableUUID(uuid=table.metadata.table_uuid),), (update,))


def remove_unnamed(settings: Settings, asset: Asset, urls: Sequence[str]) -> None:
    """Delete those of these files that no snapshot names. Raises Unavailable."""

    def named(table: "Table") -> set[str]:
        return _files(table, table.metadata.snapshots)

    for url in sorted(set(urls) - committed(settings, asset, named)):
        remove(url)


def committed(settings: Settings, asset: Asset, change: "Callable[[Table], _T]") -> _T:
    """Return the result of `change` on the newest table, with retries when another commit came first.

    Raises Unavailable when that continues.
    """
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    with raw_catalog(settings) as catalog:
        for _ in range(_ATTEMPTS):
            try:
                return change(catalog.load_table(raw_table(asset).identifier))
            except (CommitFailedException, ValidationException):
                time.sleep(_PAUSE_SECONDS)
    raise Unavailable(f"the raw table of {asset.name} is changed by other processes all the time: try again later.")


def _files_until(
    table: "StaticTable | Table", asset: Asset, windows: Collection[str], sequence: int
) -> "list[tuple[str, DataFile]]":
    by_window = ((cut.window(e.data_file.partition[0]), e) for cut, e in entries(table, asset))
    return [(w, e.data_file) for w, e in by_window if w in windows and (e.sequence_number or 0) <= sequence]


def kept_snapshots(snapshots: "Sequence[Snapshot]", newest: "Snapshot | None", before: int) -> "list[Snapshot]":
    """Return the snapshots not older than `before` (ms after 1970), the newest one, and those the sink needs.

    Of too many only the newest are kept, however young the others are.
    """
    by_id = {snapshot.snapshot_id: snapshot for snapshot in snapshots}
    young = [snapshot for snapshot in snapshots if snapshot.timestamp_ms >= before]
    if len(young) > MOST_SNAPSHOTS:
        young = sorted(young, key=lambda snapshot: snapshot.sequence_number or 0)[-KEPT_SNAPSHOTS:]
    kept = {snapshot.snapshot_id: snapshot for snapshot in young}
    if newest is not None:
        kept[newest.snapshot_id] = newest
    passed: list[Snapshot] = []
    snapshot = newest
    while snapshot is not None:
        passed.append(snapshot)
        if snapshot.summary and any(key.startswith(SINK_OFFSETS) for key in snapshot.summary.additional_properties):
            kept |= {ancestor.snapshot_id: ancestor for ancestor in passed}
            break
        snapshot = by_id.get(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id is not None else None
    return list(kept.values())


def _files(table: "Table", snapshots: "Sequence[Snapshot]") -> set[str]:
    """Return the manifest lists, manifests and data files of these snapshots."""
    manifests = {m.manifest_path: m for snapshot in snapshots for m in snapshot.manifests(table.io)}
    data = {e.data_file.file_path for m in manifests.values() for e in m.fetch_manifest_entry(table.io)}
    return {snapshot.manifest_list for snapshot in snapshots} | set(manifests) | data
