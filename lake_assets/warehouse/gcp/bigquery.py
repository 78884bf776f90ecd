"""The warehouse on Google Cloud: load jobs put conformed Parquet into the windows' partitions of BigQuery tables."""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lake_assets.bucket import let_read, remove, written
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES, TableCounts, TableName, add_up
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.catalog.windows import window_key, windows_between
from lake_assets.compile.bigquery import (
    BigQueryTable,
    Described,
    bigquery_tables,
    closed,
    dataset_differences,
    dataset_resource,
    differences,
    emptied,
    is_abandoned,
    load_configuration,
    load_name,
    merged_fields,
    quarantine_errors,
    rows_by_window,
    rows_of,
    table_resource,
    widenings,
)
from lake_assets.compile.reasons import reasons
from lake_assets.compile.sql import literal
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError, Unavailable
from lake_assets.gcp import bigquery_client, bigquery_refusals, is_transient, retry_policy, unless_missing
from lake_assets.settings import Settings
from lake_assets.warehouse.gcp.bigquery_client import BigQueryClient, Rows, from_description
from lake_assets.warehouse.protocol import Warehouse
from lake_assets.warehouse.publication import announce
from lake_assets.warehouse.results import QueryError, QueryResult, Reason, limit_rows, load_temp_table

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection
    from google.cloud.bigquery import LoadJob

_AT_ONCE = 32
_LONGEST_LOAD_SECONDS = 3_600.0
# BigQuery's limit of partitions that one job changes.
_PARTITIONS_PER_JOB = 4_000
# Up to so many partitions are deleted by a call for each, which is free; a statement is billed as 10 MiB of a query.
_PARTITIONS_BY_CALL = 100


@dataclass(frozen=True, slots=True)
class _Target:
    """A table to load windows into, and the configuration of its load jobs."""

    table: BigQueryTable
    configuration: Mapping[str, Any]


class BigQuery(Warehouse):
    """A `Warehouse` over BigQuery; `Warehouse` documents each method.

    A window is published by one load job for each of its two tables, which replaces the window's partition. Readers see
    the old rows or the new ones, and a running query keeps those it began with. The two tables, and two windows, do not
    change at the same moment. Quarantine comes first, so that between the two a row may be in both tables or, after a
    replay, in none; marts read staging only. After a crash the window is still in the queue, and the next run publishes
    both tables again. Partitions without new rows are deleted: quarantine's before the loads,
    staging's after them.

    A load job's name is made of its table, window and files. So files are loaded once: a retry after a lost answer or a
    crash finds the job and waits for it. An old run that comes late does not put its rows over newer ones. An
    unfinished job of this account is cancelled before other files are loaded into its window.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gcp = settings.gcp

    @cached_property
    def _client(self) -> BigQueryClient:
        """Create the client late, because that looks for credentials."""
        return bigquery_client(self._gcp.project, self._gcp.location)

    def ensure(self, asset: Asset) -> list[str]:
        sentences = self.missing(asset)
        if sentences:
            with _refusals(asset):
                self._ensure_dataset(asset)
                for table in self._tables(asset):
                    self._ensure_table(table)
        return sentences

    def missing(self, asset: Asset) -> list[str]:
        with _refusals(asset):
            dataset = self._dataset(asset)
            sentences = dataset_differences(dataset, asset)
            for table in self._tables(asset):
                sentences += differences(self._described(table) if dataset else None, table)
            return sentences

    def drop(self, asset: Asset) -> None:
        """Drop the tables. The dataset stays, with its access list."""
        with _refusals(asset):
            for table in self._tables(asset):
                self._client.delete_table(table.title, not_found_ok=True, retry=retry_policy())

    def replace_windows(self, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
        if not outputs:
            return
        with _publishing(asset, [output.window for output in outputs]):
            staging, quarantine = (self._target(table) for table in self._tables(asset))
            if self._gcp.load_function:
                announce(self._settings, asset, outputs)
            self._end_abandoned(
                (staging.table, quarantine.table), [(o.window, o.good_files, o.quarantine_files) for o in outputs]
            )
            first_seen = self._first_seen(quarantine.table, [o.window for o in outputs if o.quarantine_files])
            self._empty(quarantine.table, [o.window for o in outputs if not o.quarantine_files])
        failed: dict[str, LakeError] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            loads = {
                o.window: pool.submit(
                    self._load_both,
                    asset,
                    o.window,
                    o.good_files,
                    o.quarantine_files,
                    staging,
                    quarantine,
                    first_seen=first_seen,
                )
                for o in outputs
            }
        for window, load in loads.items():
            error = load.exception()
            if error is not None and not isinstance(error, LakeError):
                raise error
            if error is not None:
                failed[window] = error
        if failed:
            first, *more = failed.values()
            raise type(first)(f"{first} {len(more)} more windows failed too." if more else str(first)) from first
        with _publishing(asset, [output.window for output in outputs]):
            self._empty(staging.table, [o.window for o in outputs if not o.good_files])

    def load_files(
        self, asset: Asset, window: str, good_files: Sequence[str], quarantine_files: Sequence[str], *, over: bool
    ) -> None:
        """Load one window's files as `replace_windows` does, but leave a partition without new rows unchanged.

        With `over`, files are loaded again over those of other publications, and such a partition is emptied. Raises
        LakeError, Unavailable.
        """
        with _publishing(asset, [window]):
            staging, quarantine = (self._target(table) for table in self._tables(asset))
            self._end_abandoned((staging.table, quarantine.table), [(window, good_files, quarantine_files)])
            first_seen = self._first_seen(quarantine.table, [window] if quarantine_files else [])
        mark = "-over" if over else ""
        self._load_both(
            asset, window, good_files, quarantine_files, staging, quarantine, first_seen=first_seen, mark=mark
        )
        if over:
            with _publishing(asset, [window]):
                for target, files in ((quarantine, quarantine_files), (staging, good_files)):
                    self._empty(target.table, [] if files else [window])

    def remove_windows(self, asset: Asset, table: TableName, windows: Sequence[str]) -> None:
        with _refusals(asset):
            self._empty(self._tables(asset)[TABLES.index(table)], windows)

    def remove_old_states(self, before: datetime, spans: Sequence[tuple[datetime, datetime]]) -> int:
        return 0

    def window_rows(self, asset: Asset, windows: Sequence[str] | None = None) -> dict[str, TableCounts]:
        if windows is not None and not windows:
            return {}
        with _refusals(asset):
            return add_up(
                (window_key(start, asset.window), TABLES[int(index)], rows)
                for index, start, rows in self._run(rows_by_window(self._tables(asset), windows))
            )

    def reasons(self, assets: Sequence[Asset]) -> list[Reason]:
        queries = reasons((asset, quarantine_errors(self._tables(asset)[1])) for asset in assets)
        with bigquery_refusals("refuses to read the quarantine"):
            return [Reason(*row.values()) for query in queries for row in self._run(query)]

    def staging(
        self, session: "DuckDBPyConnection", asset: Asset, columns: Sequence[str], low: datetime, high: datetime
    ) -> str:
        rows = self.rows(asset, "staging", windows_between(low, high, asset.window), columns)
        return load_temp_table(session, asset, rows)

    def query(self, query: str, limit: int | None) -> QueryResult:
        """Run a query in BigQuery's SQL. A dry run, which costs nothing, checks first that it changes nothing."""
        from google.api_core.exceptions import BadRequest, Forbidden, NotFound
        from google.cloud.bigquery import QueryJobConfig

        with bigquery_refusals("refuses the query"):
            try:
                dry = self._client.query(query, QueryJobConfig(dry_run=True), retry=retry_policy())
                if dry.statement_type != "SELECT":
                    raise QueryError(f"queries are read-only: this is a {dry.statement_type}.")
                max_results = None if limit is None else limit + 1
                result = self._client.query_and_wait(query, max_results=max_results, retry=retry_policy())
                rows = [row.values() for row in result]
            except (BadRequest, Forbidden, NotFound) as error:
                message: str = error.message
                raise QueryError(f"{message.rstrip('.')}.") from error
        return limit_rows([field.name for field in result.schema], rows, limit)

    def rows(self, asset: Asset, table: TableName, windows: Sequence[str], columns: Sequence[str]) -> "pyarrow.Table":
        with _refusals(asset):
            query = rows_of(self._tables(asset)[TABLES.index(table)], windows, columns)
            return self._run(query).to_arrow(create_bqstorage_client=False)

    def _tables(self, asset: Asset) -> tuple[BigQueryTable, BigQueryTable]:
        """Return staging and quarantine."""
        return bigquery_tables(asset, dict(self._gcp.policy_tags))

    def _dataset(self, asset: Asset) -> Described | None:
        dataset = unless_missing(lambda: self._client.get_dataset(asset.staging_schema, retry=retry_policy()))
        return dataset.to_api_repr() if dataset else None

    def _described(self, table: BigQueryTable) -> Described | None:
        description = unless_missing(lambda: self._client.get_table(table.title, retry=retry_policy()))
        return description.to_api_repr() if description else None

    def _ensure_dataset(self, asset: Asset) -> None:
        from google.cloud.bigquery import Dataset

        definition = from_description(Dataset, dataset_resource(asset, self._gcp.project, self._gcp.location))
        existing = self._client.create_dataset(definition, exists_ok=True, retry=retry_policy()).to_api_repr()
        if dataset_differences(existing, asset):
            changed = from_description(Dataset, {**existing, "access": closed(existing["access"])})
            self._client.update_dataset(changed, ["access_entries"], retry=retry_policy())

    def _ensure_table(self, table: BigQueryTable) -> None:
        """Retry when the table was changed meanwhile, by another process or by a request whose answer was lost."""
        from google.api_core.exceptions import PreconditionFailed
        from google.cloud.bigquery import Table

        while True:
            existing = self._described(table)
            if existing is None:
                definition = from_description(Table, table_resource(table, self._gcp.project))
                self._client.create_table(definition, exists_ok=True, retry=retry_policy())
            elif not differences(existing, table):
                return
            elif statements := widenings(existing, table):
                for statement in statements:
                    self._run(statement)
            else:
                changed = {**existing, "description": table.description}
                changed["schema"] = {"fields": merged_fields(existing, table)}
                try:
                    definition = from_description(Table, changed)
                    self._client.update_table(definition, ["schema", "description"], retry=retry_policy())
                except PreconditionFailed:
                    continue
                return

    def _target(self, table: BigQueryTable) -> _Target:
        described = self._described(table)
        if described is None:
            raise LakeError(f"there is no table {table.title}: make it with `lake apply`.")
        return _Target(table, load_configuration(described))

    def _first_seen(self, quarantine: BigQueryTable, windows: Sequence[str]) -> "pyarrow.Table | None":
        """Return the time each row of these windows was first quarantined; None without rows."""
        if not windows:
            return None
        query = rows_of(quarantine, windows, ("topic", "partition", "offset", "first_seen"))
        rows = self._run(query).to_arrow(create_bqstorage_client=False)
        return rows if rows.num_rows else None

    def _end_abandoned(
        self, tables: Sequence[BigQueryTable], outputs: Sequence[tuple[str, Sequence[str], Sequence[str]]]
    ) -> None:
        """Cancel unfinished loads of other files into these windows, and wait for their end.

        A process that died left them behind; they would put older rows over newer ones.
        """
        from google.api_core.exceptions import GoogleAPICallError

        names = [load_name(table, window, files[n]) for window, *files in outputs for n, table in enumerate(tables)]
        loads = {name.rpartition("-")[0]: name for name in names}
        for state in ("pending", "running"):
            for job in self._client.list_jobs(state_filter=state, retry=retry_policy()):
                if is_abandoned(job.job_id, loads):
                    job.cancel(retry=retry_policy())
                    with suppress(GoogleAPICallError):
                        job.result(retry=retry_policy(), timeout=_LONGEST_LOAD_SECONDS)

    def _empty(self, table: BigQueryTable, windows: Sequence[str]) -> None:
        if len(windows) <= _PARTITIONS_BY_CALL:
            partitions = [f"{table.dataset}.{table.partition(window)}" for window in windows]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._delete_partition, partitions))
            return
        for first in range(0, len(windows), _PARTITIONS_PER_JOB):
            self._run(emptied(table, windows[first : first + _PARTITIONS_PER_JOB]))

    def _delete_partition(self, partition: str) -> None:
        self._client.delete_table(partition, not_found_ok=True, retry=retry_policy())

    def _load_both(
        self,
        asset: Asset,
        window: str,
        good_files: Sequence[str],
        quarantine_files: Sequence[str],
        staging: _Target,
        quarantine: _Target,
        *,
        first_seen: "pyarrow.Table | None",
        mark: str = "",
    ) -> None:
        with _publishing(asset, [window]):
            if quarantine_files:
                name = load_name(quarantine.table, window, quarantine_files) + mark
                if first_seen is None:
                    self._load(quarantine, window, name, quarantine_files)
                else:
                    copy = _with_first_seen(quarantine_files, name, first_seen)
                    self._load(quarantine, window, name, [copy])
                    remove(copy)
            if good_files:
                self._load(staging, window, load_name(staging.table, window, good_files) + mark, good_files)

    def _load(self, target: _Target, window: str, name: str, files: Sequence[str]) -> None:
        """Load the files unless that was done. A job that fails for a transient reason is retried as a new job."""

        def load() -> None:
            self._start_job(target, window, name, files).result(retry_policy(), timeout=_LONGEST_LOAD_SECONDS)

        retry_policy()(load)()

    def _start_job(self, target: _Target, window: str, name: str, files: Sequence[str]) -> "LoadJob":
        """Return the job of that name: the existing one, if it did not fail, else a new one."""
        from google.api_core.exceptions import Conflict, NotFound
        from google.cloud.bigquery import DatasetReference, LoadJob, LoadJobConfig

        dataset = DatasetReference(self._gcp.project, target.table.dataset)
        # A job that was just started may not be found for a moment.
        waiting = retry_policy().with_predicate(lambda error: is_transient(error) or isinstance(error, NotFound))
        attempt = 1
        while True:
            job_id = f"{name}-{attempt}"
            try:
                return self._client.load_table_from_uri(
                    files,
                    dataset.table(target.table.partition(window)),
                    job_id=job_id,
                    job_config=from_description(LoadJobConfig, {"load": dict(target.configuration)}),
                    retry=retry_policy(),
                )
            except Conflict:
                job = self._client.get_job(job_id, retry=waiting)
                if not job.error_result and isinstance(job, LoadJob):
                    return job
                attempt += 1

    def _run(self, query: str) -> Rows:
        return self._client.query_and_wait(query, retry=retry_policy(), job_retry=retry_policy())


def _with_first_seen(quarantine_files: Sequence[str], name: str, first_seen: "pyarrow.Table") -> str:
    """Copy a window's quarantine files; known rows keep their `first_seen`. Returns the copy's URL."""

    url = f"{quarantine_files[0].rpartition('/')[0]}/{name}.parquet"
    with duckdb_session() as session, written(url) as path:
        let_read(session, url)
        session.register("known", first_seen)
        session.execute(f"""\
copy (
  select bad.* replace (coalesce(known.first_seen, bad.first_seen) as first_seen)
  from read_parquet([{", ".join(map(literal, quarantine_files))}]) as bad
  left join known using (topic, partition, "offset")
) to {literal(str(path))} (format parquet, compression zstd)""")
    return url


def _refusals(asset: Asset) -> AbstractContextManager[None]:
    return bigquery_refusals(f"refuses a request for the tables of {asset.name}")


@contextmanager
def _publishing(asset: Asset, windows: Sequence[str]) -> Generator[None]:
    """Name the unpublished windows in every error. Raises LakeError, Unavailable."""
    span = windows[0] if len(windows) == 1 else f"{len(windows)} windows from {min(windows)} to {max(windows)}"
    subject = f"{asset.name} ({span}) was not published"
    try:
        with bigquery_refusals("refuses it"):
            yield
    except LakeError as error:
        raise type(error)(f"{subject}: {error}") from error
    except TimeoutError as error:
        timeout = f"a load job took longer than {_LONGEST_LOAD_SECONDS:,.0f} s"
        raise Unavailable(f"{subject}: {timeout}; run it again, it continues waiting for that job.") from error
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(f"{subject}, because the bucket cannot be used: {reason}") from error
