"""The conform step on Spark: Spark reads, shuffles and retries, DuckDB judges and writes on its executors."""

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from executor import ANSWERS, checking, fetching, identifying, judging, settling, writing
from py4j.protocol import Py4JJavaError  # pyright: ignore[reportMissingTypeStubs]
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lake_assets.bucket import remove
from lake_assets.catalog.json_codec import from_json
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import CheckOutcome, WindowInput, WindowOutput
from lake_assets.compile.spark import BUCKET, RAW_SCHEMA, good_schema, judged_schema
from lake_assets.conform.request import Answer, Request, Stage
from lake_assets.conform.write_windows import ConformRun, WindowPart, merge_parts
from lake_assets.object_stores import scheme

# The same for every session, external or our own: the meaning of the rows depends on them.
SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    # With a limit in bytes, Spark measures the batch after each row, which takes longer with each row.
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647",
    # A damaged or missing file fails only its own window, whose row counts then do not add up.
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.files.ignoreMissingFiles": "true",
}


class EntrypointError(Exception):
    """The contract's entrypoint broke its promise; the message has the details."""


def run(spark: SparkSession, request: Request, log: Callable[[str], None]) -> Answer:
    """Conform the windows of a request. A failure of one window does not affect the others."""
    for key, value in SESSION.items():
        spark.conf.set(key, value)
    asset = request.asset
    stages: list[Stage] = []
    run = ConformRun(asset, request.out, request.run_id, request.loaded_at)
    first_run = replace(run, out=f"{request.folder}/good") if asset.entrypoint else run
    parts = _settle(spark, request, first_run, stages)
    log(f"{asset.name}: judged {sum(stage.rows for stage in stages):,} rows in {stages[-1].seconds:.1f} s")
    failed: dict[str, str] = {}
    if asset.entrypoint:
        parts, failed = _transform(spark, request, run, parts, stages)
        log(f"{asset.name}: {asset.entrypoint} in {stages[-1].seconds:.1f} s")
    checks = _check(spark, request, parts, failed, stages)
    outputs: list[WindowOutput] = []
    for window in request.windows:
        output = _output(window, parts.get(window.window), checks.get(window.window, ()))
        if window.window not in failed and (imbalance := output.imbalance()) is not None:
            failed[window.window] = f"{imbalance}. Run `lake audit {asset.name}`."
        if window.window not in failed:
            outputs.append(output)
    return Answer(tuple(outputs), failed, tuple(stages), good_schema(asset), spark.version)


def _output(window: WindowInput, part: WindowPart | None, checks: tuple[CheckOutcome, ...]) -> WindowOutput:
    part = part or WindowPart(window.window, (), (), ())
    return WindowOutput(
        window.window,
        window.rows,
        part.partitions,
        part.good_files,
        part.quarantine_files,
        window.bytes,
        checks,
        part.unknown,
        part.conflicts,
    )


def _settle(spark: SparkSession, request: Request, run: ConformRun, stages: list[Stage]) -> dict[str, WindowPart]:
    paths = [path for window in request.windows for path in window.paths]
    if not paths:
        return {}
    asset = request.asset
    buckets = {w.window: max(1, math.ceil(w.rows / request.bucket_rows)) for w in request.windows}
    raw = _read(spark, paths, RAW_SCHEMA)
    judged = raw.mapInArrow(judging(asset, buckets), judged_schema(asset))
    shuffled = judged.repartition(_tasks(spark, request), "_window", BUCKET).drop(BUCKET)
    answers = _collect(shuffled.mapInArrow(settling(run, request.name), ANSWERS), "judge and settle", stages)
    return dict(
        merge_parts([from_json(WindowPart, json.dumps(answer["part"])) for answer in answers if "part" in answer])
    )


def _read(spark: SparkSession, paths: Sequence[str], schema: str) -> DataFrame:
    """Read rows of Parquet files.

    A Spark without a file system for the bucket, such as one outside a cluster, reads them in its tasks.
    """
    if "://" not in paths[0] or _has_file_system(spark, scheme(paths[0])):
        return spark.read.schema(schema).parquet(*paths)
    file_names = spark.createDataFrame([(path,) for path in paths], "path string").repartition(len(paths))
    return file_names.mapInArrow(fetching([field.name for field in _struct(spark, schema)]), schema)


def _has_file_system(spark: SparkSession, kind: str) -> bool:
    context: Any = spark.sparkContext
    try:
        context._jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(kind, context._jsc.hadoopConfiguration())
    except Py4JJavaError:
        return False
    return True


def _tasks(spark: SparkSession, request: Request) -> int:
    """Return the number of tasks for the buckets: enough for every core and for memory, not one per small window."""
    rows = sum(window.rows for window in request.windows)
    buckets = sum(max(1, math.ceil(window.rows / request.bucket_rows)) for window in request.windows)
    return min(buckets, max(2 * spark.sparkContext.defaultParallelism, 2 * math.ceil(rows / request.bucket_rows)))


def _transform(
    spark: SparkSession, request: Request, run: ConformRun, results: dict[str, WindowPart], stages: list[Stage]
) -> tuple[dict[str, WindowPart], dict[str, str]]:
    """Run the contract's entrypoint over the good rows, which are read back from a temporary folder."""
    asset = request.asset
    temporary_files = [path for part in results.values() for path in part.good_files]
    if not temporary_files:
        return results, {}
    good = _read(spark, temporary_files, good_schema(asset))
    before = _identities(asset, good)
    returned = _checked(asset, _entrypoint(asset)(good, asset))
    most = max(math.ceil(w.rows / request.bucket_rows) for w in request.windows)
    bucket = F.pmod(F.hash("_kafka_partition", "_offset"), F.lit(most))
    returned = returned.repartition(_tasks(spark, request), "_window", bucket)
    answers = _collect(returned.mapInArrow(writing(run, request.name), ANSWERS), str(asset.entrypoint), stages)
    files: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for answer in answers:
        if "path" in answer:
            files[answer["window"]].append(answer)
    failed: dict[str, str] = {}
    for window, part in results.items():
        parts = files.get(window, [])
        rows, identity = sum(p["rows"] for p in parts), sum(int(p["identity"]) for p in parts)
        expected = before.get(window, (0, 0))
        if (rows, identity) != expected:
            failed[window] = (
                f"{asset.entrypoint} was given {expected[0]} rows and returned {rows}"
                f"{'' if rows != expected[0] else ' others'}: it must return each row once, with its lineage columns."
            )
        elif broken := sum(p["broken"] for p in parts):
            failed[window] = f"{asset.entrypoint} returned {broken} rows without a value in a required field."
        results[window] = replace(part, good_files=tuple(sorted(p["path"] for p in parts)))
    for path in temporary_files:
        remove(path)
    return results, failed


def _identities(asset: Asset, good: DataFrame) -> dict[str, tuple[int, int]]:
    from datetime import datetime

    from lake_assets.catalog.windows import window_key

    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in good.select("_window", "_kafka_partition", "_offset").mapInArrow(identifying(), ANSWERS).collect():
        answer = json.loads(row.answer)
        total = sums[window_key(datetime.fromisoformat(answer["start"]), asset.window)]
        total[0] += answer["rows"]
        total[1] += int(answer["identity"])
    return {window: (rows, identity) for window, (rows, identity) in sums.items()}


def _entrypoint(asset: Asset) -> Callable[[DataFrame, Asset], DataFrame]:
    module, _, function = str(asset.entrypoint).partition(":")
    try:
        entrypoint = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise EntrypointError(f"the entrypoint {asset.entrypoint} cannot be imported: {error}.") from error
    return entrypoint


def _checked(asset: Asset, returned: DataFrame) -> DataFrame:
    """Return the rows in the staging table's column order. Raises EntrypointError when the schema differs."""
    expected = {field.name: field.dataType for field in _struct(returned.sparkSession, good_schema(asset))}
    actual = {field.name: field.dataType for field in returned.schema}
    for name, kind in expected.items():
        if name not in actual:
            raise EntrypointError(f"{asset.entrypoint} returned no column '{name}', which the contract declares.")
        if actual[name] != kind:
            raise EntrypointError(
                f"{asset.entrypoint} returned '{name}' as {actual[name].simpleString()}; "
                f"the contract declares {kind.simpleString()}."
            )
    if unknown := sorted(set(actual) - set(expected)):
        raise EntrypointError(f"{asset.entrypoint} returned '{unknown[0]}', which the contract does not declare.")
    return returned.select(*[f"`{name}`" for name in expected])


def _struct(spark: SparkSession, ddl: str) -> Any:
    return spark.createDataFrame([], ddl).schema


def _check(
    spark: SparkSession, request: Request, parts: dict[str, WindowPart], failed: dict[str, str], stages: list[Stage]
) -> dict[str, tuple[CheckOutcome, ...]]:
    asset = request.asset
    if not asset.checks:
        return {}
    empty = WindowPart("", (), (), ())
    windows = [
        (json.dumps({"window": w.window, "files": parts.get(w.window, empty).good_files}),)
        for w in request.windows
        if w.window not in failed
    ]
    requests = spark.createDataFrame(windows, "request string").repartition(max(1, min(len(windows), 200)))
    checks: dict[str, tuple[CheckOutcome, ...]] = {}
    for answer in _collect(requests.mapInArrow(checking(asset), ANSWERS), "checks", stages):
        if "failed" in answer:
            failed[answer["window"]] = answer["failed"]
        elif "checks" in answer:
            checks[answer["window"]] = tuple(from_json(CheckOutcome, json.dumps(c)) for c in answer["checks"])
    return checks


def _collect(frame: DataFrame, name: str, stages: list[Stage]) -> list[dict[str, Any]]:
    started = time.monotonic()
    answers: list[dict[str, Any]] = [json.loads(row.answer) for row in frame.collect()]
    figures: Iterable[dict[str, Any]] = [answer for answer in answers if "peak_bytes" in answer]
    stages.append(
        Stage(
            name,
            round(time.monotonic() - started, 3),
            len(list(figures)),
            sum(figure["rows"] for figure in figures),
            max((figure["peak_bytes"] for figure in figures), default=0),
        )
    )
    return answers
