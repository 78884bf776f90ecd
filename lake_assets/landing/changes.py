"""Changes of raw: for each asset the windows to which new snapshots added files, with counts and bounds."""

import struct
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.raw_catalog import pointers
from lake_assets.landing.raw_tables import OFFSET_ID
from lake_assets.landing.snapshots import RawTableError, entries, read_table, sequence_number
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table import StaticTable


# Tables that cannot be read may take so many seconds together; a bucket that does not answer takes longer for each.
_FAILING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class WindowChange:
    """Additions of new snapshots to one window. `sequence` is Iceberg's sequence number of the newest of them.

    Bounds are inclusive and over all added files together (a file holds records of several Kafka partitions), and
    None when the files carry no statistics.
    """

    window: str
    sequence: int
    rows: int
    bytes: int
    files: int
    min_offset: int | None
    max_offset: int | None


@dataclass(frozen=True, slots=True)
class RawChanges:
    """Changed windows by asset, in window order, and the cursor of each asset that has a table: the next `since`.

    `unreadable` has the cause by asset whose table could not be read; it keeps the cursor that it had.
    """

    windows: dict[str, tuple[WindowChange, ...]] = field(default_factory=dict[str, tuple[WindowChange, ...]])
    cursors: dict[str, str] = field(default_factory=dict[str, str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Cursor:
    """Sequence number up to which a table was read, pointer and table; as text `42.9f3a11c2.77ab01ef`."""

    sequence: int
    pointer: str
    table: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        sequence, pointer, table = text.split(".")
        return cls(int(sequence), pointer, table)

    def __str__(self) -> str:
        return f"{self.sequence}.{self.pointer}.{self.table}"

    def known(self, table: "StaticTable") -> int:
        """Return the sequence number up to which this table was read; 0 when it was created again since."""
        return self.sequence if self.table == _digest(str(table.metadata.table_uuid)) else 0


def changes(settings: Settings, assets: Iterable[Asset], since: Mapping[str, str]) -> RawChanges:
    """Return the windows to which snapshots newer than the cursors in `since` (by asset name) added files.

    An asset without a cursor, or whose table was created again, yields all its windows; one without a table yields
    nothing. One query finds the tables that changed, and of those only manifests newer than the cursor are read: the
    cost depends on the changes. Expired snapshots do not matter, since each file keeps its sequence number.
    Raises Unavailable, and RawTableError when so many tables take so long to fail that it is no table's own fault.
    """
    result = RawChanges()
    lost_seconds = 0.0
    assets = list(assets)
    current = pointers(settings, [raw_table(asset).identifier for asset in assets])
    for asset in assets:
        pointer, since_text = current.get(raw_table(asset).identifier), since.get(asset.name)
        if pointer is None:
            continue
        seen = Cursor.parse(since_text) if since_text else None
        if seen and seen.pointer == _digest(pointer):
            result.cursors[asset.name] = str(seen)
            continue
        began = time.monotonic()
        try:
            changed, cursor = read_table(settings, asset, lambda table, a=asset, c=seen: _changed(table, a, c), pointer)
        except RawTableError as error:
            result.unreadable[asset.name] = str(error)
            if since_text:
                result.cursors[asset.name] = since_text
            lost_seconds += time.monotonic() - began
            if lost_seconds > _FAILING_SECONDS:
                raise
            continue
        result.cursors[asset.name] = str(cursor)
        if changed:
            result.windows[asset.name] = changed
    return result


def _changed(table: "StaticTable", asset: Asset, seen: Cursor | None) -> tuple[tuple[WindowChange, ...], Cursor]:
    after = seen.known(table) if seen else 0
    added: dict[str, list[ManifestEntry]] = {}
    for cut, entry in entries(table, asset, lambda manifest, cut: manifest.sequence_number > after):
        # A merged manifest also holds entries of older snapshots, each with its own sequence number.
        if (entry.sequence_number or 0) > after:
            added.setdefault(cut.window(entry.data_file.partition[0]), []).append(entry)
    changed = tuple(_change(window, added[window]) for window in sorted(added))
    return changed, Cursor(
        sequence_number(table), _digest(table.metadata_location), _digest(str(table.metadata.table_uuid))
    )


def _change(window: str, added: "list[ManifestEntry]") -> WindowChange:
    files = [entry.data_file for entry in added]
    return WindowChange(
        window,
        sequence=max(entry.sequence_number or 0 for entry in added),
        rows=sum(file.record_count for file in files),
        bytes=sum(file.file_size_in_bytes for file in files),
        files=len(files),
        min_offset=min(_offsets(files, lower=True), default=None),
        max_offset=max(_offsets(files, lower=False), default=None),
    )


def _offsets(files: "list[DataFile]", *, lower: bool) -> list[int]:
    all_bounds = ((file.lower_bounds if lower else file.upper_bounds) or {} for file in files)
    return [struct.unpack("<q", bounds[OFFSET_ID])[0] for bounds in all_bounds if OFFSET_ID in bounds]


def _digest(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
