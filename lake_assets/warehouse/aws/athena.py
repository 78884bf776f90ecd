"""The warehouse on AWS: Athena reads conformed Parquet in place, and Glue lists the files of each window."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lake_assets.aws import client, refusals
from lake_assets.bucket import let_read, read, write, written
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES, TableCounts, TableName, add_up
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.catalog.windows import window_path, windows_between
from lake_assets.compile.ddl import QUARANTINE, create_table, staging_columns
from lake_assets.compile.glue import (
    differences,
    glue_tables,
    partition_input,
    partition_value,
    partition_window,
    quarantine_errors,
    reads_only,
    rows_by_window,
)
from lake_assets.compile.lake_formation import classification_tag, layer_tag, staging_tags
from lake_assets.compile.reasons import reasons
from lake_assets.compile.sql import identifier, literal
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError, Unavailable
from lake_assets.settings import Settings
from lake_assets.warehouse.aws.athena_query import run_query
from lake_assets.warehouse.aws.glue import Catalogued
from lake_assets.warehouse.aws.lake_formation import LakeFormation
from lake_assets.warehouse.protocol import Warehouse
from lake_assets.warehouse.results import QueryError, QueryResult, Reason, limit_rows, load_temp_table

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

# Glue's description of partitions, by value of the partition key; None for one that must not exist.
Partitions = Mapping[str, Mapping[str, Any] | None]
# The one file of a partition's location.
LIST = "files"
# Windows that one query counts: its text may have 256 KB.
_WINDOWS_PER_QUERY = 2_000
_AT_ONCE = 16


class Athena(Warehouse):
    """A `Warehouse` over Glue and Athena; `Warehouse` documents each method.

    A window is published in three steps. First its files are listed in the bucket, where no reader uses the lists yet.
    Then its partition of quarantine is pointed to its list, then the one of staging. For readers each partition changes
    atomically, and a running query keeps the files it began with, since no file is ever overwritten or deleted.

    Between the last two steps the window's two tables are of different runs: marts see old or new rows, whole, but a
    row may be in both tables or, after a replay, in none. When a step is refused, earlier ones are switched back. After
    a crash, or when even that is impossible, the window is still in the queue, and the next run publishes both again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._glue = client("glue")

    def ensure(self, asset: Asset) -> list[str]:
        sentences = self.missing(asset)
        if sentences:
            with _refusals(f"AWS Glue (tables of {asset.name})"):
                self._ensure_database(asset)
                for table in self._tables(asset).values():
                    table.ensure()
                if self._settings.analysts:
                    formation = LakeFormation()
                    formation.ensure_tags(filter(None, (layer_tag(), classification_tag(asset))))
                    formation.tag(formation.untagged(staging_tags(asset)))
        return sentences

    def missing(self, asset: Asset) -> list[str]:
        with _refusals(f"AWS Glue (tables of {asset.name})"):
            sentences = [
                s for table in self._tables(asset).values() for s in differences(table.described(), table.table)
            ]
            if self._settings.analysts and LakeFormation().untagged(staging_tags(asset)):
                sentences.append(f"tag {asset.staging_schema} by layer and classification")
            return sentences

    def drop(self, asset: Asset) -> None:
        """Drop the tables. The database stays: it costs nothing, and `ensure` reuses it."""
        with _refusals(f"AWS Glue (dropping the tables of {asset.name})"):
            for table in self._tables(asset).values():
                with suppress(self._glue.exceptions.EntityNotFoundException):
                    self._glue.delete_table(DatabaseName=table.table.database, Name=table.table.name)

    def replace_windows(self, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
        if not outputs:
            return
        tables = self._tables(asset)
        staging, quarantine = tables["staging"], tables["quarantine"]
        values = {partition_value(output.window, asset.window): output for output in outputs}
        subject = _named(asset, outputs)
        with _publishing(subject):
            bad_files = {value: output.quarantine_files for value, output in values.items()}
            good_files = {value: output.good_files for value, output in values.items()}
            steps = (
                (quarantine, *_listed(asset, quarantine, bad_files, keep_first_seen=True)),
                (staging, *_listed(asset, staging, good_files)),
            )
        try:
            for table, new, old in steps:
                with _publishing(subject):
                    table.switch(new, old)
        except LakeError:
            for table, new, old in reversed(steps):
                with suppress(LakeError), _publishing(subject):
                    table.switch({value: _input(old.get(value)) for value in new}, new)
            raise

    def remove_windows(self, asset: Asset, table: TableName, windows: Sequence[str]) -> None:
        catalogued = self._tables(asset)[table]
        values = [partition_value(window, asset.window) for window in windows]
        with _refusals(f"AWS Glue (removing rows of {asset.name})"):
            catalogued.switch(dict.fromkeys(values), catalogued.partitions(values))

    def remove_old_states(self, before: datetime, spans: Sequence[tuple[datetime, datetime]]) -> int:
        return 0

    def window_rows(self, asset: Asset, windows: Sequence[str] | None = None) -> dict[str, TableCounts]:
        """Count rows in Athena by the files' footers, so that almost no data is scanned."""
        if windows is None:
            queries = [rows_by_window(asset, None)]
        else:
            values = [partition_value(window, asset.window) for window in windows]
            chunks = (values[first : first + _WINDOWS_PER_QUERY] for first in range(0, len(values), _WINDOWS_PER_QUERY))
            queries = [rows_by_window(asset, chunk) for chunk in chunks]
        return add_up(
            (partition_window(str(start), asset.window), TABLES[int(index)], int(rows))
            for query in queries
            for index, start, rows in run_query(self._settings, query).rows
        )

    def reasons(self, assets: Sequence[Asset]) -> list[Reason]:
        queries = reasons((asset, quarantine_errors(asset)) for asset in assets)
        return [Reason(*row) for query in queries for row in run_query(self._settings, query).rows]

    def staging(
        self, session: "DuckDBPyConnection", asset: Asset, columns: Sequence[str], low: datetime, high: datetime
    ) -> str:
        rows = self.rows(asset, "staging", windows_between(low, high, asset.window), columns)
        return load_temp_table(session, asset, rows)

    def query(self, query: str, limit: int | None) -> QueryResult:
        """Run a query in Athena's SQL, in the lake's workgroup."""
        if not reads_only(query):
            raise QueryError("queries are read-only: begin it with select, with, show or describe.")
        result = run_query(self._settings, query, None if limit is None else limit + 1)
        return limit_rows(result.columns, result.rows, limit)

    def rows(self, asset: Asset, table: TableName, windows: Sequence[str], columns: Sequence[str]) -> "pyarrow.Table":
        """Read the rows from the windows' files without Athena."""

        catalogued = self._tables(asset)[table]
        with _refusals(f"AWS Glue (rows of {asset.name})"), duckdb_session() as session:
            partitions = catalogued.partitions([partition_value(window, asset.window) for window in windows])
            lists = [partition["StorageDescriptor"]["Location"] for partition in partitions.values()]
            paths = [path for location in lists for path in listed_files(location)]
            let_read(session, self._settings.bucket)
            relation = reading(session, asset, table, paths)
            query = f"select {', '.join(map(identifier, columns))} from {relation}"
            return session.execute(query).to_arrow_table()

    def _tables(self, asset: Asset) -> dict[TableName, Catalogued]:
        return catalogued_tables(self._settings, self._glue, asset)

    def _ensure_database(self, asset: Asset) -> None:
        description = f"Staging and quarantine of {asset.dataset}. Private to the lake: analysts read marts."
        with suppress(self._glue.exceptions.AlreadyExistsException):
            self._glue.create_database(DatabaseInput={"Name": asset.staging_schema, "Description": description})


def catalogued_tables(settings: Settings, glue: Any, asset: Asset) -> dict[TableName, Catalogued]:
    """Return staging and quarantine; `glue` is boto3's client."""
    lists, files = f"{settings.staging_data}/{asset.staging_schema}", settings.conformed
    return {
        name: Catalogued(glue, table, f"{lists}/{table.name}/", f"{files}/{asset.dataset}/")
        for name, table in zip(TABLES, glue_tables(asset), strict=True)
    }


def listed_files(location: str) -> list[str]:
    """Return the files in the list at a partition's location."""
    return (read(f"{location}{LIST}") or b"").decode().splitlines()


def reading(session: "DuckDBPyConnection", asset: Asset, table: TableName, paths: Sequence[str]) -> str:
    """Return SQL of a relation with all rows of these files of a table, for a session that can read the bucket."""
    # Files are as old as their windows: they may lack newer columns, and have removed ones.
    declared = f"declared_{table}"
    session.execute(create_table(declared, staging_columns(asset) if table == "staging" else QUARANTINE))
    if not paths:
        return declared
    listed = ", ".join(map(literal, paths))
    return f"(from {declared} union all by name from read_parquet([{listed}], union_by_name = true))"


def _listed(
    asset: Asset, table: Catalogued, files: Mapping[str, Sequence[str]], *, keep_first_seen: bool = False
) -> tuple[Partitions, Partitions]:
    """Return the changed partitions for these files, after writing their lists; and the existing partitions.

    Raises LakeError if the table does not exist.
    """
    described = table.described()
    if described is None:
        raise LakeError(f"there is no table {table.table.title}: make it with `lake apply`.")
    old = table.partitions([*files])
    new: dict[str, Mapping[str, Any] | None] = {}
    lists: dict[str, bytes] = {}
    for value, paths in files.items():
        if not paths:
            new[value] = None
            continue
        folder = f"{table.location}{window_path(partition_window(value, asset.window))}"
        location = f"{folder}/{digest(paths)}/"
        before = old[value]["StorageDescriptor"]["Location"] if value in old else None
        if location == before:
            continue
        if keep_first_seen and before is not None:
            paths = [_with_first_seen(paths, before, f"{folder}/first_seen")]
        new[value] = partition_input(described, value, location)
        lists[f"{location}{LIST}"] = "".join(f"{path}\n" for path in paths).encode()
    with ThreadPoolExecutor(_AT_ONCE) as writers:
        for upload in [writers.submit(write, url, content) for url, content in lists.items()]:
            upload.result()
    return new, old


def _with_first_seen(files: Sequence[str], before: str, folder: str) -> str:
    """Copy quarantine files: a row that is also in the list at `before` keeps its `first_seen`."""

    earlier_files = listed_files(before)
    url = f"{folder}/{digest([*files, before])}.parquet"
    with duckdb_session() as session, written(url) as path:
        let_read(session, url)
        session.execute(f"""\
copy (
  select bad.* replace (coalesce(known.first_seen, bad.first_seen) as first_seen)
  from read_parquet([{", ".join(map(literal, files))}]) as bad
  left join read_parquet([{", ".join(map(literal, earlier_files))}]) as known using (topic, partition, "offset")
) to {literal(str(path))} (format parquet, compression zstd)""")
    return url


def digest(names: Sequence[str]) -> str:
    """Return a digest of the names: publishing the same files twice changes nothing."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _input(partition: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a partition of Glue's response in the form that Glue accepts."""
    if partition is None:
        return None
    return {key: partition[key] for key in ("Values", "StorageDescriptor", "Parameters") if key in partition}


def _named(asset: Asset, outputs: Sequence[WindowOutput]) -> str:
    windows = sorted(output.window for output in outputs)
    span = windows[0] if len(windows) == 1 else f"{len(windows)} windows from {windows[0]} to {windows[-1]}"
    return f"{asset.name} ({span})"


@contextmanager
def _publishing(subject: str) -> Generator[None]:
    """Name the unpublished windows in every error. Raises LakeError, Unavailable."""
    try:
        with _refusals("AWS Glue"):
            yield
    except LakeError as error:
        raise type(error)(f"{subject} was not published: {error}") from error
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(f"{subject} was not published, because the bucket cannot be used: {reason}") from error


def _refusals(service: str) -> AbstractContextManager[None]:
    return refusals(service, "your credentials and their rights on the staging databases")
