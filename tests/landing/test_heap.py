"""A commit may bring many times the heap of the worker that lands it."""

import json
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.topic import control_topic
from lake_assets.landing.broker import client_config
from lake_assets.landing.connect import connector_for, connector_status, ensure_connector
from lake_assets.landing.files import window_rows
from lake_assets.landing.topics import ensure_topics
from lake_assets.settings import Settings
from tests.support.conditions import wait_until
from tests.support.landed_records import apply, read_raw, row_count
from tests.support.own_worker import own_worker
from tests.support.raw_assets import example_asset

YEAR_ONE, A_DAY = -62_135_596_800_000, 86_400_000
# Each alone is more than what a worker with this heap has left for open files.
HEAP, WINDOWS, BYTES, LARGE = "224m", 800, 150_000_000, 250_000


@pytest.mark.fault(
    "one commit brings hundreds of windows and more bytes than Kafka Connect's heap has",
    "files are closed before the commit, every event lands once",
)
def test_neither_windows_nor_bytes_of_one_commit_end_the_sink(stack: Settings, tmp_path: Path) -> None:
    """Sent before the connector is there, so that one commit has all of it."""
    random, asset = Random(7), example_asset("many", domain="heap", topic="heap.many")
    apply(stack, asset)
    ensure_topics(stack, [control_topic("heap")])
    producer = Producer({**client_config(stack), "message.max.bytes": 8 << 20})
    sent = 0

    def send(payload: bytes, window: int) -> None:
        nonlocal sent
        at = str(YEAR_ONE + window * A_DAY)
        producer.produce("heap.many", payload, partition=sent % 4, headers=[("lake-event-time", at)])
        producer.poll(0)
        sent += 1

    for window in range(WINDOWS):
        send(json.dumps({"id": str(window)}).encode(), window)
    for number in range(BYTES // LARGE):
        # No compression makes these small.
        send(random.randbytes(LARGE), number % 8)
        if number % 100 == 0:
            producer.flush(30)
    assert producer.flush(60) == 0
    producer.close()
    with own_worker(stack, tmp_path / "worker", HEAP) as settings:
        spec = connector_for(settings, "heap", [asset])
        # The usual 500 records of a call may be of as many windows, which are much of this heap.
        own = {"iceberg.control.commit.interval-ms": "20000", "consumer.override.max.poll.records": "100"}
        ensure_connector(settings, ConnectorSpec(spec.name, {**spec.config, **own}))

        def all_landed() -> bool:
            status = connector_status(settings, spec.name)
            assert status is None or status.failure is None, status.failure
            return row_count(settings, asset) >= sent

        wait_until(all_landed)
    assert len(window_rows(stack, asset)) == WINDOWS
    landed = read_raw(stack, asset)
    assert len({(record.partition, record.offset) for record in landed}) == len(landed) == sent
