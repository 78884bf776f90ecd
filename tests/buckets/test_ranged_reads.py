"""Requests for raw files whose sizes the table's manifests name, and clients of a bucket."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyarrow import fs

from bench.counting import counting
from lake_assets.bucket import path_of, read, write, written
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform
from lake_assets.ranged_reads import RangedFiles
from tests.support.buckets import DOUBLES
from tests.support.conform_records import ORDERS, Record, write_raw

DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)
FILES = 6
ADDRESS = {"s3": "AWS_ENDPOINT_URL_S3", "gs": "STORAGE_EMULATOR_HOST"}


def order(number: int) -> Record:
    event = {"order_id": f"{number:08}", "region": "north", "amount": "12.50", "ordered_at": DAY.isoformat()}
    return Record(json.dumps(event).encode(), offset=number, timestamp=DAY)


@pytest.mark.parametrize("kind", ADDRESS)
def test_raw_file_of_known_size_is_one_request(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: each commit read each raw file of an open window by two requests, and six for its properties."""
    with DOUBLES[kind](tmp_path) as bucket, counting(bucket.environment[ADDRESS[kind]]) as (proxy, passed):
        for name, value in {**bucket.environment, ADDRESS[kind]: proxy}.items():
            monkeypatch.setenv(name, value)
        urls, sizes = [], []
        for number in range(FILES):
            urls.append(f"{bucket.url}/raw/{number}.parquet")
            with written(urls[-1]) as path:
                write_raw(path, [order(number)])
                sizes.append(path.stat().st_size)
        passed()
        window = WindowInput("2026-01-01", tuple(urls), FILES, sum(sizes), tuple(sizes))
        [output] = conform(ORDERS, [window], f"{bucket.url}/conformed", tmp_path, "run", "part")
        assert output.good == FILES
        calls = passed().calls
        assert (calls.get("GET"), calls.get("HEAD", 0)) == (FILES, 0)


@pytest.mark.parametrize("kind", ADDRESS)
def test_missing_file_of_known_size_is_an_error_of_the_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DOUBLES[kind](tmp_path) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        window = WindowInput("2026-01-01", (f"{bucket.url}/raw/missing.parquet",), 1, 100, (100,))
        with pytest.raises(duckdb.Error, match=r"raw/missing\.parquet cannot be read"):
            conform(ORDERS, [window], f"{bucket.url}/conformed", tmp_path, "run", "part")


def test_ranges_of_large_files_are_read_alone_and_small_ones_are_kept() -> None:
    requests: list[tuple[str, int, int]] = []

    def read_range(path: str, start: int, stop: int) -> bytes:
        requests.append((path, start, stop))
        return bytes(stop - start)

    files = RangedFiles({"lake/small": 1000, "lake/large": 5 << 20}, read_range)
    for path in ("lake/small", "lake/large"):
        for _ in range(2):
            file = files.open(path)
            file.seek(-8, 2)
            assert len(file.read(100)) == 8
            assert (file.tell(), file.read(1)) == (files.sizes[path], b"")
    assert requests == [("lake/small", 0, 1000), *2 * [("lake/large", (5 << 20) - 8, 5 << 20)]]


@pytest.mark.parametrize(("kind", "client"), [("s3", "S3FileSystem"), ("gs", "GcsFileSystem")])
def test_a_bucket_has_one_client(kind: str, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: each object was read, written and removed by a client of its own, with its own credentials."""
    made: list[Any] = []
    genuine = getattr(fs, client)
    monkeypatch.setattr(fs, client, lambda **options: made.append(options) or genuine(**options))
    with DOUBLES[kind](tmp_path) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        for number in range(5):
            write(f"{bucket.url}/{number}", b"content")
            assert read(f"{bucket.url}/{number}") == b"content"
        assert len(made) == 1
        assert path_of(bucket.url) == "lake"
