"""Takes whole windows out of a raw table, and removes what only expired snapshots need. No folder is listed: files are
removed only because a snapshot of this table named them."""

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

# The sink commits as often as every second, and whoever comes second reads the table again.
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.1
# By this the sink knows after a crash what it had committed. It looks for it from the newest snapshot backwards.
SINK_OFFSETS = "kafka.connect.offsets."
# Each commit writes the metadata of all snapshots, 1.1 kB for one, and each look at the table reads it. At a commit a
# second these two are five and ten minutes; a reader of an older snapshot reads the newest one instead.
KEPT_SNAPSHOTS = 300
MOST_SNAPSHOTS = 600
_T = TypeVar("_T")


def windows_until(settings: Settings, asset: Asset, windows: Collection[str], sequence: int) -> set[str]:
    """Those of the windows that have a file of a snapshot up to this sequence number. Raises Unavailable."""
    return read_table(settings, asset, lambda table: {window for window, _ in _held(table, asset, windows, sequence)})


def remove_windows(settings: Settings, asset: Asset, windows: Collection[str], sequence: int) -> None:
    """Takes the windows' files of snapshots up to this sequence number out of the table, all in one commit.

    What landed later stays. The files themselves stay too, until the snapshots that name them expire. Does nothing
    when they are out already. Raises Unavailable when others change the table all the time.
    """

    def take_out(table: "Table") -> None:
        gone = [file for _, file in _held(table, asset, windows, sequence)]
        if gone:
            with table.transaction() as transaction, transaction.update_snapshot().overwrite() as overwrite:
                for file in gone:
                    overwrite.delete_data_file(file)

    committed(settings, asset, take_out)


def expire_snapshots(
    settings: Settings, asset: Asset, before: datetime, about_to_remove: Callable[[Sequence[str]], None]
) -> int:
    """Expires snapshots older than `before`, and all but the newest KEPT_SNAPSHOTS when there are more than
    MOST_SNAPSHOTS, and removes the files that they alone named; how many files that were.

    `about_to_remove` is told of the files first. The newest snapshot stays, and all back to the last one by the sink.
    Raises Unavailable.
    """

    def expire(table: "Table") -> list[str]:
        kept = kept_snapshots(table.metadata.snapshots, table.current_snapshot(), int(before.timestamp() * 1000))
        old = [one for one in table.metadata.snapshots if one.snapshot_id not in {s.snapshot_id for s in kept}]
        if not old:
            return []
        files = sorted(_files(table, old) - _files(table, kept))
        about_to_remove(files)
        remove_snapshots(table, old)
        return files

    found = committed(settings, asset, expire)
    for url in found:
        remove(url)
    return len(found)


def remove_snapshots(table: "Table", snapshots: "Sequence[Snapshot]") -> None:
    """Commit the removal of all of them as one update.

    `table.maintenance.expire_snapshots` copies the metadata for each: 300 of 600 took half a minute.
    """
    from pyiceberg.table.update import AssertTableUUID, RemoveSnapshotsUpdate

    update = RemoveSnapshotsUpdate.model_validate({"snapshot-ids": [one.snapshot_id for one in snapshots]})
    table.catalog.commit_table(table, (AssertTableUUID(uuid=table.metadata.table_uuid),), (update,))


def remove_unnamed(settings: Settings, asset: Asset, urls: Sequence[str]) -> None:
    """Removes those of these files that no snapshot names, and leaves the others. Raises Unavailable."""

    def named(table: "Table") -> set[str]:
        return _files(table, table.metadata.snapshots)

    for url in sorted(set(urls) - committed(settings, asset, named)):
        remove(url)


def committed(settings: Settings, asset: Asset, change: "Callable[[Table], _T]") -> _T:
    """What `change` of the newest table gives, tried again when somebody else's commit came first. Raises Unavailable
    when that goes on."""
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    with raw_catalog(settings) as catalog:
        for _ in range(_ATTEMPTS):
            try:
                return change(catalog.load_table(raw_table(asset).identifier))
            except (CommitFailedException, ValidationException):
                time.sleep(_PAUSE_SECONDS)
    raise Unavailable(f"the raw table of {asset.name} is changed by others all the time: try again later.")


def _held(
    table: "StaticTable | Table", asset: Asset, windows: Collection[str], sequence: int
) -> "list[tuple[str, DataFile]]":
    found = ((cut.window(e.data_file.partition[0]), e) for cut, e in entries(table, asset))
    return [(w, e.data_file) for w, e in found if w in windows and (e.sequence_number or 0) <= sequence]


def kept_snapshots(snapshots: "Sequence[Snapshot]", newest: "Snapshot | None", before: int) -> "list[Snapshot]":
    """The snapshots not older than `before` (milliseconds after 1970), the newest one, and those the sink needs.

    Of too many only the newest are kept, however young the others are.
    """
    by_id = {one.snapshot_id: one for one in snapshots}
    young = [one for one in snapshots if one.timestamp_ms >= before]
    if len(young) > MOST_SNAPSHOTS:
        young = sorted(young, key=lambda snapshot: snapshot.sequence_number or 0)[-KEPT_SNAPSHOTS:]
    kept = {one.snapshot_id: one for one in young}
    if newest is not None:
        kept[newest.snapshot_id] = newest
    passed: list[Snapshot] = []
    one = newest
    while one is not None:
        passed.append(one)
        if one.summary and any(key.startswith(SINK_OFFSETS) for key in one.summary.additional_properties):
            kept |= {ancestor.snapshot_id: ancestor for ancestor in passed}
            break
        one = by_id.get(one.parent_snapshot_id) if one.parent_snapshot_id is not None else None
    return list(kept.values())


def _files(table: "Table", snapshots: "Sequence[Snapshot]") -> set[str]:
    """Manifest lists, manifests and data files of these snapshots."""
    manifests = {m.manifest_path: m for one in snapshots for m in one.manifests(table.io)}
    data = {e.data_file.file_path for m in manifests.values() for e in m.fetch_manifest_entry(table.io)}
    return {one.manifest_list for one in snapshots} | set(manifests) | data
