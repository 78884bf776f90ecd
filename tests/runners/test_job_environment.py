"""A job opens the lake's bucket although it starts with an environment of its own."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.bucket import read
from lake_assets.conform.runner import JobStatus, SparkJob, run_to_end
from lake_assets.settings import Settings
from tests.support.buckets import Bucket, gs, s3
from tests.support.cloud_lakes import variables
from tests.support.connect_api import CREDENTIALS
from tests.support.doubles.machine import Machine
from tests.support.spark_places import Place, open_place

PLACES = {"emr-serverless": s3, "emr-given": s3, "dataproc-given": gs, "dataproc-batch": gs}
TIMEOUT = 60.0


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[object, Bucket]]:
    with s3(tmp_path_factory.mktemp("s3")) as amazon, gs(tmp_path_factory.mktemp("gs")) as google:
        yield {s3: amazon, gs: google}


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest,
    buckets: dict[object, Bucket],
    settings: Settings,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[tuple[Place, str]]:
    bucket = buckets[PLACES[request.param]]
    with variables({**bucket.environment, **CREDENTIALS}):
        opened = open_place(request.param, machine, replace(settings, bucket=bucket.url), monkeypatch.setenv)
        yield opened, bucket.url
        opened.close()


def ignore(_: JobStatus) -> None:
    """Discard progress."""


def test_job_writes_to_the_bucket_without_the_environment_of_the_lake(place: tuple[Place, str], tmp_path: Path) -> None:
    runs_on, bucket = place
    out = f"{bucket}/{runs_on.name}"
    job = SparkJob("lake-orders-0123456789-1", ("succeed", out), {})
    assert run_to_end(runs_on.runner(), job, TIMEOUT, ignore).state == "succeeded"
    assert read(f"{out}/answer") == b"42"
