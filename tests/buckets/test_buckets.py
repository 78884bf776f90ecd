"""The same lake in every kind of bucket."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from lake_assets.demo.generator import expected, generate
from lake_assets.stack.lifecycle import status
from tests.buckets.doubles import DOUBLES
from tests.end_to_end.conftest import Lake

END = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, ROWS = 5, 500


@pytest.mark.parametrize("scheme", DOUBLES)
def test_events_go_from_the_topic_into_the_bucket_and_to_the_analyst(
    lake_on: Callable[[str], Lake], scheme: str
) -> None:
    lake = lake_on(scheme)
    send(lake, seed=7)
    lake.ok("run")
    wanted, found = expected("sales", ROWS, 7, END, DAYS), lake.audit("sales")
    assert found["in_balance"]
    assert sum(window["good"] for window in found["windows"]) == wanted.good
    counted = {row["code"]: row["rows"] for row in lake.ok("quarantine", "sales", "--json").json}
    assert counted == dict(wanted.quarantined)
    assert lake.mart("select sum(orders) from sales_data_mart.sales") == [(wanted.good,)]


@pytest.mark.fault(
    "Kafka Connect's worker is killed -9 with a folder, S3, GCS (doubles) and HDFS in flight",
    "every event lands once",
)
def test_a_killed_worker_loses_and_doubles_nothing_in_any_bucket(lake_on: Callable[[str], Lake]) -> None:
    lakes = [lake_on(scheme) for scheme in DOUBLES]
    for lake in lakes:
        send(lake, seed=1)
    (worker,) = (part for part in status() if part.name == "connect")
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    for lake in lakes:
        send(lake, seed=2)
    sent = sum(expected("sales", ROWS, seed, END, DAYS).lines for seed in (1, 2))
    for lake in lakes:
        lake.ok("run")
        found = lake.audit("sales")
        assert found["in_balance"]
        assert sum(window["raw"] for window in found["windows"]) >= sent


def send(lake: Lake, seed: int) -> None:
    events = b"\n".join(generate("sales", ROWS, seed, END, DAYS))
    lake.ok("produce", "sales", "-", "--format", "jsonl", stdin=events)
