"""Reader of a Parquet file, with types: those of pyarrow's stubs are incomplete."""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetReader(Protocol):
    """Methods of pyarrow's `ParquetFile` that the lake calls."""

    def iter_batches(self, batch_size: int) -> "Iterator[pa.RecordBatch]": ...
    def read(self) -> "pa.Table": ...


def parquet_reader(source: "pa.NativeFile | IO[bytes]") -> ParquetReader:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(source)
