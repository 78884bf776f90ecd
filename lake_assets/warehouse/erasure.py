"""Takes single rows out of a DuckLake's tables, and out of every file and snapshot that still holds them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from pyarrow.fs import FileSelector

from lake_assets.bucket import opened
from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_key, window_path, window_start
from lake_assets.compile.sql import identifier, literal
from lake_assets.settings import Settings
from lake_assets.warehouse.connection import connect
from lake_assets.warehouse.protocol import Table

# Kafka partition and offset.
Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row of one of the two tables, by its window and position."""

    window: str
    position: Position


def held_rows(
    settings: Settings, asset: Asset, table: Table, matching: str, at: Mapping[str, Collection[Position]]
) -> list[HeldRow]:
    """The rows of a table that are at these positions of these windows, or among the relation `matching`, which has
    the columns `_window`, `partition` and `position`."""
    with _session(settings, at) as session:
        found = session.execute(
            f"select _window, partition, position from ({matching}) union "
            f"select _window, partition, position from ({_places(asset, table)}) as held "
            "semi join gone using (_window, partition, position) order by all"
        ).fetchall()
    return [HeldRow(window_key(start, asset.window), (partition, position)) for start, partition, position in found]


def staging_matching(asset: Asset, condition: str) -> str:
    """The relation of staging rows that a condition holds for, as `held_rows` wants it."""
    return f"{_places(asset, 'staging')} where {condition}"


def quarantine_relation(asset: Asset) -> str:
    """The quarantine table, for SQL that `held_rows` is given."""
    return _qualified(asset, "quarantine")


def remove_rows(settings: Settings, asset: Asset, at: Mapping[str, Collection[Position]]) -> None:
    """Removes the rows at these positions of these windows from both tables, in one step."""
    with _session(settings, at) as session:
        session.execute("begin")
        for table, partition, offset in (
            ("staging", "_kafka_partition", "_offset"),
            ("quarantine", "partition", '"offset"'),
        ):
            session.execute(
                f"delete from {_qualified(asset, table)} where _window in (select _window from gone) "
                f"and (_window, {partition}, {offset}) in (select (_window, partition, position) from gone)"
            )
        session.execute("commit")


def partition_rows(
    settings: Settings, asset: Asset, windows: Collection[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Staging and quarantine rows by window and Kafka partition, as the tables count them."""
    with _session(settings, {window: [(-1, -1)] for window in windows}) as session:
        rows = session.execute(
            "select _window, partition, count(*) filter (where good), count(*) filter (where not good) from ("
            f"select *, true as good from ({_places(asset, 'staging')}) union all "
            f"select *, false as good from ({_places(asset, 'quarantine')})) as held "
            "where _window in (select _window from gone) group by all"
        ).fetchall()
    return {(window_key(start, asset.window), partition): (good, bad) for start, partition, good, bad in rows}


def purge(settings: Settings, asset: Asset, windows: Sequence[str]) -> int:
    """Removes what tables do not show any more from the bucket; how many files that were.

    Files in which rows are only marked as gone are written again, every older snapshot of the lake expires, and of
    these windows' conformed files those go that no table has. The caller holds the asset's lock.
    """
    schema = literal(asset.staging_schema)
    with _session(settings, {}) as session:
        for table in (asset.name, asset.quarantine_table):
            session.execute(
                f"call ducklake_flush_inlined_data('lake', schema_name => {schema}, table_name => {literal(table)})"
            )
            session.execute(
                f"call ducklake_rewrite_data_files('lake', {literal(table)}, schema => {schema}, delete_threshold => 0)"
            )
        versions = [
            version for (version,) in session.execute("select snapshot_id from ducklake_snapshots('lake')").fetchall()
        ]
        if old := sorted(versions)[:-1]:
            session.execute(f"call ducklake_expire_snapshots('lake', versions => {old})")
        removed = len(session.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)").fetchall())
        live = {
            file
            for table in (asset.name, asset.quarantine_table)
            for (file,) in session.execute(
                f"select data_file from ducklake_list_files('lake', {literal(table)}, schema => {schema})"
            ).fetchall()
        }
    return removed + sum(_remove_others(settings, asset, window, live) for window in windows)


def _remove_others(settings: Settings, asset: Asset, window: str, live: Collection[str]) -> int:
    """What conform wrote for the window and no table has: what it made quarantine of, or what was held back."""
    folder = f"{settings.conformed}/{asset.dataset}/v{asset.major}/{window_path(window)}"
    system, path = opened(folder)
    kept = {opened(file)[1] for file in live}
    found = system.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    others = [file.path for file in found if file.is_file and file.path not in kept]
    for other in others:
        system.delete_file(other)
    return len(others)


@contextmanager
def _session(settings: Settings, at: Mapping[str, Collection[Position]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session on the lake with the temporary table `gone`."""
    size = "hour" if any(len(window) > len("2026-01-31") for window in at) else "day"
    rows = [(window_start(window, size), *position) for window, positions in at.items() for position in positions]
    columns = (("_window", pa.timestamp("us", tz="UTC")), ("partition", pa.int32()), ("position", pa.int64()))
    listed = pa.table(
        {name: pa.array([row[place] for row in rows], kind) for place, (name, kind) in enumerate(columns)}
    )
    with connect(settings, serving=False) as session:
        session.register("listed", listed)
        session.execute("create temp table gone as select * from listed")
        yield session


def _places(asset: Asset, table: str) -> str:
    columns = "_kafka_partition as partition, _offset" if table == "staging" else 'partition, "offset"'
    return f"select _window, {columns} as position from {_qualified(asset, table)}"


def _qualified(asset: Asset, table: str) -> str:
    name = asset.name if table == "staging" else asset.quarantine_table
    return f"lake.{identifier(asset.staging_schema)}.{identifier(name)}"
