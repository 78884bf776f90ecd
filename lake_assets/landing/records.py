"""Offsets of a Kafka partition that hold records: the others are transaction markers, aborted or compacted away."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lake_assets.errors import Unavailable
from lake_assets.landing.broker import broker_error, client_config, error_of, quiet
from lake_assets.settings import Settings

_DEADLINE_SECONDS = 60.0
_BATCH = 10_000


def record_offsets(settings: Settings, topic: str, partition: int, first: int, last: int) -> list[int]:
    """Return the offsets from `first` to `last` (inclusive) that hold a committed record, in order.

    Reads the records themselves, so use it only for ranges that need it. Offsets that the broker has deleted are left
    out. Raises Unavailable when the broker does not answer.
    """
    offsets: list[int] = []
    with _assigned(settings, topic, partition, first) as consumer:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, timeout=0.2):
                error, offset = message.error(), message.offset()
                # The end of the log ends the range too: after the last record there may be markers only.
                if error is not None and error.code() == KafkaError._PARTITION_EOF:  # type: ignore[attr-defined]
                    return offsets
                if error is not None:
                    raise broker_error(settings, error, f"read {topic}[{partition}]")
                if offset is None or offset > last:
                    return offsets
                offsets.append(offset)
                deadline = time.monotonic() + _DEADLINE_SECONDS
            if offsets and offsets[-1] == last:
                return offsets
    raise Unavailable(f"{topic}[{partition}] could not be read up to offset {last}: see `lake status`.")


@contextmanager
def _assigned(settings: Settings, topic: str, partition: int, first: int) -> Generator[Consumer]:
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": "lake-audit",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
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
