"""Senders of events to a metric's source, at a given rate."""

import threading
import time
from collections.abc import Iterator

from confluent_kafka import Producer

from lake_assets.landing.broker import broker_options
from tests.support.counted_metrics import Counted


def produce(counted: Counted, events: Iterator[tuple[str, bytes]], rate: float) -> threading.Thread:
    """Send events at this rate, in a thread; wait for a broker that is down meanwhile."""

    def send() -> None:
        producer = Producer({**broker_options(counted.settings), "enable.idempotence": True, "linger.ms": 5})
        began = time.monotonic()
        for number, (key, payload) in enumerate(events):
            while number > (time.monotonic() - began) * rate:
                producer.poll(0.01)
            _produce(producer, counted.asset.topic, key, payload)
            if number % 1000 == 0:
                producer.poll(0)
        assert producer.flush(120) == 0

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def _produce(producer: Producer, topic: str, key: str, payload: bytes) -> None:
    while True:
        try:
            producer.produce(topic, payload, key)
            return
        except BufferError:
            producer.poll(0.1)
