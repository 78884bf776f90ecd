"""`lake run` while events come without a pause."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from confluent_kafka import Producer

from lake_assets.landing.broker import broker_options
from tests.end_to_end.conftest import Lake

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop.pulses
name: pulses
version: 1.0.0
status: active
domain: shop
description: {purpose: One row per pulse.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: felt_at, window: day, partitions: 2}}
schema:
  - name: pulses
    properties:
      - {name: felt_at, logicalType: timestamp, required: true, description: When it was felt (UTC).}
"""


@contextmanager
def flowing(lake: Lake) -> Generator[None]:
    """Some events every few milliseconds."""
    producer, over = Producer(broker_options(lake.settings)), threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            event = json.dumps({"felt_at": AT.isoformat()}).encode()
            producer.produce("shop.pulses", event, timestamp=int(AT.timestamp() * 1000))
            producer.poll(0)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()
        assert producer.flush(30) == 0


def test_run_waits_for_what_was_there_when_it_began(lake: Lake) -> None:
    """A stream that never pauses always has events that have not landed: the run gave up after a minute."""
    lake.contract("pulses").write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    try:
        with flowing(lake):
            report = lake.ok("run", "--json").json
    finally:
        lake.unapply("pulses")
    assert report["published"]["pulses"] == ["2026-03-01"]
    assert report["under_way"] == 0
    assert report["waited_seconds"] < 45
