"""Puts files of a raw table in the place of others, in one commit. The sink may commit at any moment beside it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.landing.expire import SINK_OFFSETS

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import StaticTable, Table, Transaction


def replace_files(table: "Table", old: "Sequence[DataFile]", new: "Sequence[DataFile]") -> None:
    """Commits the new files in the place of the old ones; their windows have changed by it, as `changes` sees it.

    The commit says again how far the sink had come: the sink looks for that from the newest snapshot backwards, and the
    snapshots before this one may go. Raises CommitFailedException when somebody else's commit came first.
    """
    with _once(table) as transaction, transaction.update_snapshot(sinks_word(table)).overwrite() as overwrite:
        for file in old:
            overwrite.delete_data_file(file)
        for file in new:
            overwrite.append_data_file(file)


def replace_alike(
    table: "Table", old: "Sequence[DataFile]", new: "Sequence[DataFile]", sequences: Mapping[str, int]
) -> None:
    """The same for new files that hold the old ones' rows: no window has changed by it.

    `sequences` has by path of each new file the highest sequence number of those whose rows it holds.
    """
    from lake_assets.landing.replace_snapshot import SameRows

    with (
        _once(table) as transaction,
        SameRows(sequences, transaction=transaction, io=table.io, snapshot_properties=sinks_word(table)) as replace,
    ):
        for file in old:
            replace.delete_data_file(file)
        for file in new:
            replace.append_data_file(file)


def described(
    table: "StaticTable | Table", like: "DataFile", url: str, metadata: "FileMetaData", size: int
) -> "DataFile":
    """What a manifest says of a Parquet file of so many bytes that holds rows of the window of another file."""
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
    # pyiceberg would try again by itself on top of a commit of the sink, and repeat what the sink said before that:
    # older offsets on top of newer ones land events twice. `committed` reads the table again instead.
    table.metadata.properties["commit.retry.num-retries"] = "0"
    return table.transaction()


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
