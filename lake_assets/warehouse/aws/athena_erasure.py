"""Erase single rows from the files that Glue references, and from every other file of the lake.

A file with such rows is rewritten without them, beside the old one, and its window's partition is pointed to a new
list. DuckDB reads the files: no query of Athena's contains a subject's value.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import duckdb

from lake_assets.aws import client, refusals
from lake_assets.bucket import let_read, path_of, write, written
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TableCounts, TableName, add_up
from lake_assets.catalog.windows import window_key, window_path
from lake_assets.compile.forget import values_match
from lake_assets.compile.glue import partition_input, partition_value, partition_window
from lake_assets.compile.sql import literal
from lake_assets.duckdb_session import duckdb_session
from lake_assets.settings import Settings
from lake_assets.warehouse.aws.athena import LIST, catalogued_tables, digest, listed_files, reading
from lake_assets.warehouse.aws.glue import Catalogued
from lake_assets.warehouse.erasure import (
    HeldRow,
    Positions,
    listed_positions,
    position_columns,
    remove_below,
    remove_conformed,
)
from lake_assets.warehouse.marts import mart_schemas

_AT_ONCE = 16


class AthenaErasure:
    """An `Erasure` over Glue and Athena; `Erasure` documents each method."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._glue = client("glue")

    def staged(self, asset: Asset, values: Mapping[str, str], positions: Positions) -> list[HeldRow]:
        def matching(rows: str) -> str:
            return _positions_sql("staging", f"{rows} where {values_match(values)}")

        return self._find(asset, "staging", matching, positions)

    def quarantined(self, asset: Asset, matching: Callable[[str], str], positions: Positions) -> list[HeldRow]:
        return self._find(asset, "quarantine", matching, positions)

    def remove_rows(self, asset: Asset, positions: Positions) -> None:
        with _refusals(asset), self._session(asset, positions) as session:
            for table, catalogued in self._tables(asset).items():
                self._remove_rows(session, asset, table, catalogued, sorted(positions))

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], TableCounts]:
        counts: list[tuple[tuple[str, int], TableName, int]] = []
        with _refusals(asset), self._session(asset, {}) as session:
            for table, catalogued in self._tables(asset).items():
                rows = reading(session, asset, table, self._paths(asset, catalogued, windows))
                partition, _ = position_columns(table)
                query = f"select _window, {partition}, count(*) from {rows} group by all"
                for start, kafka_partition, count in session.execute(query).fetchall():
                    counts.append(((window_key(start, asset.window), kafka_partition), table, count))
        return add_up(counts)

    def purge(self, asset: Asset, windows: Sequence[str], kept_files: Collection[str]) -> int:
        """Delete conformed files, lists of files, older versions of marts, and Athena's results in the bucket.

        A mart that a workgroup has put among its results stays.
        """
        removed, marts = 0, set[str]()
        with _refusals(asset):
            live = set(kept_files)
            folders: list[str] = []
            for catalogued in self._tables(asset).values():
                locations = self._locations(asset, catalogued, windows)
                live |= {f"{location}{LIST}" for location in locations.values()}
                live |= {path for location in locations.values() for path in listed_files(location)}
                folders += [f"{catalogued.location}{window_path(window)}" for window in windows]
            removed += sum(remove_below(folder, live) for folder in folders)
            removed += remove_conformed(self._settings, asset, windows, live)
            for schema in mart_schemas(self._settings):
                purged, locations = self._purge_marts(schema)
                removed += purged
                marts |= locations
            paths = tuple(f"{path_of(location).rstrip('/')}/" for location in marts)
            results = f"{self._settings.bucket}/athena"
            return removed + remove_below(results, (), lambda file: not file.path.startswith(paths))

    def out_of_reach(self) -> list[str]:
        return ["If a workgroup stores Athena's results outside of the lake's bucket, they stay: delete them there."]

    def _find(
        self, asset: Asset, table: TableName, matching: Callable[[str], str], positions: Positions
    ) -> list[HeldRow]:
        with _refusals(asset), self._session(asset, positions) as session:
            if (catalogued := self._tables(asset).get(table)) is None:
                return []
            rows = reading(session, asset, table, self._paths(asset, catalogued, None))
            rows_found = session.execute(
                f"select _window, partition, position from ({matching(rows)}) union "
                f"select _window, partition, position from ({_positions_sql(table, rows)}) as held "
                "semi join erased_rows using (_window, partition, position) order by all"
            ).fetchall()
        return [
            HeldRow(window_key(start, asset.window), (partition, offset)) for start, partition, offset in rows_found
        ]

    def _remove_rows(
        self,
        session: duckdb.DuckDBPyConnection,
        asset: Asset,
        table: TableName,
        catalogued: Catalogued,
        windows: Sequence[str],
    ) -> None:
        old = catalogued.partitions([partition_value(window, asset.window) for window in windows])
        new: dict[str, Mapping[str, Any] | None] = {}
        partition, offset = position_columns(table)
        for value, described in old.items():
            window = partition_window(value, asset.window)
            paths = listed_files(described["StorageDescriptor"]["Location"])
            source = f"read_parquet([{', '.join(map(literal, paths))}], filename = '_file')"
            condition = f"(_window, {partition}, {offset}) in (select (_window, partition, position) from erased_rows)"
            hits = session.execute(
                "select _file, count(*), count(*) filter (_is_erased), list(_at order by _at) filter (_is_erased) "
                f"from (select _file, ({partition}, {offset}) as _at, {condition} as _is_erased from {source}) "
                "group by _file"
            ).fetchall()
            affected = {path: (rows == erased, positions) for path, rows, erased, positions in hits if erased}
            if not affected:
                continue
            remaining: list[str] = []
            for path in paths:
                is_empty, positions = affected.get(path, (False, None))
                if positions is None:
                    remaining.append(path)
                elif not is_empty:
                    # A retry after a crash writes the same file again.
                    url = f"{path.rpartition('/')[0]}/without-{digest([path, str(positions)])}.parquet"
                    _write_without(session, path, condition, url)
                    remaining.append(url)
            folder = f"{catalogued.location}{window_path(window)}"
            new[value] = partition_input(described, value, _write_list(folder, remaining)) if remaining else None
        catalogued.switch(new, old)

    def _purge_marts(self, schema: str) -> tuple[int, set[str]]:
        """Delete older versions of a schema's tables, and their files.

        Return the number of files, and the locations of the current versions.
        """
        missing = self._glue.exceptions.EntityNotFoundException
        names: list[str] = []
        with suppress(missing):
            pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=schema)
            names = [table["Name"] for page in pages for table in page["TableList"]]
        removed, locations = 0, set[str]()
        for name in names:
            # A temporary table of dbt may be dropped meanwhile.
            with suppress(missing):
                purged, location = self._purge_mart({"DatabaseName": schema, "TableName": name})
                removed += purged
                locations.add(location)
        return removed, locations

    def _purge_mart(self, table_key: Mapping[str, str]) -> tuple[int, str]:
        pages = self._glue.get_paginator("get_table_versions").paginate(**table_key)
        versions = [version for page in pages for version in page["TableVersions"]]
        # Read after the versions: a version that dbt switches to from now on is not among them.
        current = self._glue.get_table(DatabaseName=table_key["DatabaseName"], Name=table_key["TableName"])["Table"]
        removed = 0
        for version in versions:
            if version["VersionId"] == current["VersionId"]:
                continue
            location = version["Table"]["StorageDescriptor"]["Location"]
            if location != current["StorageDescriptor"]["Location"]:
                removed += remove_below(location, ())
            self._glue.delete_table_version(**table_key, VersionId=version["VersionId"])
        return removed, current["StorageDescriptor"]["Location"]

    def _tables(self, asset: Asset) -> dict[TableName, Catalogued]:
        """Return those of the two tables that exist."""
        tables = catalogued_tables(self._settings, self._glue, asset)
        return {table: catalogued for table, catalogued in tables.items() if catalogued.described() is not None}

    def _locations(self, asset: Asset, catalogued: Catalogued, windows: Collection[str] | None) -> dict[str, str]:
        """Return the location of the list of each window, or of each of these."""
        if windows is None:
            locations = catalogued.locations()
        else:
            described = catalogued.partitions([partition_value(window, asset.window) for window in windows])
            locations = {value: partition["StorageDescriptor"]["Location"] for value, partition in described.items()}
        return {partition_window(value, asset.window): location for value, location in locations.items()}

    def _paths(self, asset: Asset, catalogued: Catalogued, windows: Collection[str] | None) -> list[str]:
        """Return the files of all windows, or of these."""
        locations = self._locations(asset, catalogued, windows)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [path for paths in pool.map(listed_files, locations.values()) for path in paths]

    @contextmanager
    def _session(self, asset: Asset, positions: Positions) -> Generator[duckdb.DuckDBPyConnection]:
        """Open a session that can read the bucket, with the temporary table `erased_rows`."""
        with duckdb_session() as session:
            let_read(session, self._settings.bucket)
            session.register("listed", listed_positions(asset, positions))
            session.execute("create temp table erased_rows as select * from listed")
            yield session


def _positions_sql(table: TableName, rows: str) -> str:
    partition, offset = position_columns(table)
    source = f"select _window, {partition} as _of, {offset} as _at from {rows}"
    return f'select _window, _of as partition, _at as "position" from ({source}) as _held'


def _write_without(session: duckdb.DuckDBPyConnection, path: str, condition: str, url: str) -> None:
    with written(url) as file:
        session.execute(
            f"copy (from read_parquet({literal(path)}) where not {condition}) to {literal(str(file))} "
            f"(format parquet, compression zstd)"
        )


def _write_list(folder: str, paths: Sequence[str]) -> str:
    """Write a list of files below a folder, at the same location for the same files; return that location."""
    location = f"{folder}/{digest(paths)}/"
    write(f"{location}{LIST}", "".join(f"{path}\n" for path in paths).encode())
    return location


def _refusals(asset: Asset) -> AbstractContextManager[None]:
    return refusals(
        f"AWS (erasing rows of {asset.name})",
        "your credentials and their rights on the staging databases, the marts' databases and the bucket",
    )
