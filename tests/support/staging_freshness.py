"""Seconds from sending sales to their rows in staging, while they flow."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from confluent_kafka import Producer

from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect


class Flow:
    """Sends a sale each half second. `seconds` returns the age at arrival of those that were sent meanwhile."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._sent: dict[str, float] = {}
        self._over = threading.Event()

    def send(self) -> None:
        producer = Producer(broker_options(self._settings))
        while not self._over.wait(0.5):
            order = f"flow-{time.time_ns()}"
            sale = {"order_id": order, "region": "east", "product": "mug", "quantity": 1, "amount": "1.00",
                    "ordered_at": datetime.now(UTC).isoformat()}  # fmt: skip
            producer.produce(self._topic, json.dumps(sale).encode(), key=order)
            producer.poll(0)
            self._sent[order] = time.monotonic()
        assert producer.flush(60) == 0

    def stop(self) -> None:
        self._over.set()

    def seconds(self, during: float, deadline: float = 180) -> list[float]:
        """Return the age at arrival of each sale that is sent in the next `during` seconds."""
        began, ages = time.monotonic(), dict[str, float]()
        with connect(self._settings, read_only=True, serving=False) as session:
            while True:
                now = time.monotonic()
                due = {order for order, sent in list(self._sent.items()) if began <= sent < began + during}
                if now > began + during and due <= ages.keys():
                    return [ages[order] for order in due]
                assert now < began + during + deadline, f"{len(due - ages.keys())} of {len(due)} have not arrived"
                query = "select order_id from lake.sales_staging.sales where order_id like 'flow-%'"
                for (order,) in session.execute(query).fetchall():
                    if order in due and order not in ages:
                        ages[order] = now - self._sent[order]
                time.sleep(0.5)


@contextmanager
def flowing(settings: Settings, topic: str) -> Iterator[Flow]:
    flow = Flow(settings, topic)
    thread = threading.Thread(target=flow.send)
    thread.start()
    try:
        yield flow
    finally:
        flow.stop()
        thread.join()
