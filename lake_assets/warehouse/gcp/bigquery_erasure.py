"""Takes single rows out of BigQuery's tables, and out of the files that were loaded into them.

What a person's field must have is a parameter of a query, whose value BigQuery does not write to its logs. Payloads of
quarantine are fetched, and DuckDB reads them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lake_assets.catalog.model import Asset
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
from lake_assets.gcp import bigquery_client, bigquery_refusals, patience, unless_missing
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import HeldRow, Positions, remove_conformed
from lake_assets.warehouse.gcp.bigquery import BigQuery
from lake_assets.warehouse.protocol import Table

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, ScalarQueryParameter

# Rows of quarantine that are held in memory.
_AT_ONCE = 100_000


class BigQueryErasure:
    """An `Erasure` over BigQuery; see `Erasure` for what each method promises. Rows go in one statement for each
    table, quarantine's first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gcp = settings.gcp
        self._warehouse = BigQuery(settings)

    @cached_property
    def _client(self) -> "Client":
        """Made late, because making it looks for credentials."""
        return bigquery_client(self._gcp.project, self._gcp.location)

    def staged(self, asset: Asset, values: Mapping[str, str], at: Positions) -> list[HeldRow]:
        with _asked(asset):
            table = self._tables(asset).get("staging")
            if table is None:
                return []
            found = self._at(asset, table, at)
            with duckdb_session() as session:
                read = session.execute(f"select {', '.join(values.values()) or 'null'}").fetchall()[0]
            # What the contract cannot read as the field's type, no row has.
            if None not in read:
                found |= self._having(asset, table, dict(zip(values, read, strict=True)))
            return sorted(found, key=_order)

    def quarantined(self, asset: Asset, matching: Callable[[str], str], at: Positions) -> list[HeldRow]:
        with _asked(asset):
            table = self._tables(asset).get("quarantine")
            if table is None:
                return []
            found = self._at(asset, table, at)
            for windows in self._batches(asset, table):
                rows = self._warehouse.rows(asset, "quarantine", windows, ("_window", "partition", "offset", "payload"))
                with duckdb_session() as session:
                    session.register("quarantined", rows)
                    found |= _rows(asset, session.execute(matching("quarantined")).fetchall())
            return sorted(found, key=_order)

    def remove_rows(self, asset: Asset, at: Positions) -> None:
        with _asked(asset):
            tables = self._tables(asset)
            for table in (tables[name] for name in ("quarantine", "staging") if name in tables):
                for condition in at_positions(table, at):
                    self._ask(removed_where(table, condition))

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], tuple[int, int]]:
        found: dict[tuple[str, int], tuple[int, int]] = {}
        with _asked(asset):
            tables = self._tables(asset)
            if not tables or not windows:
                return {}
            names = list(tables)
            for number, start, partition, rows in self._ask(rows_by_partition(list(tables.values()), list(windows))):
                place = window_key(start, asset.window), partition
                good, bad = found.get(place, (0, 0))
                found[place] = (good + rows, bad) if names[number] == "staging" else (good, bad + rows)
        return found

    def purge(self, asset: Asset, windows: Sequence[str], kept: Collection[str]) -> int:
        """Files of the bucket only: no older version of a table can be removed."""
        return remove_conformed(self._settings, asset, windows, kept)

    def out_of_reach(self) -> list[str]:
        return [
            "BigQuery's time travel still shows tables as they were before for seven days, or for as many as their "
            "dataset's max_time_travel_hours says (two at least), and Google's fail-safe keeps them for seven more: "
            "nobody can remove that sooner."
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
        return _rows(asset, self._ask(rows_where(table, values_equal(list(values))), parameters))

    def _at(self, asset: Asset, table: BigQueryTable, at: Positions) -> set[HeldRow]:
        found: set[HeldRow] = set()
        for condition in at_positions(table, at):
            found |= _rows(asset, self._ask(rows_where(table, condition)))
        return found

    def _batches(self, asset: Asset, quarantine: BigQueryTable) -> Iterator[list[str]]:
        """The windows that have rows in quarantine, a few at a time."""
        batch: list[str] = []
        rows = 0
        for _, start, bad in self._ask(rows_by_window([quarantine], None)):
            if batch and rows + bad > _AT_ONCE:
                yield batch
                batch, rows = [], 0
            batch.append(window_key(start, asset.window))
            rows += bad
        if batch:
            yield batch

    def _tables(self, asset: Asset) -> dict[Table, BigQueryTable]:
        """Those of the two that are there."""
        staging, quarantine = bigquery_tables(asset, {})
        both: dict[Table, BigQueryTable] = {"staging": staging, "quarantine": quarantine}
        return {name: table for name, table in both.items() if self._is_there(table)}

    def _is_there(self, table: BigQueryTable) -> bool:
        return unless_missing(lambda: self._client.get_table(table.title, retry=patience())) is not None

    def _ask(self, query: str, parameters: "Sequence[ScalarQueryParameter]" = ()) -> list[Sequence[Any]]:
        from google.cloud.bigquery import QueryJobConfig

        config = QueryJobConfig(query_parameters=list(parameters))
        found = self._client.query_and_wait(query, job_config=config, retry=patience(), job_retry=patience())
        return [row.values() for row in found]


def _rows(asset: Asset, found: Sequence[Sequence[Any]]) -> set[HeldRow]:
    return {HeldRow(window_key(start, asset.window), (partition, offset)) for start, partition, offset in found}


def _order(row: HeldRow) -> tuple[str, int, int]:
    return row.window, *row.position


def _asked(asset: Asset) -> AbstractContextManager[None]:
    return bigquery_refusals(f"refuses what was asked for the tables of {asset.name}")
