"""Which offsets of a Kafka partition hold records: the rest are transaction markers, aborted or compacted away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lake_assets.errors import Unavailable
from lake_assets.landing.broker import broker_error, client_config, error_of, quiet
from lake_assets.settings import Settings

_DEADLINE_SECONDS = 60.0
_BATCH = 10_000


def record_offsets(settings: Settings, topic: str, partition: int, first: int, last: int) -> list[int]:
    """Offsets from `first` to `last` (inclusive) that hold a committed record, in order.

    Reads the records themselves, so ask only for ranges that need it. Offsets that the broker has forgotten are left
    out. Raises Unavailable when the broker does not answer.
    """
    found: list[int] = []
    with _assigned(settings, topic, partition, first) as consumer:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while _position(consumer, topic, partition, first) <= last:
            messages = consumer.consume(_BATCH, timeout=0.2)
            for message in messages:
                error = message.error()
                if error is not None:
                    raise broker_error(settings, error, f"read {topic}[{partition}]")
                offset = message.offset()
                if offset is not None and first <= offset <= last:
                    found.append(offset)
            if messages:
                deadline = time.monotonic() + _DEADLINE_SECONDS
            elif time.monotonic() > deadline:
                raise Unavailable(f"{topic}[{partition}] could not be read up to offset {last}: see 'lake status'.")
    return found


@contextmanager
def _assigned(settings: Settings, topic: str, partition: int, first: int) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": "lake-audit",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 5,
            "fetch.wait.max.ms": 50,
        },
        logger=quiet(),
    )
    try:
        consumer.assign([TopicPartition(topic, partition, first)])
        yield consumer
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), f"read {topic}[{partition}]") from exception
    finally:
        consumer.close()


def _position(consumer: Consumer, topic: str, partition: int, first: int) -> int:
    # Markers move the position only when a record follows them, so at the end of the log the watermark decides.
    position = consumer.position([TopicPartition(topic, partition)])[0].offset
    return first if position is None or position < 0 else position
