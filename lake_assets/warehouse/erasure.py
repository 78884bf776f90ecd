"""Protocol for erasing single rows of a subject from a warehouse; every target has an adapter."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
from pyarrow.fs import FileSelector

from lake_assets.bucket import opened
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TableCounts, TableName
from lake_assets.catalog.windows import window_path, window_start
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

# Kafka partition and offset.
Position = tuple[int, int]
# By window.
Positions = Mapping[str, Collection[Position]]
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row of one of the two tables, by its window and position."""

    window: str
    position: Position


class Erasure(Protocol):
    """Erases single rows from staging and quarantine. A dropped table has no rows.

    Each method can be called again after a crash, and does the rest. The caller holds the asset's lock.
    """

    def staged(self, asset: Asset, values: Mapping[str, str], positions: Positions) -> list[HeldRow]:
        """Return the rows of staging at these positions, and those that have all these values.

        `values` are by column, as DuckDB SQL; without any they match no row.
        """
        ...

    def quarantined(self, asset: Asset, matching: Callable[[str], str], positions: Positions) -> list[HeldRow]:
        """Return the rows of quarantine at these positions, and those that `matching` finds in DuckDB.

        `matching` gets a relation with `_window`, `partition`, `offset` and `payload`, and returns SQL for `_window`,
        `partition` and `position`.
        """
        ...

    def remove_rows(self, asset: Asset, positions: Positions) -> None:
        """Delete the rows at these positions from both tables; for readers each change is atomic."""
        ...

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], TableCounts]:
        """Return staging and quarantine rows by window and Kafka partition, counted in the tables."""
        ...

    def purge(self, asset: Asset, windows: Sequence[str], kept_files: Collection[str]) -> int:
        """Delete files from the bucket that no table shows any more, except `kept_files`; return the number of files.

        Older versions of tables and marts are deleted as far as the target allows, and of these windows all conformed
        files that no table references.
        """
        ...

    def out_of_reach(self) -> list[str]:
        """Return one sentence for each part of the warehouse that cannot be erased."""
        ...


def remove_conformed(settings: Settings, asset: Asset, windows: Sequence[str], live: Collection[str]) -> int:
    """Delete conform's files of the windows, except `live`; return the number of files.

    This includes output that crashed Spark jobs have set aside for these windows.
    """
    folders = [f"{asset.dataset}/v{asset.major}/{window_path(window)}/" for window in windows]
    removed = sum(remove_below(f"{settings.conformed}/{folder}", live) for folder in folders)
    return removed + remove_below(
        f"{settings.bucket}/jobs", live, lambda file: any(f"/good/{folder}" in file.path for folder in folders)
    )


def remove_below(folder: str, live: Collection[str], chosen: "Callable[[FileInfo], bool]" = lambda _: True) -> int:
    """Delete the files below a folder that are `chosen` and not in `live`; return the number of files."""
    system, path = opened(folder.rstrip("/"))
    live_paths = {opened(file)[1] for file in live}
    files = system.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    paths = [file.path for file in files if file.is_file and file.path not in live_paths and chosen(file)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(system.delete_file, paths))
    return len(paths)


def position_columns(table: TableName) -> tuple[str, str]:
    """Return the columns of Kafka partition and offset, quoted for DuckDB."""
    return ('"_kafka_partition"', '"_offset"') if table == "staging" else ('"partition"', '"offset"')


def listed_positions(asset: Asset, positions_by_window: Positions) -> pa.Table:
    """Return a table with the columns `_window`, `partition` and `position`."""
    rows = [
        (window_start(window, asset.window), *position)
        for window, positions in positions_by_window.items()
        for position in positions
    ]
    columns = (("_window", pa.timestamp("us", tz="UTC")), ("partition", pa.int32()), ("position", pa.int64()))
    return pa.table({name: pa.array([row[index] for row in rows], kind) for index, (name, kind) in enumerate(columns)})
