"""Verification of an output, because the speed of a wrong result is meaningless.

The output is compared with an offline fold of the input, up to the committed offsets.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings

WINDOW_MS = 60_000
# Region, and the window's start in milliseconds since 1970 UTC.
Cell = tuple[str, int]
# Orders, pieces and cents.
Sums = tuple[int, int, int]


class Wrong(Exception):
    """Raised when an output differs from the fold of its input."""


class Order(msgspec.Struct, gc=False):
    """Fields of an event that the metric needs; the amount in euros."""

    region: str
    quantity: int
    amount: Decimal
    ordered_at: datetime


class Row(msgspec.Struct, gc=False):
    """Fields of an output row's JSON, with the amount in cents; other members are skipped."""

    region: str
    window_start: int
    orders: int
    quantity: int
    amount: int


def check(settings: Settings, topic: str, ends: Mapping[int, int], output: str) -> None:
    """Raise Wrong unless the last row of each cell of `output` equals the fold of `topic` before the offsets `ends`.

    A region has one partition only, so a cell's last row is the last that is read.
    """
    expected, found = fold(settings, topic, tuple(sorted(ends.items()))), dict(_rows(settings, output))
    for cell in expected.keys() | found.keys():
        if found.get(cell) != expected.get(cell):
            raise Wrong(f"{output}: {cell} is {found.get(cell)} and should be {expected.get(cell)}")


@lru_cache(maxsize=4)
def fold(settings: Settings, topic: str, ends: tuple[tuple[int, int], ...]) -> dict[Cell, Sums]:
    """Return the sums of every cell of the events before the offsets `ends`, pairs of partition and next offset."""
    decode, until = msgspec.json.Decoder(Order).decode, dict(ends)
    cells: dict[Cell, Sums] = {}
    for message in _records(settings, topic):
        if (message.offset() or 0) < until.get(message.partition() or 0, 0):
            order = decode(message.value() or b"")
            moment = int(order.ordered_at.timestamp()) * 1000
            cell = order.region, moment - moment % WINDOW_MS
            orders, quantity, cents = cells.get(cell, (0, 0, 0))
            cells[cell] = orders + 1, quantity + order.quantity, cents + int(order.amount * 100)
    return cells


def _rows(settings: Settings, output: str) -> Iterator[tuple[Cell, Sums]]:
    decode = msgspec.json.Decoder(Row).decode
    for message in _records(settings, output):
        row = decode(message.value() or b"")
        yield (row.region, row.window_start), (row.orders, row.quantity, row.amount)


def _records(settings: Settings, topic: str) -> Iterator[Message]:
    """Iterate over all committed records, in the order of each partition."""
    consumer = Consumer(
        {**broker_options(settings), "group.id": "bench-verify", "isolation.level": "read_committed",
         "enable.auto.commit": False, "enable.partition.eof": True, "fetch.queue.backoff.ms": 5}
    )  # fmt: skip
    try:
        open_partitions = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in open_partitions])
        while open_partitions:
            for message in consumer.consume(5_000, 0.1):
                if (error := message.error()) is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
