"""Delete single rows of a raw table: rewrite the files that hold them, in one commit."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.bucket import opened, write
from lake_assets.catalog.model import Asset
from lake_assets.landing.expire import committed
from lake_assets.landing.files import plain_path
from lake_assets.landing.parquet_reader import parquet_reader
from lake_assets.landing.replace_files import described, replace_files
from lake_assets.landing.snapshots import RawTableError, entries, read_table
from lake_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import StaticTable, Table

# Offsets to delete, by Kafka partition.
DeletedOffsets = Mapping[int, Collection[int]]


def any_live(settings: Settings, asset: Asset, paths: Collection[str]) -> bool:
    """Return True if the newest snapshot still has one of these files. Raises Unavailable."""
    return bool(paths) and read_table(settings, asset, lambda table: bool(_live(table, asset, paths)))


def rewrite_without(
    settings: Settings,
    asset: Asset,
    paths: Collection[str],
    deleted: DeletedOffsets,
    about_to_write: Callable[[Sequence[str]], None],
) -> None:
    """Replace those of these files that the table still has by files without the rows at these offsets.

    All other rows keep their bytes and their order. `about_to_write` is called with each new file first. Raises
    RawTableError, Unavailable.
    """
    rewritten: dict[str, DataFile | None] = {}

    def replace(table: "Table") -> None:
        old = _live(table, asset, paths)
        if not old:
            return
        for file in old:
            if file.file_path not in rewritten:
                rewritten[file.file_path] = _without(table, file, deleted, about_to_write)
        replace_files(table, old, [new for file in old if (new := rewritten[file.file_path]) is not None])

    committed(settings, asset, replace)


def _live(table: "StaticTable | Table", asset: Asset, paths: Collection[str]) -> "list[DataFile]":
    path_set = frozenset(paths)
    return [e.data_file for _, e in entries(table, asset) if plain_path(e.data_file.file_path) in path_set]


def _without(
    table: "Table", file: "DataFile", deleted: DeletedOffsets, about_to_write: Callable[[Sequence[str]], None]
) -> "DataFile | None":
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.spec_id != table.spec().spec_id:
        raise RawTableError(
            f"{file.file_path} has another partition spec than its table has now, and is not rewritten."
        )
    system, path = opened(file.file_path)
    with system.open_input_file(path) as source:
        rows = _remaining(parquet_reader(source).read(), deleted)
    if not rows.num_rows:
        return None
    buffer = pa.BufferOutputStream()
    footer: list[pq.FileMetaData] = []
    with pq.ParquetWriter(buffer, rows.schema, compression="zstd", metadata_collector=footer) as writer:
        writer.write_table(rows)
    content = buffer.getvalue()
    url = f"{file.file_path.rpartition('/')[0]}/{uuid.uuid4()}.parquet"
    about_to_write([url])
    write(url, content.to_pybytes())
    return described(table, file, url, footer[0], content.size)


def _remaining(rows: "pyarrow.Table", deleted: DeletedOffsets) -> "pyarrow.Table":
    """Return the rows that are not deleted, unchanged and in their order."""
    import pyarrow as pa

    positions = zip(rows["_partition"].to_pylist(), rows["_offset"].to_pylist(), strict=True)
    deleted_positions = {(partition, offset) for partition, offsets in deleted.items() for offset in offsets}
    return rows.filter(pa.array([position not in deleted_positions for position in positions]))
