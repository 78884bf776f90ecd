"""Metrics in one process: one that fails stops alone until it is repaired, and its neighbour counts meanwhile."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest
from confluent_kafka import Producer

from lake_assets.home import Home
from lake_assets.landing.broker import broker_options
from lake_assets.local_files import write_atomically
from lake_assets.settings import PROJECT
from tests.support.conditions import wait_until
from tests.support.counted_metrics import Counted
from tests.support.order_events import Expected, orders

COUNT = 500


@contextmanager
def hosted(counted: Callable[..., Counted]) -> Generator[tuple[Counted, Counted, Callable[[], dict[str, Any]]]]:
    """Count two metrics in one process. Yield both, and a function that returns the report of the process."""
    left, right = counted("hosted_left"), counted("hosted_right")
    catalog = left.instances.catalog
    for kind in ("assets", "metrics"):
        shutil.copy(right.instances.catalog / kind / "hosted_right.yaml", catalog / kind)
    path = Home(left.settings.home).host_status(1)
    environment = {**os.environ, "LAKE_HOME": str(left.settings.home), "LAKE_CATALOG": str(catalog)}
    with (catalog / "host.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "--instance", "host"],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=PROJECT,
        )
    try:
        yield left, right, lambda: json.loads(path.read_text("utf-8"))
        assert process.poll() is None
        process.terminate()
        assert process.wait(10) == 0
        assert not path.exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def send(made: Counted, events: Iterable[tuple[str, bytes]]) -> None:
    producer = Producer(broker_options(made.settings))
    for key, payload in events:
        producer.produce(made.asset.topic, payload, key)
    assert producer.flush(60) == 0


@pytest.mark.fault(
    "a metric fails in the process that it shares with others",
    "the others count on; it is named, and counts on when it is repaired",
)
def test_a_metric_that_fails_in_a_shared_process_stops_alone(counted: Callable[..., Counted]) -> None:
    with hosted(counted) as (left, right, report):
        of_left, of_right = Expected(), Expected()
        to_left, to_right = orders(2 * COUNT, of_left), orders(2 * COUNT, of_right, seed=2)
        send(left, islice(to_left, COUNT))
        send(right, islice(to_right, COUNT))
        left.wait_for(of_left.orders)
        right.wait_for(of_right.orders)

        path = left.instances.catalog / "metrics" / "hosted_right.yaml"
        valid = path.read_text("utf-8")
        write_atomically(path, valid.replace("window: 1m", "window: 1h"))
        wait_until(lambda: report()["failures"])
        assert list(report()["failures"]) == [right.metric.name]
        assert "changed while its state was kept" in report()["failures"][right.metric.name]
        before = right.orders()
        send(right, to_right)
        send(left, to_left)
        left.wait_for(of_left.orders)
        assert of_left.agrees_with(left.rows())
        assert right.orders() == before < of_right.orders

        write_atomically(path, valid)
        right.wait_for(of_right.orders)
        assert of_right.agrees_with(right.rows())
        wait_until(lambda: not report()["failures"])
