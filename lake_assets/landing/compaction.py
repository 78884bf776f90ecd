"""Compaction of the small files of windows. Each row keeps its bytes, its offset and its window.

No window counts as changed.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.bucket import is_local, opened, read
from lake_assets.catalog.model import Asset
from lake_assets.landing.changes import Cursor
from lake_assets.landing.expire import committed
from lake_assets.landing.parquet_reader import parquet_reader
from lake_assets.landing.raw_windows import window_starts
from lake_assets.landing.replace_files import described, replace_alike
from lake_assets.landing.snapshots import RawTableError, entries, read_table
from lake_assets.local_files import sync
from lake_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow
    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table import StaticTable, Table

# A reader opens ten files in no noticeable time, and rewriting them costs as much as rebuilding a window.
MIN_FILES = 10
# `lake forget` holds one file in memory, so they do not grow to Iceberg's 512 MB. A file of a quarter of the target
# size is not rewritten either, or each late event would rewrite it.
TARGET_BYTES = 64 << 20
SMALL_BYTES = TARGET_BYTES // 4
# In memory are one uncompressed row group, and one compressed file for each reader.
_GROUP_BYTES = 64 << 20
_READERS = 8
_BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Files:
    """Number and bytes of files of a raw table."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Compaction:
    """The small files of these windows, and the files that replace them."""

    windows: tuple[str, ...]
    before: Files
    after: Files


def small_files(
    settings: Settings, asset: Asset, windows: Collection[str], cursors: Sequence[Cursor]
) -> dict[str, Files]:
    """Return the small files of each of these windows that has enough of them, in window order.

    Only files that all cursors have read count. Raises Unavailable, RawTableError.
    """

    def count(table: "StaticTable") -> dict[str, Files]:
        by_window: dict[str, list[DataFile]] = {}
        for window, piece in _pieces(table, asset, windows, cursors):
            by_window.setdefault(window, []).extend(entry.data_file for entry in piece)
        return {window: _size(by_window[window]) for window in sorted(by_window)}

    return read_table(settings, asset, count)


def compact(
    settings: Settings,
    asset: Asset,
    windows: Collection[str],
    cursors: Sequence[Cursor],
    about_to_write: Callable[[Sequence[str]], None],
) -> Compaction | None:
    """Merge the small files of these windows that all cursors have read, and replace them in one commit.

    Returns None when they have too few. The old ones stay until the snapshots that name them expire.
    Rows keep the order in which they landed. `about_to_write` is called with each new file first. The caller makes sure
    that no other process replaces or removes files of the table. Raises RawTableError, Unavailable.
    """
    table, pieces = read_table(settings, asset, lambda table: (table, _pieces(table, asset, windows, cursors)))
    if not pieces:
        return None
    old: list[DataFile] = []
    new: list[DataFile] = []
    sequences: dict[str, int] = {}
    for _, piece in pieces:
        small = [entry.data_file for entry in piece]
        merged = list(_write_merged(table, small, about_to_write))
        if sum(file.record_count for file in merged) != sum(file.record_count for file in small):
            raise RawTableError(f"raw files of {asset.name} hold other rows than their table has: nothing is changed.")
        sequences |= {file.file_path: max(entry.sequence_number or 0 for entry in piece) for file in merged}
        old += small
        new += merged

    def replace(newest: "Table") -> None:
        replace_alike(newest, old, new, sequences)

    committed(settings, asset, replace)
    return Compaction(tuple(sorted({window for window, _ in pieces})), _size(old), _size(new))


def _pieces(
    table: "StaticTable", asset: Asset, windows: Collection[str], cursors: Sequence[Cursor]
) -> "list[tuple[str, list[ManifestEntry]]]":
    """Return the files to merge: small ones of one window and one partition value of the table, as they landed."""
    wanted, starts = frozenset(windows), window_starts(windows, asset.window)
    read_until = min(cursor.known(table) for cursor in cursors)
    pieces: dict[tuple[str, int | None], list[ManifestEntry]] = {}
    for cut, entry in entries(table, asset, lambda manifest, cut: cut.may_hold(manifest.partitions, starts)):
        file = entry.data_file
        window = cut.window(file.partition[0])
        if (
            window in wanted
            and file.file_size_in_bytes < SMALL_BYTES
            and (entry.sequence_number or 0) <= read_until
            and file.spec_id == table.spec().spec_id
        ):
            pieces.setdefault((window, file.partition[0]), []).append(entry)
    return [
        (window, sorted(piece, key=lambda entry: (entry.sequence_number or 0, entry.data_file.file_path)))
        for (window, _), piece in pieces.items()
        if len(piece) >= MIN_FILES
    ]


def _write_merged(
    table: "StaticTable", files: "Sequence[DataFile]", about_to_write: Callable[[Sequence[str]], None]
) -> "Iterator[DataFile]":
    """Write all rows of these files to files of about the target size, in the folder of the first of them."""
    import pyarrow.parquet as pq

    start = f"{files[0].file_path.rpartition('/')[0]}/{uuid.uuid4()}"
    groups = _row_groups(table, files)
    group, number = next(groups, None), 0
    while group is not None:
        url = f"{start}-{number:05}.parquet"
        about_to_write([url])
        system, path = opened(url)
        footer: list[pq.FileMetaData] = []
        with system.open_output_stream(path) as sink:
            with pq.ParquetWriter(sink, group.schema, compression="zstd", metadata_collector=footer) as writer:
                while group is not None and sink.tell() < TARGET_BYTES:
                    writer.write_table(group, row_group_size=group.num_rows)
                    group = next(groups, None)
            size = sink.tell()
        if is_local(url):
            sync(Path(path))
            sync(Path(path).parent)
        yield described(table, files[0], url, footer[0], size)
        number += 1


def _row_groups(table: "StaticTable", files: "Sequence[DataFile]") -> "Iterator[pyarrow.Table]":
    """Yield the rows of these files, in order, with the columns of the table."""
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    schema = schema_to_pyarrow(table.schema())
    types = dict(zip(schema.names, schema.types, strict=True))
    batches: list[pa.Table] = []
    gathered_bytes = 0
    for file, content in zip(files, _contents(files), strict=True):
        for batch in parquet_reader(pa.BufferReader(content)).iter_batches(_BATCH_ROWS):
            # A file may be older than the newest columns.
            if set(batch.schema.names) - set(schema.names):
                raise RawTableError(
                    f"{file.file_path} has the columns {', '.join(batch.schema.names)} and its table others: it stays."
                )
            rows = pa.Table.from_batches([batch])
            for name in schema.names:
                if name not in batch.schema.names:
                    rows = rows.append_column(name, pa.nulls(batch.num_rows).cast(types[name]))
            rows = rows.select(schema.names).cast(schema)
            batches.append(rows)
            gathered_bytes += rows.nbytes
            if gathered_bytes >= _GROUP_BYTES:
                yield pa.concat_tables(batches)
                batches, gathered_bytes = [], 0
    if batches:
        yield pa.concat_tables(batches)


def _contents(files: "Sequence[DataFile]") -> Iterator[bytes]:
    """Yield the content of each file; several are read at once, because a bucket is slow for each."""
    with ThreadPoolExecutor(_READERS) as pool:
        for first in range(0, len(files), _READERS):
            yield from pool.map(_content, files[first : first + _READERS])


def _content(file: "DataFile") -> bytes:
    content = read(file.file_path)
    if content is None:
        raise RawTableError(f"{file.file_path} is missing, but its table names it: find out which process deleted it.")
    return content


def _size(files: "Collection[DataFile]") -> Files:
    return Files(len(files), sum(file.file_size_in_bytes for file in files))
