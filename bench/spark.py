"""The same contract over the same raw files: DuckDB, Spark, and a plain Spark job, each in a process of its own.

    python -m bench.spark [--rows 1000000 10000000] [--files 8] [--engines duckdb spark plain]

For each: seconds from the start of the process to its end, seconds of the work itself, rows/s of both, and the largest
memory of all its processes together. The plain job (bench/peers/plain_spark.py) does less: it keeps good rows only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psutil
from dagster_pipes import encode_param

from bench.conform import RAW
from lake_assets.catalog.accounting import WindowInput
from lake_assets.catalog.model import Asset
from lake_assets.catalog.wire import from_json, to_json
from lake_assets.conform.request import Answer, Request
from lake_assets.conform.runner import SparkJob, run_to_end
from lake_assets.conform.runners.local import Local
from lake_assets.project import read_catalog
from lake_assets.settings import PROJECT, load_settings

_UNSET = (
    "asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "partition_key_range",
    "partition_time_window",
)  # fmt: skip
# What Dagster Pipes would tell the job of its run.
CONTEXT = {**dict.fromkeys(_UNSET), "run_id": "bench", "job_name": "bench", "retry_number": 0, "extras": {}}
NOW = "2026-02-01T00:00:00+00:00"
DUCKDB = """\
import sys, time
from pathlib import Path
from lake_assets.catalog.wire import from_json
from lake_assets.conform.duckdb import conform
from lake_assets.conform.request import Request
given = from_json(Request, Path(sys.argv[1]).read_text())
started = time.monotonic()
outputs = conform(given.asset, given.windows, given.out, Path(sys.argv[2]), "bench", "bench")
print("seconds", time.monotonic() - started, sum(output.good for output in outputs))
"""


def peak_of(work: Callable[[], float]) -> tuple[float, float, int]:
    """Seconds in all, seconds of the work as it tells them, and the peak of resident bytes of all child processes."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            resident = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    resident += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, resident)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        worked = work()
    finally:
        whole = time.monotonic() - started
        done.set()
        watcher.join()
    return whole, worked, peak


def raw_files(folder: Path, rows: int, count: int) -> list[str]:
    """The rows of bench/conform.py, in `count` files of equal size."""
    whole = folder / "whole.parquet"
    duckdb.execute(RAW.replace("ROWS", str(rows)).replace("FILE", str(whole)))
    each = -(-rows // count)
    for number in range(count):
        duckdb.execute(
            f"copy (select * from read_parquet('{whole}') limit {each} offset {number * each}) "
            f"to '{folder}/{number}.parquet' (format parquet, compression zstd)"
        )
    whole.unlink()
    return [str(folder / f"{number}.parquet") for number in range(count)]


def on_duckdb(request: Request, folder: Path) -> float:
    (folder / "request.json").write_text(to_json(request), "utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", DUCKDB, str(folder / "request.json"), str(scratch)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout.split()
    assert int(told[2]) == sum(window.rows for window in request.windows)
    return float(told[1])


def on_spark(request: Request, folder: Path, memory: str) -> float:
    (folder / "request.json").write_text(to_json(request), "utf-8")
    arguments = (
        "--request", str(folder / "request.json"),
        "--dagster-pipes-context", encode_param({"data": CONTEXT}),
        "--dagster-pipes-messages", encode_param({"folder": str(folder / "messages")}),
    )  # fmt: skip
    runner = Local(folder / "home", PROJECT / "spark", memory)
    run_to_end(runner, SparkJob("lake-bench-1", arguments, {}), 3600, lambda _: None)
    for path in (folder / "messages").glob("*.json"):
        for line in path.read_text("utf-8").splitlines():
            if answered := json.loads(line)["params"].get("payload", {}).get("answer"):
                answer = from_json(Answer, json.dumps(answered))
                assert not answer.failed
                return sum(stage.seconds for stage in answer.stages)
    raise AssertionError("no answer")


def on_plain_spark(request: Request, folder: Path, memory: str) -> float:
    paths = [path for window in request.windows for path in window.paths]
    settings = {
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": memory,
    }  # fmt: skip
    command = [
        str(Path(sys.executable).with_name("spark-submit")), "--master", "local[*]",
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        str(PROJECT / "bench" / "peers" / "plain_spark.py"), str(folder / "plain"), *paths,
    ]  # fmt: skip
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return float(told.split("seconds ")[1])


def measure(asset: Asset, rows: int, files: int, engines: list[str], memory: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        paths = raw_files(folder, rows, files)
        size = sum(Path(path).stat().st_size for path in paths)
        window = WindowInput("2026-01-01", tuple(paths), rows, size)
        print(f"{rows:,} rows in {files:,} raw files of {size / 1e6:,.0f} MB, load {os.getloadavg()[0]:.1f}")
        print(f"{'engine':<12} {'in all':>9} {'work':>9} {'rows/s in all':>14} {'rows/s work':>13} {'peak':>9}")
        worked: dict[str, float] = {}
        for engine in engines:
            own = folder / engine
            own.mkdir()
            request = Request(asset, (window,), f"file://{own}/out", f"file://{own}", "n", "bench", NOW)
            work: dict[str, Callable[[], float]] = {
                "duckdb": lambda r=request, o=own: on_duckdb(r, o),
                "spark": lambda r=request, o=own: on_spark(r, o, memory),
                "plain": lambda r=request, o=own: on_plain_spark(r, o, memory),
            }
            whole, worked[engine], peak = peak_of(work[engine])
            print(
                f"{engine:<12} {whole:>7.1f} s {worked[engine]:>7.1f} s {rows / whole:>14,.0f} "
                f"{rows / worked[engine]:>13,.0f} {peak / 1e9:>6.1f} GB", flush=True,
            )  # fmt: skip
            shutil.rmtree(own)
        if {"spark", "plain"} <= set(worked):
            print(f"spark is {worked['plain'] / worked['spark']:.2f} times as fast as the plain Spark job")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument(
        "--engines", nargs="+", choices=["duckdb", "spark", "plain"], default=["duckdb", "spark", "plain"]
    )
    parser.add_argument("--memory", default="4g", help="heap of Spark's JVM")
    given = parser.parse_args()
    asset = read_catalog(load_settings())["sales"]
    for rows in given.rows:
        measure(asset, rows, given.files, given.engines, given.memory)


if __name__ == "__main__":
    main()
