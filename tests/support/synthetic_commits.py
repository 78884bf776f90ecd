"""Commits to a raw table without a sink and without data: snapshots, manifests and statistics are all real."""

import struct
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record


class File(NamedTuple):
    """A data file: its partition value (hours or days since 1970), rows, first offset when it has statistics, and size.

    The size is that of a file that exists, in bytes; without one it is made up.
    """

    partition: int | None
    rows: int
    first_offset: int | None = 0
    size: int | None = None


def commit(table: Table, files: Sequence[File], *, merge: bool = False) -> None:
    """One snapshot that appends the files; `merge` merges manifests as the table's properties require."""
    with table.transaction() as transaction:
        update = transaction.update_snapshot()
        with update.merge_append() if merge else update.fast_append() as append:
            for file in files:
                append.append_data_file(data_file(table, file, f"{table.location()}/data/{uuid.uuid4()}.parquet"))


def data_file(table: Table, file: File, path: str) -> DataFile:
    """Return a manifest entry of the file, which need not exist."""
    offset = file.first_offset
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(file.partition),
        record_count=file.rows,
        file_size_in_bytes=file.rows * 10 if file.size is None else file.size,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={} if offset is None else {3: struct.pack("<i", 1), 4: struct.pack("<q", offset)},
        upper_bounds={} if offset is None else {3: struct.pack("<i", 2), 4: struct.pack("<q", offset + file.rows - 1)},
        spec_id=table.spec().spec_id,
    )
