"""Erase single rows from a DuckLake's tables, and from every file and snapshot that still contains them."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager

import duckdb

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES, TableCounts, TableName, add_up
from lake_assets.catalog.windows import window_key
from lake_assets.compile.forget import values_match
from lake_assets.compile.sql import identifier, literal
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import HeldRow, Positions, listed_positions, position_columns, remove_conformed
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.local.ducklake import tables_of
from lake_assets.warehouse.local.durable_commit import durable_transaction


class DuckLakeErasure:
    """An `Erasure` over DuckLake; `Erasure` documents each method.

    An instance keeps its session, which takes a tenth of a second of CPU to open, and serves one thread.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: duckdb.DuckDBPyConnection | None = None

    def staged(self, asset: Asset, values: Mapping[str, str], positions: Positions) -> list[HeldRow]:
        return self._find(asset, "staging", lambda _: _positions_sql(asset, "staging", values_match(values)), positions)

    def quarantined(self, asset: Asset, matching: Callable[[str], str], positions: Positions) -> list[HeldRow]:
        return self._find(asset, "quarantine", matching, positions)

    def remove_rows(self, asset: Asset, positions: Positions) -> None:
        with self._session(asset, positions) as session, durable_transaction(session, self._settings, asset):
            for table in _tables(session, asset):
                partition, offset = position_columns(table)
                session.execute(
                    f"delete from {_qualified(asset, table)} where _window in (select _window from erased_rows) "
                    f"and (_window, {partition}, {offset}) in (select (_window, partition, position) from erased_rows)"
                )

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], TableCounts]:
        counts: list[tuple[tuple[str, int], TableName, int]] = []
        with self._session(asset, {window: [(-1, -1)] for window in windows}) as session:
            for table in _tables(session, asset):
                rows = session.execute(
                    f"select _window, partition, count(*) from ({_positions_sql(asset, table)}) as held "
                    "where _window in (select _window from erased_rows) group by all"
                ).fetchall()
                for start, partition, count in rows:
                    counts.append(((window_key(start, asset.window), partition), table, count))
        return add_up(counts)

    def purge(self, asset: Asset, windows: Sequence[str], kept_files: Collection[str]) -> int:
        """Rewrite files with rows only marked as deleted, expire older snapshots, and narrow the statistics."""
        schema = literal(asset.staging_schema)
        with self._session(asset, {}) as session:
            names = [literal(asset.table_name(table)) for table in _tables(session, asset)]
            for name in names:
                session.execute(
                    f"call ducklake_flush_inlined_data('lake', schema_name => {schema}, table_name => {name})"
                )
                with durable_transaction(session, self._settings, asset):
                    session.execute(
                        f"call ducklake_rewrite_data_files('lake', {name}, schema => {schema}, delete_threshold => 0)"
                    )
            snapshots = session.execute("select snapshot_id from ducklake_snapshots('lake')").fetchall()
            if old := sorted(version for (version,) in snapshots)[:-1]:
                session.execute(f"call ducklake_expire_snapshots('lake', versions => {old})")
            removed = len(session.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)").fetchall())
            _narrow_statistics(session, asset)
            live = {
                file
                for name in names
                for (file,) in session.execute(
                    f"select data_file from ducklake_list_files('lake', {name}, schema => {schema})"
                ).fetchall()
            }
        return removed + remove_conformed(self._settings, asset, windows, {*live, *kept_files})

    def out_of_reach(self) -> list[str]:
        return []

    def _find(
        self, asset: Asset, table: TableName, matching: Callable[[str], str], positions: Positions
    ) -> list[HeldRow]:
        with self._session(asset, positions) as session:
            if table not in _tables(session, asset):
                return []
            rows = session.execute(
                f"select _window, partition, position from ({matching(_qualified(asset, table))}) union "
                f"select _window, partition, position from ({_positions_sql(asset, table)}) as held "
                "semi join erased_rows using (_window, partition, position) order by all"
            ).fetchall()
        return [HeldRow(window_key(start, asset.window), (partition, offset)) for start, partition, offset in rows]

    @contextmanager
    def _session(self, asset: Asset, positions: Positions) -> Generator[duckdb.DuckDBPyConnection]:
        """Open a session on the lake with the temporary table `erased_rows`."""
        session = self._kept or connect(self._settings, serving=False)
        self._kept = None
        try:
            session.register("listed", listed_positions(asset, positions))
            session.execute("create or replace temp table erased_rows as select * from listed")
            yield session
        except BaseException:
            session.close()
            raise
        self._kept = session


def _narrow_statistics(session: duckdb.DuckDBPyConnection, asset: Asset) -> None:
    """Narrow the statistics, since DuckLake keeps the smallest and largest value a column ever had: an erased value may
    be one.

    They become those of the remaining files; unknown when one of these has no statistics.
    """
    catalog = "__ducklake_metadata_lake.ducklake"
    columns = session.execute(
        f"select table_id, column_id, column_type from {catalog}.ducklake_column as c "
        f"join {catalog}.ducklake_table as t using (table_id) join {catalog}.ducklake_schema as s using (schema_id) "
        f"join {catalog}.ducklake_table_column_stats using (table_id, column_id) "
        "where schema_name = ? and list_contains(?, table_name) "
        "and c.end_snapshot is null and t.end_snapshot is null and s.end_snapshot is null",
        [asset.staging_schema, [asset.table_name(table) for table in TABLES]],
    ).fetchall()
    for table, column, kind in columns:
        (bounds,) = session.execute(
            "select if(known, arg_min(min_value, try_cast(min_value as KIND)), null), "
            "if(known, arg_max(max_value, try_cast(max_value as KIND)), null) from (select *, bool_and(coalesce("
            "min_value is not null and max_value is not null or null_count = value_count, false)) over () as known "
            f"from {catalog}.ducklake_data_file as f left join {catalog}.ducklake_file_column_stats as s "
            f"on s.data_file_id = f.data_file_id and column_id = {column} "
            f"where f.table_id = {table} and f.end_snapshot is null) group by known".replace("KIND", kind)
        ).fetchall() or [(None, None)]
        session.execute(
            f"update {catalog}.ducklake_table_column_stats set min_value = ?, max_value = ? "
            f"where table_id = {table} and column_id = {column}",
            list(bounds),
        )


def _tables(session: duckdb.DuckDBPyConnection, asset: Asset) -> list[TableName]:
    """Return those of the two tables that exist."""
    names = tables_of(session, asset.staging_schema)
    return [table for table in TABLES if asset.table_name(table) in names]


def _positions_sql(asset: Asset, table: TableName, condition: str = "true") -> str:
    partition, offset = position_columns(table)
    # The condition names a contract's fields: in its scope no other name may collide with one.
    source = f"select _window, {partition} as _of, {offset} as _at from {_qualified(asset, table)} where {condition}"
    return f"select _window, _of as partition, _at as position from ({source}) as _held"


def _qualified(asset: Asset, table: TableName) -> str:
    return f"lake.{identifier(asset.staging_schema)}.{identifier(asset.table_name(table))}"
