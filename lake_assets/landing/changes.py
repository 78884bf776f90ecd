"""Changes of raw: for each asset the windows to which new snapshots added files, with counts and bounds."""

import struct
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
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
# Reading a table in a cloud is 6 to 40 requests, each of which waits for the network.
_AT_ONCE = 16


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

    `unreadable` has the cause by asset whose table could not be read; it keeps the cursor that it had. `postponed` are
    changed assets that the limit left for the next call, in order; they keep theirs, too.
    """

    windows: dict[str, tuple[WindowChange, ...]] = field(default_factory=dict[str, tuple[WindowChange, ...]])
    cursors: dict[str, str] = field(default_factory=dict[str, str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    postponed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit of one call: it begins no more tables after `seconds`, and reports none after `windows` of them.

    The first tables are always read. Changed assets in `first` come before the others: with the `postponed` ones of the
    call before, each asset has its turn however busy the others are.
    """

    seconds: float
    windows: int
    first: Sequence[str] = ()


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


def has_changes(settings: Settings, assets: Iterable[Asset], since: Mapping[str, str]) -> bool:
    """Return True if there are snapshots newer than these cursors; one query. Raises Unavailable."""
    tables = {raw_table(asset).identifier: since.get(asset.name) for asset in assets}
    current = pointers(settings, tables)
    return any(
        (text := tables[table]) is None or Cursor.parse(text).pointer != _digest(pointer)
        for table, pointer in current.items()
    )


def changes(
    settings: Settings, assets: Iterable[Asset], since: Mapping[str, str], limit: Limit | None = None
) -> RawChanges:
    """Return the windows to which snapshots newer than the cursors in `since` (by asset name) added files.

    An asset without a cursor, or whose table was created again, yields all its windows; one without a table yields
    nothing. One query finds the tables that changed, and of those only manifests newer than the cursor are read: the
    cost depends on the changes. Expired snapshots do not matter, since each file keeps its sequence number.
    Raises Unavailable, and RawTableError when so many tables take so long to fail that it is no table's own fault.
    """
    began = time.monotonic()
    cursors = dict[str, str]()
    changed: list[_ChangedTable] = []
    assets = list(assets)
    current = pointers(settings, [raw_table(asset).identifier for asset in assets])
    for asset in assets:
        pointer, since_text = current.get(raw_table(asset).identifier), since.get(asset.name)
        if pointer is None:
            continue
        if since_text:
            cursors[asset.name] = since_text
        seen = Cursor.parse(since_text) if since_text else None
        if seen is None or seen.pointer != _digest(pointer):
            changed.append(_ChangedTable(asset, pointer, seen))
    postponed: list[str] = []
    result = RawChanges(cursors=cursors)
    first = {name: number for number, name in enumerate(limit.first)} if limit else {}
    changed.sort(key=lambda table: first.get(table.asset.name, len(first)))
    lost_seconds, windows = 0.0, 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(changed), _AT_ONCE):
            piece = changed[start : start + _AT_ONCE]
            if limit and start and time.monotonic() - began > limit.seconds:
                postponed += [table.asset.name for table in changed[start:]]
                break
            for table, reading in zip(piece, pool.map(partial(_read, settings), piece), strict=True):
                name = table.asset.name
                if limit and windows >= limit.windows:
                    postponed.append(name)
                elif isinstance(reading.outcome, RawTableError):
                    result.unreadable[name] = str(reading.outcome)
                    lost_seconds += reading.seconds
                    if lost_seconds > _FAILING_SECONDS:
                        raise reading.outcome
                else:
                    added, cursor = reading.outcome
                    result.cursors[name] = str(cursor)
                    windows += len(added)
                    if added:
                        result.windows[name] = added
    return replace(result, postponed=tuple(postponed))


@dataclass(frozen=True, slots=True)
class _ChangedTable:
    asset: Asset
    pointer: str
    seen: Cursor | None


@dataclass(frozen=True, slots=True)
class _Reading:
    outcome: "tuple[tuple[WindowChange, ...], Cursor] | RawTableError"
    seconds: float


def _read(settings: Settings, table: _ChangedTable) -> _Reading:
    began = time.monotonic()
    outcome: tuple[tuple[WindowChange, ...], Cursor] | RawTableError
    try:
        outcome = read_table(settings, table.asset, lambda t: _changed(t, table.asset, table.seen), table.pointer)
    except RawTableError as error:
        outcome = error
    return _Reading(outcome, time.monotonic() - began)


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
