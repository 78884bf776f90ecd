"""Takes single rows out of a raw table: the files that hold them are written again without them, in one commit."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.bucket import opened, write
from lake_assets.catalog.model import Asset
from lake_assets.landing.files import plain_path
from lake_assets.landing.removal import SINK_OFFSETS, committed
from lake_assets.landing.snapshots import RawTableError, entries, read_table
from lake_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import StaticTable, Table

# By Kafka partition the offsets that go.
Gone = Mapping[int, Collection[int]]


def any_live(settings: Settings, asset: Asset, paths: Collection[str]) -> bool:
    """Whether the newest snapshot still has one of these files. Raises Unavailable."""
    return bool(paths) and read_table(settings, asset, lambda table: bool(_live(table, asset, paths)))


def rewrite_without(
    settings: Settings,
    asset: Asset,
    paths: Collection[str],
    gone: Gone,
    about_to_write: Callable[[Sequence[str]], None],
) -> None:
    """Replaces those of these files that the table still has by files without the rows at these offsets.

    All others keep their bytes and their place. The commit says again how far the sink had come: the sink looks for
    that from the newest snapshot backwards, and the snapshots before this one are to go. `about_to_write` is told of
    each new file first. Raises RawTableError, Unavailable.
    """
    made: dict[str, DataFile | None] = {}

    def replace(table: "Table") -> None:
        old = _live(table, asset, paths)
        if not old:
            return
        for file in old:
            if file.file_path not in made:
                made[file.file_path] = _without(table, file, gone, about_to_write)
        # pyiceberg would try again by itself on top of a commit of the sink, and repeat what the sink said before that:
        # older offsets on top of newer ones land events twice. `committed` reads the table again instead.
        table.metadata.properties["commit.retry.num-retries"] = "0"
        with (
            table.transaction() as transaction,
            transaction.update_snapshot(sinks_word(table)).overwrite() as overwrite,
        ):
            for file in old:
                overwrite.delete_data_file(file)
                if (new := made[file.file_path]) is not None:
                    overwrite.append_data_file(new)

    committed(settings, asset, replace)


def _live(table: "StaticTable | Table", asset: Asset, paths: Collection[str]) -> "list[DataFile]":
    wanted = frozenset(paths)
    return [e.data_file for _, e in entries(table, asset) if plain_path(e.data_file.file_path) in wanted]


def _without(
    table: "Table", file: "DataFile", gone: Gone, about_to_write: Callable[[Sequence[str]], None]
) -> "DataFile | None":
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    if file.spec_id != table.spec().spec_id:
        raise RawTableError(f"{file.file_path} was cut in another way than its table is now, and is not rewritten.")
    system, path = opened(file.file_path)
    with system.open_input_file(path) as source:
        rows = _kept(pq.ParquetFile(source).read(), gone)
    if not rows.num_rows:
        return None
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd")
    content = buffer.getvalue()
    url = f"{file.file_path.rpartition('/')[0]}/{uuid.uuid4()}.parquet"
    about_to_write([url])
    write(url, content.to_pybytes())
    statistics = data_file_statistics_from_parquet_metadata(
        pq.read_metadata(pa.BufferReader(content)),
        compute_statistics_plan(table.schema(), table.properties),
        parquet_path_to_id_mapping(table.schema()),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=url,
        file_format=FileFormat.PARQUET,
        partition=file.partition,
        file_size_in_bytes=content.size,
        spec_id=file.spec_id,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _kept(rows: "pyarrow.Table", gone: Gone) -> "pyarrow.Table":
    """The rows that do not go, as they are and in their order."""
    import pyarrow as pa

    places = zip(rows["_partition"].to_pylist(), rows["_offset"].to_pylist(), strict=True)
    return rows.filter(pa.array([offset not in gone.get(partition, ()) for partition, offset in places]))


def sinks_word(table: "Table") -> dict[str, str]:
    """What the sink said in its newest commit; empty when it never has."""
    snapshots = {one.snapshot_id: one for one in table.metadata.snapshots}
    one = table.current_snapshot()
    while one is not None:
        said = one.summary.additional_properties if one.summary else {}
        if any(key.startswith(SINK_OFFSETS) for key in said):
            return {key: value for key, value in said.items() if key.startswith("kafka.connect.")}
        one = snapshots.get(one.parent_snapshot_id) if one.parent_snapshot_id is not None else None
    return {}
