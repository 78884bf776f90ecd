"""Raw files and rows of each window at the current snapshot."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.raw_windows import window_starts
from lake_assets.landing.snapshots import entries, read_table, sequence_number
from lake_assets.landing.table_metadata import TableMetadata, read_metadata
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file as DuckDB takes it: a plain path for local files, a URL otherwise."""

    path: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RawFiles:
    """The files of some windows at one snapshot."""

    sequence: int
    by_window: dict[str, tuple[DataFile, ...]]


def files(settings: Settings, asset: Asset, windows: Collection[str]) -> RawFiles:
    """Return the files of these windows at the current snapshot; a window without files is left out.

    Manifests whose range holds none of the windows are not opened. Raises Unavailable, RawTableError.
    """
    wanted, starts = frozenset(windows), window_starts(windows, asset.window)

    def read(table: "StaticTable") -> RawFiles:
        data_files: dict[str, list[DataFile]] = {}
        for cut, entry in entries(table, asset, lambda manifest, cut: cut.may_hold(manifest.partitions, starts)):
            file = entry.data_file
            if (window := cut.window(file.partition[0])) in wanted:
                data = DataFile(plain_path(file.file_path), file.record_count, file.file_size_in_bytes)
                data_files.setdefault(window, []).append(data)
        by_window = {
            window: tuple(sorted(data_files[window], key=lambda file: file.path)) for window in sorted(data_files)
        }
        return RawFiles(sequence_number(table), by_window)

    return read_table(settings, asset, read)


def window_rows_by_asset(settings: Settings, assets: Sequence[Asset]) -> dict[str, dict[str, int]]:
    """Return the `window_rows` of each of the assets; of a table without rows only its metadata is read."""
    by_table = read_metadata(settings, [raw_table(asset).identifier for asset in assets])
    empty = {
        table
        for table, metadata in by_table.items()
        if isinstance(metadata, TableMetadata) and not metadata.has_snapshot
    }
    return {
        asset.name: {} if raw_table(asset).identifier in empty else window_rows(settings, asset) for asset in assets
    }


def window_rows(settings: Settings, asset: Asset) -> dict[str, int]:
    """Return the rows of each window at the current snapshot, in window order. Raises Unavailable, RawTableError."""

    def read(table: "StaticTable") -> dict[str, int]:
        rows: dict[str, int] = {}
        for cut, entry in entries(table, asset):
            window = cut.window(entry.data_file.partition[0])
            rows[window] = rows.get(window, 0) + entry.data_file.record_count
        return dict(sorted(rows.items()))

    return read_table(settings, asset, read)


def plain_path(location: str) -> str:
    """Return `file:/x` and `file:///x` as `/x`; other schemes as they are."""
    scheme, colon, rest = location.partition(":")
    return "/" + rest.lstrip("/") if colon and scheme == "file" else location
