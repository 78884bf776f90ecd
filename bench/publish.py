"""Cost of publishing windows in a cloud: calls by operation, bytes and seconds, for one window and for many.

    python -m bench.publish [--windows 100] [--rows 200]

There is no rival. Calls and bytes are counted, which are the same in each round, so there is one round.

Runs against moto (S3, Glue), fake-gcs-server and a double of BigQuery on this machine: calls and bytes are those of a
cloud, seconds are not. Each window has one raw file and rows in staging, every tenth one also rows in quarantine.
"new" publishes new windows; "again" publishes other files of the same windows.
"""

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from uuid import uuid4

from bench.counting import Passed, counting
from bench.figures import Figures, options
from lake_assets.bucket import written
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.catalog.windows import window_key
from lake_assets.conform.duckdb import conform
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Gcp, Settings, load_settings
from lake_assets.warehouse.protocol import Warehouse
from tests.support.buckets import gs, s3
from tests.support.conform_records import ORDERS, Record, write_raw
from tests.support.doubles.athena import AthenaDouble
from tests.support.doubles.bigquery import LOCATION, PROJECT, BigQueryDouble

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cloud:
    """Counters of a cloud double. `calls` are the warehouse's; `passed` returns the bucket's since its last call."""

    settings: Settings
    calls: list[str]
    passed: Callable[[], Passed]


def conformed(cloud: Cloud, at: Path, windows: int, rows: int, run: str) -> tuple[WindowOutput, ...]:
    settings = cloud.settings
    inputs: list[WindowInput] = []
    for number in range(windows):
        start = FIRST + timedelta(days=number)
        payloads = [order(number * rows + row, start) for row in range(rows)]
        if number % 10 == 0:
            payloads.append(b"bad")
        url = f"{settings.bucket}/raw/{run}-{number}.parquet"
        with written(url) as path:
            write_raw(path, [Record(p, offset=number * 10_000 + n, timestamp=start) for n, p in enumerate(payloads)])
            size = path.stat().st_size
        inputs.append(WindowInput(window_key(start, "day"), (url,), len(payloads), size, (size,)))
    cloud.passed()
    return conform(ORDERS, inputs, settings.conformed, at, run, uuid4().hex)


def order(number: int, at: datetime) -> bytes:
    event = {"order_id": f"{number:08}", "region": "north", "amount": "12.50", "ordered_at": at.isoformat()}
    return json.dumps(event).encode()


def measure(cloud: Cloud, at: Path, windows: int, rows: int) -> Figures:
    warehouse = warehouse_for(cloud.settings)
    warehouse.ensure(ORDERS)
    figures = Figures("bench.publish", f"{cloud.settings.target}, windows of {rows} rows each, against doubles")
    for count in (1, windows):
        outputs: tuple[WindowOutput, ...] = ()
        for run in ("new", "again"):
            outputs = conformed(cloud, at, count, rows, run)
            made = cloud.passed()
            cloud.calls.clear()
            seconds = publish(warehouse, outputs)
            read = cloud.passed()
            what = f"{count} windows, {run}"
            calls = Counter(cloud.calls)
            for part, counted in (("conform", made.calls), ("publish", read.calls)):
                for name, number in sorted(counted.items()):
                    figures.add(f"{what}: {part}, {name} to the bucket", [number], "")
                figures.add(f"{what}: {part}, bytes to the bucket", [(made if part == "conform" else read).sent], "")
            for name, number in sorted(calls.items()):
                figures.add(f"{what}: publish, {name}", [number], "")
            figures.add(f"{what}: publish, seconds against the double", [seconds])
        for table in ("staging", "quarantine"):
            warehouse.remove_windows(ORDERS, table, [output.window for output in outputs])
    return figures


def publish(warehouse: Warehouse, outputs: tuple[WindowOutput, ...]) -> float:
    began = time.perf_counter()
    warehouse.replace_windows(ORDERS, outputs)
    return time.perf_counter() - began


@contextmanager
def on_aws(at: Path) -> Generator[Cloud]:
    with s3(at) as bucket, counting(bucket.environment["AWS_ENDPOINT_URL_S3"]) as (proxy, passed):
        os.environ |= {**bucket.environment, "AWS_ENDPOINT_URL_S3": proxy}
        double = AthenaDouble(bucket.environment["AWS_ENDPOINT_URL_S3"], at)
        os.environ |= {"AWS_ENDPOINT_URL_GLUE": double.url, "AWS_ENDPOINT_URL_ATHENA": double.url}
        try:
            yield Cloud(replace(load_settings(), target="aws", bucket=bucket.url), double.calls, passed)
        finally:
            double.close()


@contextmanager
def on_gcp(at: Path) -> Generator[Cloud]:
    with gs(at) as bucket, counting(bucket.environment["STORAGE_EMULATOR_HOST"]) as (proxy, passed):
        os.environ |= bucket.environment
        double = BigQueryDouble(bucket.url)
        os.environ |= {"BIGQUERY_EMULATOR_HOST": double.url, "STORAGE_EMULATOR_HOST": proxy}
        settings = replace(load_settings(), target="gcp", bucket=bucket.url, gcp=Gcp(PROJECT, LOCATION, ()))
        try:
            yield Cloud(settings, double.calls, passed)
        finally:
            double.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--rows", type=int, default=200, help="rows of a window (default 200)")
    given = parser.parse_args(arguments)
    for lake_in in (on_aws, on_gcp):
        with tempfile.TemporaryDirectory(prefix="lake-bench-") as folder, mock.patch.dict(os.environ):
            os.environ["LAKE_HOME"] = str(Path(folder) / "lake")
            with lake_in(Path(folder)) as cloud:
                measure(cloud, Path(folder), given.windows, given.rows).show(given.figures)


if __name__ == "__main__":
    main()
