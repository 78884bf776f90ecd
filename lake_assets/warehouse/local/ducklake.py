"""The embedded warehouse: DuckLake tables whose data files are conform's Parquet files."""

import re
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb
import psycopg

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES, TableCounts, TableName, add_up
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.catalog.windows import window_key, window_start
from lake_assets.compile.ddl import QUARANTINE, Column, create_table, staging_columns
from lake_assets.compile.reasons import reasons
from lake_assets.compile.sql import identifier, literal
from lake_assets.errors import Unavailable, Unreadable
from lake_assets.select_syntax import NotASelect, parse_select
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import attach, connect, lock_session
from lake_assets.warehouse.local.durable_commit import durable_transaction
from lake_assets.warehouse.results import QueryError, QueryResult, Reason, limit_rows

if TYPE_CHECKING:
    import pyarrow

# Assets whose tables one transaction makes.
_ASSETS_AT_ONCE = 200
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\s", re.IGNORECASE)
# Functions whose argument is another statement or another database.
_RUNS_TEXT = re.compile(r"postgres_\w+|query|query_table|json_execute_serialized_sql")
# Types by column, by schema and table.
_Columns = dict[tuple[str, str], dict[str, str]]


class DuckLake:
    """A `Warehouse` over DuckLake; `Warehouse` documents each method. One instance serves one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: duckdb.DuckDBPyConnection | None = None

    def ensure(self, asset: Asset) -> list[str]:
        with self._session() as session:
            return self._make(session, [asset]).get(asset.name, [])

    def missing(self, asset: Asset) -> list[str]:
        return self.missing_by_asset([asset]).get(asset.name, [])

    def missing_by_asset(self, assets: Sequence[Asset]) -> dict[str, list[str]]:
        with self._clear_errors():
            # A new session for each call takes a tenth of a second of CPU.
            self._reader = self._reader or connect(self._settings, serving=False)
            columns = _columns(self._reader, assets)
            found = {asset.name: [sentence for sentence, _ in _differences(columns, asset)] for asset in assets}
            return {name: sentences for name, sentences in found.items() if sentences}

    def create(self, assets: Sequence[Asset]) -> None:
        with self._session() as session:
            # Each change of tables has the next statement read the whole catalog again, so they are made together.
            for start in range(0, len(assets), _ASSETS_AT_ONCE):
                self._make(session, assets[start : start + _ASSETS_AT_ONCE])

    def _make(self, session: duckdb.DuckDBPyConnection, assets: Sequence[Asset]) -> dict[str, list[str]]:
        """Make what the tables lack, in one transaction. Return the sentences by asset."""
        columns = _columns(session, assets)
        found = {asset.name: (asset, statements) for asset in assets if (statements := _differences(columns, asset))}
        if found:
            with _transaction(session):
                for asset, statements in found.values():
                    session.execute(f"create schema if not exists lake.{identifier(asset.staging_schema)}")
                    for _, statement in statements:
                        session.execute(statement)
        return {name: [sentence for sentence, _ in statements] for name, (_, statements) in found.items()}

    def drop(self, asset: Asset) -> None:
        schema = asset.staging_schema
        with self._session() as session, _transaction(session):
            for table in (asset.name, asset.quarantine_table):
                session.execute(f"drop table if exists {_qualified(asset, table)}")
            # Other versions of the dataset have their tables in this schema, too.
            if not tables_of(session, schema):
                session.execute(f"drop schema if exists lake.{identifier(schema)}")

    def replace_windows(self, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
        starts = _starts(asset, [output.window for output in outputs])
        staging, quarantine = _qualified(asset, asset.name), _qualified(asset, asset.quarantine_table)
        bad_files = [path for output in outputs for path in output.quarantine_files]
        with self._session() as session, durable_transaction(session, self._settings, asset):
            session.execute(f"delete from {staging} where _window in ({starts})")
            for output in outputs:
                for path in output.good_files:
                    # A restored file may be older than the newest columns.
                    session.execute(
                        f"call ducklake_add_data_files('lake', {literal(asset.name)}, {literal(path)}, "
                        f"schema => {literal(asset.staging_schema)}, allow_missing => true)"
                    )
            # A row's `first_seen` survives every later judgement of its window.
            session.execute(
                f'create or replace temp table known as select topic, partition, "offset", first_seen '
                f"from {quarantine} where _window in ({starts})"
            )
            session.execute(f"delete from {quarantine} where _window in ({starts})")
            if bad_files:
                listed = ", ".join(literal(path) for path in bad_files)
                session.execute(f"""\
insert into {quarantine}
select bad.* replace (coalesce(known.first_seen, bad.first_seen) as first_seen)
from read_parquet([{listed}]) as bad
left join known using (topic, partition, "offset")""")

    def remove_windows(self, asset: Asset, table: TableName, windows: Sequence[str]) -> None:
        if windows:
            name = asset.table_name(table)
            with self._session() as session, durable_transaction(session, self._settings, asset):
                session.execute(f"delete from {_qualified(asset, name)} where _window in ({_starts(asset, windows)})")

    def remove_old_states(self, before: datetime, spans: Sequence[tuple[datetime, datetime]]) -> int:
        with self._session() as session:
            snapshots = session.execute(
                "select snapshot_id, snapshot_time::timestamptz from ducklake_snapshots('lake') order by snapshot_id"
            ).fetchall()
            needed = {
                version
                for low, high in [(before, snapshots[-1][1]), *spans]
                for version in _between(snapshots, low, high)
            }
            if old := [version for version, _ in snapshots[:-1] if version not in needed]:
                session.execute(f"call ducklake_expire_snapshots('lake', versions => {old})")
            # Otherwise DuckLake would delete a file that the table references again.
            metadata = "__ducklake_metadata_lake.ducklake"
            session.execute(
                f"delete from {metadata}.ducklake_files_scheduled_for_deletion where path in "
                f"(select path from {metadata}.ducklake_data_file where end_snapshot is null)"
            )
            return len(session.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)").fetchall())

    def window_rows(self, asset: Asset, windows: Sequence[str] | None = None) -> dict[str, TableCounts]:
        if windows is not None and not windows:
            return {}
        condition = "" if windows is None else f"where _window in ({_starts(asset, windows)}) "
        with self._session() as session:
            return _window_rows(session, asset, (asset.name, asset.quarantine_table), condition)

    def window_rows_by_asset(self, assets: Sequence[Asset]) -> dict[str, dict[str, TableCounts]]:
        with self._session() as session:
            filled = _filled_tables(session)
            return {
                asset.name: _window_rows(session, asset, filled & {asset.name, asset.quarantine_table}, "")
                for asset in assets
            }

    def reasons(self, assets: Sequence[Asset]) -> list[Reason]:
        if not assets:
            return []
        with self._session() as session:
            filled = _filled_tables(session) if len(assets) > 1 else {asset.quarantine_table for asset in assets}
            queries = reasons(
                (asset, _errors(_qualified(asset, asset.quarantine_table)))
                for asset in assets
                if asset.quarantine_table in filled
            )
            return [Reason(*row) for query in queries for row in session.execute(query).fetchall()]

    def staging(
        self, session: duckdb.DuckDBPyConnection, asset: Asset, columns: Sequence[str], low: datetime, high: datetime
    ) -> str:
        attach(session, self._settings)
        return _qualified(asset, asset.name)

    def query(self, query: str, limit: int | None) -> QueryResult:
        """Run a query in DuckDB, with `lake` (staging, quarantine) and `serving` (Postgres) attached read-only.

        It is one SELECT as role `engineer`, which may only read, in a session that is locked: neither changes anything,
        here or on this machine.
        """
        _refuse_all_but_reading(query)
        session = connect(self._settings, read_only=True, role="engineer")
        try:
            _set_search_path(session)
            lock_session(session, self._settings.bucket)
            result = session.execute(query)
            if not result.description:
                return QueryResult((), (), more=False)
            rows = result.fetchall() if limit is None else result.fetchmany(limit + 1)
            return limit_rows([column[0] for column in result.description], rows, limit)
        except duckdb.Error as error:
            message = " ".join(str(error).split("\nLINE ")[0].split())
            raise QueryError(message if message.endswith("?") else f"{message.rstrip('.!')}.") from error
        finally:
            session.close()

    def rows(self, asset: Asset, table: TableName, windows: Sequence[str], columns: Sequence[str]) -> "pyarrow.Table":
        name = asset.table_name(table)
        # SQL does not allow an empty list.
        where = f"_window in ({_starts(asset, windows)})" if windows else "false"
        query = f"select {', '.join(map(identifier, columns))} from {_qualified(asset, name)} where {where}"
        with self._session() as session:
            return session.execute(query).to_arrow_table()

    @contextmanager
    def _session(self) -> Generator[duckdb.DuckDBPyConnection]:
        with connect(self._settings, serving=False) as session, self._clear_errors():
            yield session

    @contextmanager
    def _clear_errors(self) -> Generator[None]:
        try:
            yield
        except (duckdb.IOException, duckdb.TransactionException) as error:
            kind = Unreadable if isinstance(error, duckdb.IOException) and self._postgres_answers() else Unavailable
            raise kind(
                f"the staging tables could not be used ({str(error).splitlines()[0]}): check that Postgres answers "
                f"(`lake status`) and that the bucket {self._settings.bucket} has all files, has room and lets this "
                "process write, and try again."
            ) from error

    def _postgres_answers(self) -> bool:
        """Return whether an error is of a file; DuckDB has one class for files and for the catalog in Postgres."""
        try:
            psycopg.connect(self._settings.postgres.conninfo("lake")).close()
        except psycopg.OperationalError:
            return False
        return True


def _between(snapshots: Sequence[tuple[int, datetime]], low: datetime, high: datetime) -> Iterator[int]:
    """Yield the snapshots that were the newest at some time of a span."""
    for index, (version, began) in enumerate(snapshots):
        ended = snapshots[index + 1][1] if index + 1 < len(snapshots) else high
        if began <= high and ended >= low:
            yield version


def _set_search_path(session: duckdb.DuckDBPyConnection) -> None:
    """Set the search path, so that `leads_staging.leads` and `funnel_data_mart.funnel` need no `lake.` and `serving.`.

    The schemas come from Postgres, because DuckDB would load the description of every table to list them.
    """
    schemas = session.execute(
        """
        from postgres_query('serving', '
          select ''lake."'' || schema_name || ''"'' as name from ducklake.ducklake_schema where end_snapshot is null
          union all
          select ''serving."'' || nspname || ''"'' from pg_namespace where nspname not like ''pg\\_%''
          order by 1
        ')
        """
    ).fetchall()
    session.execute(f"set search_path = '{','.join(name for (name,) in schemas)}'")


def _refuse_all_but_reading(query: str) -> None:
    """Raise QueryError unless the query is one SELECT, or EXPLAIN of one, without functions that run other text."""
    try:
        select = parse_select(_EXPLAIN.sub("", query, count=1))
    except NotASelect as error:
        raise QueryError(f"`lake sql` runs one query that reads: {error}.") from None
    for function in select.functions:
        if _RUNS_TEXT.fullmatch(function.name):
            raise QueryError(
                f"`lake sql` does not run {function.name} (line {function.line}): name the table, "
                "for example serving.metrics.sales_by_region."
            )


def _errors(table: str) -> str:
    """Return a quarantine table as `reasons` reads it."""
    broken = 'select _window, (partition, "offset") as row_id, unnest(errors) as error'
    return f"({broken} from {table})"


def _qualified(asset: Asset, table: str) -> str:
    return f"lake.{identifier(asset.staging_schema)}.{identifier(table)}"


def _starts(asset: Asset, windows: Sequence[str]) -> str:
    return ", ".join(f"timestamptz {literal(window_start(w, asset.window).isoformat())}" for w in windows)


def _window_rows(
    session: duckdb.DuckDBPyConnection, asset: Asset, tables: Collection[str], condition: str
) -> dict[str, TableCounts]:
    """Count the rows of the asset's tables that meet the condition, by window."""
    counts: list[tuple[str, TableName, int]] = []
    for table in TABLES:
        name = asset.table_name(table)
        if name in tables:
            query = f"select _window, count(*) from {_qualified(asset, name)} {condition}group by _window"
            for start, rows in session.execute(query).fetchall():
                counts.append((window_key(start, asset.window), table, rows))
    return add_up(counts)


def _filled_tables(session: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of tables with files: opening one without, to find that it has none, takes milliseconds."""
    rows = session.execute("select table_name from ducklake_table_info('lake') where file_count > 0").fetchall()
    return {name for (name,) in rows}


def _columns(session: duckdb.DuckDBPyConnection, assets: Sequence[Asset]) -> _Columns:
    """Read the columns of the assets' tables in one statement."""
    # No parameters: DuckDB would import pandas for them, which takes half a second.
    condition = f"and schema_name = {literal(assets[0].staging_schema)} " if len(assets) == 1 else ""
    columns: _Columns = {}
    for schema, table, column, kind in session.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        f"where database_name = 'lake' {condition}order by column_index"
    ).fetchall():
        columns.setdefault((schema, table), {})[column] = kind
    return columns


def _differences(existing_columns: _Columns, asset: Asset) -> list[tuple[str, str]]:
    """Return the tables' differences as (sentence, statement); columns are only added or widened, never dropped."""
    differences: list[tuple[str, str]] = []
    tables: tuple[tuple[str, tuple[Column, ...]], ...] = (
        (asset.name, staging_columns(asset)),
        (asset.quarantine_table, QUARANTINE),
    )
    for table, columns in tables:
        existing = existing_columns.get((asset.staging_schema, table), {})
        name = f"{asset.staging_schema}.{table}"
        if not existing:
            differences.append((f"create table {name}", create_table(_qualified(asset, table), columns)))
            continue
        for column in columns:
            if column.name not in existing:
                statement = f"alter table {_qualified(asset, table)} add column {identifier(column.name)} {column.type}"
                differences.append((f"add column {name}.{column.name} {column.type}", statement))
            elif _differs(existing[column.name], column.type):
                statement = (
                    f"alter table {_qualified(asset, table)} alter column {identifier(column.name)} type {column.type}"
                )
                differences.append((f"widen column {name}.{column.name} to {column.type}", statement))
    return differences


def tables_of(session: duckdb.DuckDBPyConnection, schema: str) -> set[str]:
    """Return the names of a schema's tables.

    Not from `duckdb_tables()`: that also counts the rows of every table of the lake, with a query to Postgres each.
    """
    names = session.execute(
        "select distinct table_name from duckdb_columns() where database_name = 'lake' "
        f"and schema_name = {literal(schema)}"
    ).fetchall()
    return {name for (name,) in names}


def _differs(existing: str, declared: str) -> bool:
    # Within one major version only decimals change their type: the compatibility rules let them grow, nothing else.
    return declared.startswith("decimal") and existing.lower().replace(" ", "") != declared.replace(" ", "")


@contextmanager
def _transaction(session: duckdb.DuckDBPyConnection) -> Generator[None]:
    session.execute("begin")
    try:
        yield
    except BaseException:
        session.execute("rollback")
        raise
    session.execute("commit")
