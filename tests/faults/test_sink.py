"""Faults of the bucket while Kafka Connect writes raw into it."""

from pathlib import Path
from random import Random

import pytest

from lake_assets.landing.connect import connector_status
from lake_assets.settings import Settings
from tests.buckets.conftest import applied_lake
from tests.support.buckets import Bucket, s3
from tests.support.conditions import wait_until
from tests.support.refusing_folders import small
from tests.support.sales_events import landed, send


@pytest.mark.fault(
    "the bucket (a folder) is full while Kafka Connect writes raw",
    "`lake status` reports it; with room and `lake apply`, every event lands once",
)
def test_a_bucket_that_is_full_for_a_while_loses_and_doubles_nothing(stack: Settings, tmp_path: Path) -> None:
    # Numbers without order, which no compression makes small: three times the room. If all files of events had it, and
    # only a commit's metadata had none, the sink would try again for ever and no task would fail.
    random = Random(5)
    bucket = Bucket(f"file://{tmp_path}/bucket", {})
    with small(tmp_path / "bucket", 800) as grow, applied_lake(stack, tmp_path, "full", bucket) as lake:
        send(lake, (f"{random.getrandbits(128)}" for _ in range(100_000)))

        def has_failed() -> bool:
            status = connector_status(stack, "raw-shopfull")
            return status is not None and status.failure is not None

        wait_until(has_failed)
        answer = lake("status", "--json")
        assert answer.code == 3
        (health,) = (part["health"] for part in answer.json["parts"] if part["name"] == "connect")
        assert "raw-shopfull" in health
        assert "No space left on device" in health
        grow(200_000)
        lake.ok("apply")
        lake.ok("run")
        assert landed(lake) == 100_000


@pytest.mark.fault("the bucket (a double of S3) takes 50 ms longer for each request", "it is only slower")
def test_a_slow_bucket_is_only_slower(stack: Settings, tmp_path: Path) -> None:
    with s3(tmp_path / "double", 0.05) as bucket, applied_lake(stack, tmp_path, "slow", bucket) as lake:
        send(lake, map(str, range(500)))
        lake.ok("run")
        assert landed(lake) == 500
