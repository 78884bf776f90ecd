"""Replacement of files of a raw table, in one commit. The sink may commit at any time meanwhile."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.landing.expire import SINK_OFFSETS

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import StaticTable, Table, Transaction


def replace_files(table: "Table", old: "Sequence[DataFile]", new: "Sequence[DataFile]") -> None:
    """Replace the old files by the new ones in one commit; for `changes` their windows have changed.

    The commit repeats the sink's committed offsets: the sink searches for them from the newest snapshot backwards, and
    the snapshots before this one may expire. Raises CommitFailedException when another commit came first.
    """
    with _once(table) as transaction, transaction.update_snapshot(sink_properties(table)).overwrite() as overwrite:
        for file in old:
            overwrite.delete_data_file(file)
        for file in new:
            overwrite.append_data_file(file)


def replace_alike(
    table: "Table", old: "Sequence[DataFile]", new: "Sequence[DataFile]", sequences: Mapping[str, int]
) -> None:
    """Replace files by new files with the same rows: no window counts as changed.

    `sequences` has, by path of each new file, the highest sequence number of the files whose rows it holds.
    """
    from lake_assets.landing.replace_snapshot import SameRows

    with (
        _once(table) as transaction,
        SameRows(
            sequences, transaction=transaction, io=table.io, snapshot_properties=sink_properties(table)
        ) as replace,
    ):
        for file in old:
            replace.delete_data_file(file)
        for file in new:
            replace.append_data_file(file)


def described(
    table: "StaticTable | Table", like: "DataFile", url: str, metadata: "FileMetaData", size: int
) -> "DataFile":
    """Return the manifest's entry for a Parquet file of `size` bytes in the partition of the file `like`."""
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    statistics = data_file_statistics_from_parquet_metadata(
        metadata,
        compute_statistics_plan(table.schema(), table.properties),
        parquet_path_to_id_mapping(table.schema()),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=url,
        file_format=FileFormat.PARQUET,
        partition=like.partition,
        file_size_in_bytes=size,
        spec_id=like.spec_id,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _once(table: "Table") -> "Transaction":
    # pyiceberg would retry by itself on top of a commit of the sink, and repeat the sink's properties of before: older
    # offsets on top of newer ones land events twice. `committed` reads the table again instead.
    table.metadata.properties["commit.retry.num-retries"] = "0"
    return table.transaction()


def sink_properties(table: "Table") -> dict[str, str]:
    """Return the sink's properties in its newest commit; empty when it has never committed."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    snapshot = table.current_snapshot()
    while snapshot is not None:
        properties = snapshot.summary.additional_properties if snapshot.summary else {}
        if any(key.startswith(SINK_OFFSETS) for key in properties):
            return {key: value for key, value in properties.items() if key.startswith("kafka.connect.")}
        snapshot = by_id.get(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id is not None else None
    return {}
