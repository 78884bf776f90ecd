"""The executors' part of the job, batch by batch: the same judge and steps as in the local engine."""

import json
import os
import resource
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from lake_assets.bucket import opened
from lake_assets.catalog.json_codec import to_json
from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_key
from lake_assets.compile.ddl import staging_columns
from lake_assets.compile.spark import spread_sql
from lake_assets.compile.sql import identifier, literal
from lake_assets.conform.write_windows import ConformRun, copy, judge_checks, window_folder, write_windows
from lake_assets.errors import LakeError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Batches = Iterator["pa.RecordBatch"]
# Each answer is one JSON text; its content depends on the stage.
ANSWERS = "answer string"
_ROWS_PER_BATCH = 65_536


def fetching(columns: Sequence[str]) -> Callable[[Batches], Batches]:
    """Return a function from names of Parquet files to their rows, without Spark's own reader."""

    def fetch(batches: Batches) -> Batches:
        import pyarrow as pa

        for batch in batches:
            for path in _texts(batch):
                system, key = opened(path)
                # As with Spark's reader, a damaged or missing file fails only its own window, whose row counts do not
                # add up.
                with suppress(OSError, pa.ArrowInvalid), system.open_input_file(key) as file:
                    yield from _reader(file).iter_batches(_ROWS_PER_BATCH, columns=list(columns))

    return fetch


def judging(asset: Asset, buckets: Mapping[str, int]) -> Callable[[Batches], Batches]:
    """Return a function from raw rows to judged rows, for `mapInArrow` with the schema `judged_schema(asset)`."""
    sql = spread_sql(asset, "raw", buckets)

    def judge(batches: Batches) -> Batches:
        with _session() as session:
            for batch in batches:
                session.register("raw", batch)
                yield from session.execute(sql).to_arrow_reader(_ROWS_PER_BATCH)
                session.unregister("raw")

    return judge


def settling(run: ConformRun, name: str) -> Callable[[Batches], Batches]:
    """Return a function that writes judged rows of whole buckets to files.

    Its answers are each window's counts and the task's own figures.
    """

    def finish(batches: Batches) -> Batches:
        started = time.monotonic()
        with _session() as session:
            if (rows := _load(session, "judged", batches)) == 0:
                return
            # A retried task leaves the files of its first attempt behind; only those named here count.
            for part in write_windows(session, run, f"{name}-{uuid.uuid4().hex[:8]}"):
                yield _answer({"part": json.loads(to_json(part))})
            yield _answer({"rows": rows, "seconds": time.monotonic() - started, "peak_bytes": _peak_bytes()})

    return finish


def writing(run: ConformRun, name: str) -> Callable[[Batches], Batches]:
    """Return a function that writes the rows of an entrypoint to files.

    Its answers are each window's file, its rows, and its number of broken rows.
    """
    asset = run.asset
    columns = ", ".join(identifier(column.name) for column in staging_columns(asset))
    required = [field.name for field in asset.fields if field.required and field.protection != "drop"]
    nulls = " or ".join(f"{identifier(name)} is null" for name in required) or "false"

    def write(batches: Batches) -> Batches:
        started = time.monotonic()
        with _session() as session:
            if (rows := _load(session, "returned", batches)) == 0:
                return
            totals = session.execute(
                f"select _window, count(*), count(*) filter (where {nulls}), sum({_IDENTITY}) from returned group by 1"
            ).fetchall()
            for start, good, broken, identity in totals:
                window = window_key(start, asset.window)
                url = f"{window_folder(run.out, asset, window)}/{name}-{uuid.uuid4().hex[:8]}.parquet"
                is_in_window = f"_window = timestamptz {literal(start.isoformat())}"
                (path,) = copy(session, f"select {columns} from returned where {is_in_window}", url)
                yield _answer(
                    {"window": window, "path": path, "rows": good, "broken": broken, "identity": str(identity)}
                )
            yield _answer({"rows": rows, "seconds": time.monotonic() - started, "peak_bytes": _peak_bytes()})

    return write


def identifying() -> Callable[[Batches], Batches]:
    """Return a function from good rows to a checksum of their identities by window, for comparison with `writing`."""

    def identify(batches: Batches) -> Batches:
        with _session() as session:
            for batch in batches:
                session.register("batch", batch)
                for start, rows, identity in session.execute(
                    f"select _window, count(*), sum({_IDENTITY}) from batch group by 1"
                ).fetchall():
                    yield _answer({"start": start.isoformat(), "rows": rows, "identity": str(identity)})
                session.unregister("batch")

    return identify


# Different rows with equal sums are about as likely as two equal 64-bit hashes.
_IDENTITY = "hash(_window, _kafka_partition, _offset)::hugeint"


def checking(asset: Asset) -> Callable[[Batches], Batches]:
    """Return a function from windows, as JSON of window and files, to the outcomes of their checks or a failure."""

    def check(batches: Batches) -> Batches:
        with _session() as session:
            for batch in batches:
                for text in _texts(batch):
                    request = json.loads(text)
                    try:
                        outcomes = json.loads(to_json(judge_checks(session, asset, request["files"])))
                        yield _answer({"window": request["window"], "checks": outcomes})
                    except LakeError as error:
                        yield _answer({"window": request["window"], "failed": str(error)})

    return check


@contextmanager
def _session() -> "Generator[duckdb.DuckDBPyConnection]":
    import duckdb

    folder = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or None
    with tempfile.TemporaryDirectory(dir=folder) as scratch, duckdb.connect() as session:
        # One thread, because Spark runs one task on each core.
        session.execute("set threads = 1; set timezone = 'UTC'; set enable_progress_bar = false")
        session.execute("set temp_directory = $1", [scratch])
        yield session


def _load(session: "duckdb.DuckDBPyConnection", table: str, batches: Batches) -> int:
    import pyarrow as pa

    first = next(batches, None)
    if first is None:
        return 0

    def all_batches() -> Batches:
        yield first
        yield from batches

    incoming = pa.RecordBatchReader.from_batches(first.schema, all_batches())
    session.register("incoming", incoming)
    session.execute(f"create temp table {table} as select * from incoming")
    session.unregister("incoming")
    row = session.execute(f"select count(*) from {table}").fetchone()
    return row[0] if row else 0


class _Reader(Protocol):
    """The method of pyarrow's `ParquetFile` that the job calls: the type in pyarrow's stubs is incomplete."""

    def iter_batches(self, batch_size: int, *, columns: list[str]) -> Batches: ...


def _reader(file: "pa.NativeFile") -> _Reader:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(file)


def _texts(batch: "pa.RecordBatch") -> list[str]:
    """Return the values of a batch of one column of strings."""
    return [text for row in batch.to_pylist() for text in row.values()]


def _answer(content: object) -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.record_batch({"answer": pa.array([json.dumps(content)], pa.string())})


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
