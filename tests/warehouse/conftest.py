"""A lake on AWS without AWS: one bucket and catalog for the session, a warehouse and a double for each test."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.catalog.windows import window_start
from lake_assets.conform.duckdb import conform
from lake_assets.settings import Settings, load_settings
from lake_assets.warehouse.aws.athena import Athena
from tests.support.buckets import Bucket, s3
from tests.support.conform_records import Record, write_raw
from tests.support.doubles.athena import AthenaDouble

Outputs = Callable[..., tuple[WindowOutput, ...]]


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Generator[Bucket]:
    with s3(tmp_path_factory.mktemp("moto")) as bucket:
        yield bucket


@pytest.fixture
def aws(
    moto: Bucket, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Generator[AthenaDouble]:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    double = AthenaDouble(moto.environment["AWS_ENDPOINT_URL_S3"], tmp_path_factory.mktemp("read"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", double.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", double.url)
    yield double
    double.close()


@pytest.fixture
def settings(moto: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    monkeypatch.delenv("LAKE_ATHENA_WORKGROUP", raising=False)
    return replace(load_settings(), target="aws", bucket=moto.url)


@pytest.fixture
def warehouse(aws: AthenaDouble, settings: Settings) -> Athena:
    return Athena(settings)


@pytest.fixture
def conformed(aws: AthenaDouble, settings: Settings, tmp_path: Path) -> Outputs:
    """Conform payloads by window into the bucket."""
    made: list[Path] = []

    def conformed(asset: Asset, windows: Mapping[str, Sequence[bytes]]) -> tuple[WindowOutput, ...]:
        inputs: list[WindowInput] = []
        for window, payloads in windows.items():
            at = window_start(window, asset.window) + timedelta(minutes=1)
            path = tmp_path / f"{len(made)}.parquet"
            made.append(path)
            # Offsets belong to the window, so that a row that comes again is known again.
            first = int(at.timestamp()) // 3600 * 1000
            write_raw(path, [Record(payload, offset=first + n, timestamp=at) for n, payload in enumerate(payloads)])
            inputs.append(WindowInput(window, (str(path),), len(payloads), 1))
        return conform(asset, inputs, settings.conformed, tmp_path, f"run-{len(made)}", uuid4().hex)

    return conformed
