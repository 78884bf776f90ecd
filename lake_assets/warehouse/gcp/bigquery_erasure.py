"""Erase single rows from BigQuery's tables, and from the files that were loaded into them.

A subject's value is a parameter of a query, which BigQuery does not write to its logs. Payloads of quarantine are
fetched, and DuckDB reads them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES, TableCounts, TableName, add_up
from lake_assets.catalog.windows import window_key
from lake_assets.compile.bigquery import (
    BigQueryTable,
    at_positions,
    bigquery_tables,
    parameter_types,
    removed_where,
    rows_by_partition,
    rows_by_window,
    rows_where,
    values_equal,
)
from lake_assets.duckdb_session import duckdb_session
from lake_assets.gcp import bigquery_client, bigquery_refusals, retry_policy, unless_missing
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import HeldRow, Positions, remove_conformed
from lake_assets.warehouse.gcp.bigquery import BigQuery
from lake_assets.warehouse.gcp.bigquery_client import BigQueryClient

if TYPE_CHECKING:
    from google.cloud.bigquery import ScalarQueryParameter

# Rows of quarantine in memory.
_BATCH_ROWS = 100_000


class BigQueryErasure:
    """An `Erasure` over BigQuery; `Erasure` documents each method.

    Rows are deleted by one statement for each table, quarantine's first.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gcp = settings.gcp
        self._warehouse = BigQuery(settings)

    @cached_property
    def _client(self) -> BigQueryClient:
        """Create the client late, because that looks for credentials."""
        return bigquery_client(self._gcp.project, self._gcp.location)

    def staged(self, asset: Asset, values: Mapping[str, str], positions: Positions) -> list[HeldRow]:
        with _refusals(asset):
            table = self._tables(asset).get("staging")
            if table is None:
                return []
            rows = self._at(asset, table, positions)
            with duckdb_session() as session:
                typed_values = session.execute(f"select {', '.join(values.values()) or 'null'}").fetchall()[0]
            # No row has a value that the contract cannot read as the field's type.
            if None not in typed_values:
                rows |= self._having(asset, table, dict(zip(values, typed_values, strict=True)))
            return sorted(rows, key=_order)

    def quarantined(self, asset: Asset, matching: Callable[[str], str], positions: Positions) -> list[HeldRow]:
        with _refusals(asset):
            table = self._tables(asset).get("quarantine")
            if table is None:
                return []
            matches = self._at(asset, table, positions)
            for windows in self._batches(asset, table):
                rows = self._warehouse.rows(asset, "quarantine", windows, ("_window", "partition", "offset", "payload"))
                with duckdb_session() as session:
                    session.register("quarantined", rows)
                    matches |= _rows(asset, session.execute(matching("quarantined")).fetchall())
            return sorted(matches, key=_order)

    def remove_rows(self, asset: Asset, positions: Positions) -> None:
        with _refusals(asset):
            tables = self._tables(asset)
            for table in (tables[name] for name in ("quarantine", "staging") if name in tables):
                for condition in at_positions(table, positions):
                    self._run(removed_where(table, condition))

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], TableCounts]:
        with _refusals(asset):
            tables = self._tables(asset)
            if not tables or not windows:
                return {}
            names = list(tables)
            rows_found = self._run(rows_by_partition(list(tables.values()), list(windows)))
            return add_up(
                ((window_key(start, asset.window), partition), names[int(number)], rows)
                for number, start, partition, rows in rows_found
            )

    def purge(self, asset: Asset, windows: Sequence[str], kept_files: Collection[str]) -> int:
        """Delete files of the bucket only: no older version of a table can be deleted."""
        return remove_conformed(self._settings, asset, windows, kept_files)

    def out_of_reach(self) -> list[str]:
        return [
            "BigQuery's time travel still shows tables as they were before for seven days, or for as many as their "
            "dataset's max_time_travel_hours says (two at least), and Google's fail-safe keeps them for seven more: "
            "that cannot be shortened."
        ]

    def _having(self, asset: Asset, table: BigQueryTable, values: Mapping[str, Any]) -> set[HeldRow]:
        from google.cloud.bigquery import ScalarQueryParameter

        if not values:
            return set()
        parameters = [
            ScalarQueryParameter(f"v{number}", kind, value)
            for number, (kind, value) in enumerate(
                zip(parameter_types(table, list(values)), values.values(), strict=True)
            )
        ]
        return _rows(asset, self._run(rows_where(table, values_equal(list(values))), parameters))

    def _at(self, asset: Asset, table: BigQueryTable, positions: Positions) -> set[HeldRow]:
        rows: set[HeldRow] = set()
        for condition in at_positions(table, positions):
            rows |= _rows(asset, self._run(rows_where(table, condition)))
        return rows

    def _batches(self, asset: Asset, quarantine: BigQueryTable) -> Iterator[list[str]]:
        """Yield the windows with rows in quarantine, in batches."""
        batch: list[str] = []
        rows = 0
        for _, start, bad in self._run(rows_by_window([quarantine], None)):
            if batch and rows + bad > _BATCH_ROWS:
                yield batch
                batch, rows = [], 0
            batch.append(window_key(start, asset.window))
            rows += bad
        if batch:
            yield batch

    def _tables(self, asset: Asset) -> dict[TableName, BigQueryTable]:
        """Return those of the two tables that exist."""
        tables = zip(TABLES, bigquery_tables(asset, {}), strict=True)
        return {name: table for name, table in tables if self._exists(table)}

    def _exists(self, table: BigQueryTable) -> bool:
        return unless_missing(lambda: self._client.get_table(table.title, retry=retry_policy())) is not None

    def _run(self, query: str, parameters: "Sequence[ScalarQueryParameter]" = ()) -> list[Sequence[Any]]:
        from google.cloud.bigquery import QueryJobConfig

        config = QueryJobConfig(query_parameters=list(parameters))
        rows = self._client.query_and_wait(query, job_config=config, retry=retry_policy(), job_retry=retry_policy())
        return [row.values() for row in rows]


def _rows(asset: Asset, rows: Sequence[Sequence[Any]]) -> set[HeldRow]:
    return {HeldRow(window_key(start, asset.window), (partition, offset)) for start, partition, offset in rows}


def _order(row: HeldRow) -> tuple[str, int, int]:
    return row.window, *row.position


def _refusals(asset: Asset) -> AbstractContextManager[None]:
    return bigquery_refusals(f"refuses a request for the tables of {asset.name}")
