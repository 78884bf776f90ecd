"""Fixtures that conform records without a broker: raw files in, rows out, on DuckDB, and for some tests on Spark."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

import duckdb
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.conform.duckdb import conform
from lake_assets.conform.request import Request
from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT
from tests.support.conform_records import ORDERS, Conformed, Record, write_raw
from tests.support.server_marker import starts_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Conform = Callable[..., Conformed]
Engine = Callable[..., tuple[WindowOutput, ...]]

# For what Spark has a part in: shuffles, several windows and buckets, errors of its tasks. The rules are one text, and
# test_two_engines.py compares what both engines make of it.
on_both_engines = pytest.mark.parametrize("engine", ["duckdb", "spark"], indirect=True)


@pytest.fixture(scope="session")
@starts_server
def spark() -> Generator["SparkSession"]:
    """One real local session, with the job's modules as its workers find them in the job's zip."""
    paths = os.pathsep.join((str(PROJECT), str(PROJECT / "spark"), str(PROJECT / "tests" / "conform")))
    environment = {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": paths, "SPARK_LOCAL_IP": "127.0.0.1"}
    found = [*paths.split(os.pathsep), *sys.path]
    with mock.patch.dict(os.environ, environment), mock.patch.object(sys, "path", found):
        from dagster_pyspark import LazyPySparkResource

        resource = LazyPySparkResource(
            spark_config={
                "spark.master": "local[2]",
                "spark.ui.enabled": "false",
                "spark.driver.host": "127.0.0.1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.ui.showConsoleProgress": "false",
            }
        )
        session = resource.spark_session
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture(scope="session")
def on_spark(spark: "SparkSession") -> Engine:
    """The job's own function, given a session; small buckets, so that windows are cut into several."""
    from job import run

    def conform_on_spark(
        asset: Asset, windows: Sequence[WindowInput], out: str, folder: object, run_id: str, name: str
    ) -> Any:
        loaded_at = "2026-02-01T00:00:00+00:00"
        request = Request(asset, tuple(windows), out, f"{out}/job", name, run_id, loaded_at, bucket_rows=40)
        answer = run(spark, request, lambda _: None)
        for reason in answer.failed.values():
            raise LakeError(reason)
        return answer.outputs

    return conform_on_spark


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """DuckDB, except in tests marked `on_both_engines`."""
    return request.getfixturevalue("on_spark") if getattr(request, "param", "duckdb") == "spark" else conform


@pytest.fixture(scope="session")
def conform_records(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Conform:
    """Return a function that conforms records (or bare payloads) window by window."""

    def run(
        windows: dict[str, Sequence[Record | bytes | None]] | Sequence[Record | bytes | None], asset: Asset = ORDERS
    ) -> Conformed:
        folder = tmp_path_factory.mktemp("conform")
        by_window = windows if isinstance(windows, dict) else {"2026-01-01": windows}
        inputs = []
        for number, (window, given) in enumerate(by_window.items()):
            records = [r if isinstance(r, Record) else Record(r) for r in given]
            write_raw(folder / f"{number}.parquet", records)
            inputs.append(WindowInput(window, (str(folder / f"{number}.parquet"),), len(records), 1))
        outputs = engine(asset, inputs, f"file://{folder}/out", folder, "run-1", "file")
        good = [path for output in outputs for path in output.good_files]
        bad = [path for output in outputs for path in output.quarantine_files]
        return Conformed(outputs, rows_of(good, "_kafka_partition, _offset"), rows_of(bad, 'partition, "offset"'))

    return run


def rows_of(paths: list[str], order: str) -> list[dict[str, Any]]:
    if not paths:
        return []
    query = f"select * from read_parquet({paths}) order by {order}"
    return _reader().execute(query).to_arrow_table().to_pylist()


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    """One session for all reads: to open one takes ten times as long as to read a window."""
    session = duckdb.connect()
    session.execute("set timezone = 'UTC'")
    return session
