"""Takes single rows out of the files that Glue names, and out of every other file of the lake that still holds them.

A file with such rows is written again without them, beside the old one, and its window's partition is pointed to a new
list. DuckDB reads the files: no value of a person is in a query of Athena's.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import duckdb

from lake_assets.aws import client, refusals
from lake_assets.bucket import let_read, write, written
from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_key, window_path
from lake_assets.compile.forget import values_match
from lake_assets.compile.glue import partition_input, partition_value, partition_window
from lake_assets.compile.sql import identifier, literal
from lake_assets.duckdb_session import duckdb_session
from lake_assets.settings import Settings
from lake_assets.warehouse.aws.athena import LIST, catalogued_tables, digest, listed_files, reading
from lake_assets.warehouse.aws.glue import Catalogued
from lake_assets.warehouse.erasure import HeldRow, Positions, listed_positions, remove_below, remove_conformed
from lake_assets.warehouse.marts import mart_schemas
from lake_assets.warehouse.protocol import Table

_POSITION: Mapping[Table, tuple[str, str]] = {
    "staging": ("_kafka_partition", "_offset"),
    "quarantine": ("partition", "offset"),
}
_AT_ONCE = 16


class AthenaErasure:
    """An `Erasure` over Glue and Athena; see `Erasure` for what each method promises."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._glue = client("glue")

    def staged(self, asset: Asset, values: Mapping[str, str], at: Positions) -> list[HeldRow]:
        def matching(rows: str) -> str:
            return _places("staging", f"{rows} where {values_match(values)}")

        return self._held(asset, "staging", matching, at)

    def quarantined(self, asset: Asset, matching: Callable[[str], str], at: Positions) -> list[HeldRow]:
        return self._held(asset, "quarantine", matching, at)

    def remove_rows(self, asset: Asset, at: Positions) -> None:
        with _refusals(asset), self._session(asset, at) as session:
            for table, catalogued in self._tables(asset).items():
                self._remove_rows(session, asset, table, catalogued, sorted(at))

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], tuple[int, int]]:
        found: dict[tuple[str, int], tuple[int, int]] = {}
        with _refusals(asset), self._session(asset, {}) as session:
            for table, catalogued in self._tables(asset).items():
                rows = reading(session, asset, table, self._paths(asset, catalogued, windows))
                partition, _ = _POSITION[table]
                query = f"select _window, {partition}, count(*) from {rows} group by all"
                for start, of, count in session.execute(query).fetchall():
                    place = window_key(start, asset.window), of
                    good, bad = found.get(place, (0, 0))
                    found[place] = (good + count, bad) if table == "staging" else (good, bad + count)
        return found

    def purge(self, asset: Asset, windows: Sequence[str], kept: Collection[str]) -> int:
        """Besides conformed files these are lists of files, older versions of marts, and answers that Athena has kept
        in the lake's bucket."""
        removed = 0
        with _refusals(asset):
            live = set(kept)
            folders: list[str] = []
            for catalogued in self._tables(asset).values():
                locations = self._locations(asset, catalogued, windows)
                live |= {f"{location}{LIST}" for location in locations.values()}
                live |= {path for location in locations.values() for path in listed_files(location)}
                folders += [f"{catalogued.location}{window_path(window)}" for window in windows]
            removed += sum(remove_below(folder, live) for folder in folders)
            removed += remove_conformed(self._settings, asset, windows, live)
            for schema in mart_schemas(self._settings):
                removed += self._purge_marts(schema)
            return removed + remove_below(f"{self._settings.bucket}/athena", ())

    def out_of_reach(self) -> list[str]:
        return ["Where a workgroup keeps Athena's answers outside of the lake's bucket they stay: remove them there."]

    def _held(self, asset: Asset, table: Table, matching: Callable[[str], str], at: Positions) -> list[HeldRow]:
        with _refusals(asset), self._session(asset, at) as session:
            if (catalogued := self._tables(asset).get(table)) is None:
                return []
            rows = reading(session, asset, table, self._paths(asset, catalogued, None))
            found = session.execute(
                f"select _window, partition, position from ({matching(rows)}) union "
                f"select _window, partition, position from ({_places(table, rows)}) as held "
                "semi join gone using (_window, partition, position) order by all"
            ).fetchall()
        return [HeldRow(window_key(start, asset.window), (of, one)) for start, of, one in found]

    def _remove_rows(
        self, session: duckdb.DuckDBPyConnection, asset: Asset, table: Table, catalogued: Catalogued, at: Sequence[str]
    ) -> None:
        old = catalogued.partitions([partition_value(window, asset.window) for window in at])
        new: dict[str, Mapping[str, Any] | None] = {}
        partition, offset = map(identifier, _POSITION[table])
        for value, described in old.items():
            window = partition_window(value, asset.window)
            paths = listed_files(described["StorageDescriptor"]["Location"])
            source = f"read_parquet([{', '.join(map(literal, paths))}], filename = '_file')"
            condition = f"(_window, {partition}, {offset}) in (select (_window, partition, position) from gone)"
            hits = session.execute(
                "select _file, count(*), count(*) filter (_is_gone), list(_place order by _place) filter (_is_gone) "
                f"from (select _file, ({partition}, {offset}) as _place, {condition} as _is_gone from {source}) "
                "group by _file"
            ).fetchall()
            hit = {path: (rows == gone, places) for path, rows, gone, places in hits if gone}
            if not hit:
                continue
            left: list[str] = []
            for path in paths:
                emptied, places = hit.get(path, (False, None))
                if places is None:
                    left.append(path)
                elif not emptied:
                    # Whoever comes again after a crash writes the same file again.
                    url = f"{path.rpartition('/')[0]}/without-{digest([path, str(places)])}.parquet"
                    _write_without(session, path, condition, url)
                    left.append(url)
            folder = f"{catalogued.location}{window_path(window)}"
            new[value] = partition_input(described, value, _write_list(folder, left)) if left else None
        catalogued.switch(new, old)

    def _purge_marts(self, schema: str) -> int:
        """Removes what the older versions of a schema's tables are made of, and those versions."""
        missing = self._glue.exceptions.EntityNotFoundException
        names: list[str] = []
        with suppress(missing):
            pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=schema)
            names = [table["Name"] for page in pages for table in page["TableList"]]
        removed = 0
        for name in names:
            # One that dbt had for a moment only may be gone again.
            with suppress(missing):
                removed += self._purge_mart({"DatabaseName": schema, "TableName": name})
        return removed

    def _purge_mart(self, place: Mapping[str, str]) -> int:
        pages = self._glue.get_paginator("get_table_versions").paginate(**place)
        versions = [version for page in pages for version in page["TableVersions"]]
        # Asked after the versions: what dbt switches to from now on is none of them.
        shown = self._glue.get_table(DatabaseName=place["DatabaseName"], Name=place["TableName"])["Table"]
        removed = 0
        for version in versions:
            if version["VersionId"] == shown["VersionId"]:
                continue
            location = version["Table"]["StorageDescriptor"]["Location"]
            if location != shown["StorageDescriptor"]["Location"]:
                removed += remove_below(location, ())
            self._glue.delete_table_version(**place, VersionId=version["VersionId"])
        return removed

    def _tables(self, asset: Asset) -> dict[Table, Catalogued]:
        """Those of the two that are there."""
        staging, quarantine = catalogued_tables(self._settings, self._glue, asset)
        both: dict[Table, Catalogued] = {"staging": staging, "quarantine": quarantine}
        return {table: catalogued for table, catalogued in both.items() if catalogued.described() is not None}

    def _locations(self, asset: Asset, catalogued: Catalogued, windows: Collection[str] | None) -> dict[str, str]:
        """Where the list of each window is, or of each of these."""
        if windows is None:
            found = catalogued.locations()
        else:
            described = catalogued.partitions([partition_value(window, asset.window) for window in windows])
            found = {value: one["StorageDescriptor"]["Location"] for value, one in described.items()}
        return {partition_window(value, asset.window): location for value, location in found.items()}

    def _paths(self, asset: Asset, catalogued: Catalogued, windows: Collection[str] | None) -> list[str]:
        """The files of all windows, or of these."""
        locations = self._locations(asset, catalogued, windows)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [path for held in pool.map(listed_files, locations.values()) for path in held]

    @contextmanager
    def _session(self, asset: Asset, at: Positions) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session that may read the bucket, with the temporary table `gone`."""
        with duckdb_session() as session:
            let_read(session, self._settings.bucket)
            session.register("listed", listed_positions(asset, at))
            session.execute("create temp table gone as select * from listed")
            yield session


def _places(table: Table, rows: str) -> str:
    partition, offset = map(identifier, _POSITION[table])
    held = f"select _window, {partition} as _of, {offset} as _at from {rows}"
    return f'select _window, _of as partition, _at as "position" from ({held}) as _held'


def _write_without(session: duckdb.DuckDBPyConnection, path: str, condition: str, url: str) -> None:
    with written(url) as file:
        session.execute(
            f"copy (from read_parquet({literal(path)}) where not {condition}) to {literal(str(file))} "
            f"(format parquet, compression zstd)"
        )


def _write_list(folder: str, paths: Sequence[str]) -> str:
    """Lists the files below a folder, where the same ones always have the same place; a partition's location."""
    location = f"{folder}/{digest(paths)}/"
    write(f"{location}{LIST}", "".join(f"{path}\n" for path in paths).encode())
    return location


def _refusals(asset: Asset) -> AbstractContextManager[None]:
    return refusals(
        f"AWS, asked to forget rows of {asset.name},",
        "your credentials and what they may do with the staging databases, the marts' and the bucket",
    )
