"""Send events to an asset's topic, byte for byte, each with its key and its event time."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lake_assets.catalog.model import Asset
from lake_assets.compile.topic import MAX_RECORD_BYTES, topic_name
from lake_assets.errors import LakeError, Unavailable
from lake_assets.landing.broker import DEADLINE_SECONDS, broker_error, client_config, error_of, quiet
from lake_assets.landing.envelope import envelope_reader, stamper
from lake_assets.settings import Settings

# A broker that is restarted answers again within this time; an idempotent producer then continues where it was.
_DELIVERY_SECONDS = 60.0
_CHUNK = 5000
_CHUNKS_A_SECOND = 20
PRODUCER_CONFIG: dict[str, str | int | float | bool] = {
    "enable.idempotence": True,
    # With more in flight librdkafka may take a new epoch after an error, and send again what had arrived
    # (confluentinc/librdkafka#4953). Batches are large enough that one at a time is as fast.
    "max.in.flight": 1,
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "batch.num.messages": 100_000,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 131_072,
    "message.max.bytes": MAX_RECORD_BYTES,
    "reconnect.backoff.max.ms": 1000,
    "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
    # Java's own: all producers of a topic send a key to the same partition.
    "partitioner": "murmur2_random",
    "delivery.report.only.error": True,
}


class ProduceError(LakeError):
    """Some events did not arrive; the message has the number that did, and the remedy."""


@dataclass(slots=True)
class ProduceReport:
    """Events that the broker confirmed. Bytes are those of the events, without keys.

    `flaws` counts lines that were sent unchanged but with the present time as timestamp: `not_json`, `no_event_time`,
    `in_future`.
    """

    topic: str
    records: int = 0
    bytes: int = 0
    seconds: float = 0.0
    flaws: Counter[str] = field(default_factory=Counter[str])
    interrupted: bool = False

    @property
    def records_per_second(self) -> float:
        return self.records / self.seconds if self.seconds else 0.0


def produce_lines(
    settings: Settings,
    asset: Asset,
    lines: Iterable[bytes],
    rate: float | None = None,
    on_progress: Callable[[ProduceReport], None] = lambda report: None,
) -> ProduceReport:
    """Send each line as one event and wait until the broker has confirmed them all; `rate` is in records a second.

    Ctrl-C ends the sending, not the waiting. Raises Unavailable when the broker does not answer, ProduceError when
    the topic is missing, a line is too long or events were refused.
    """
    sender = _Sender(settings, asset)
    report = sender.report
    source, started = iter(lines), time.monotonic()
    chunk = _CHUNK if rate is None else max(1, min(_CHUNK, int(rate / _CHUNKS_A_SECOND)))
    try:
        sent = -1
        while report.records != sent:
            sent = report.records
            sender.send(islice(source, chunk))
            report.seconds = time.monotonic() - started
            on_progress(report)
            sender.wait((report.records / rate - report.seconds) if rate else 0.0)
    except KeyboardInterrupt:
        report.interrupted = True
    sender.finish()
    report.seconds = time.monotonic() - started
    on_progress(report)
    return report


class _Sender:
    def __init__(self, settings: Settings, asset: Asset) -> None:
        self._settings = settings
        self._topic = topic_name(asset)
        self.report = ProduceReport(self._topic)
        self._read, self._stamp = envelope_reader(asset), stamper()
        self._failed = 0
        self._failure: KafkaError | None = None
        self._producer = Producer(
            {**client_config(settings), **PRODUCER_CONFIG, "on_delivery": self._on_failure}, logger=quiet()
        )
        self._check_topic(asset)

    def _check_topic(self, asset: Asset) -> None:
        try:
            metadata = self._producer.list_topics(self._topic, timeout=DEADLINE_SECONDS).topics[self._topic]
        except KafkaException as exception:
            raise broker_error(self._settings, error_of(exception), "describe topics") from exception
        if metadata.error is not None:
            raise ProduceError(f"asset '{asset.name}' has no topic '{self._topic}' yet: create it with `lake apply`.")

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed += 1
            self._failure = self._failure or error

    def send(self, lines: Iterable[bytes]) -> None:
        produce, topic, report = self._producer.produce, self._topic, self.report
        read, stamp = self._read, self._stamp
        for line in lines:
            key, event_time, flaw = read(line)
            timestamp, headers = stamp(event_time)
            if flaw:
                report.flaws[flaw] += 1
            while True:
                try:
                    produce(topic, line, key, timestamp=timestamp, headers=headers)
                    break
                except BufferError:
                    self.wait(0.1)
                except KafkaException as exception:
                    self._refused(len(line) + len(key or b""), error_of(exception))
            report.records += 1
            report.bytes += len(line)

    def wait(self, seconds: float) -> None:
        """Receive delivery reports for so many seconds. Raises when one failed."""
        until = time.monotonic() + seconds
        self._producer.poll(max(0.0, seconds))
        while (remaining := until - time.monotonic()) > 0:
            self._producer.poll(remaining)
        if self._failure:
            self.finish()

    def finish(self) -> None:
        """Wait until each event is confirmed or has failed. Raises Unavailable or ProduceError when one has failed."""
        waiting = self._producer.flush(_DELIVERY_SECONDS + DEADLINE_SECONDS)
        lost = self._failed + waiting
        if lost == 0:
            return
        confirmed = f"{self.report.records - lost} of {self.report.records} events are confirmed"
        advice = "send the file again, events that arrive twice are removed as duplicates"
        error = self._failure or KafkaError(KafkaError._TIMED_OUT)
        cause = broker_error(self._settings, error, f"take {lost} events")
        kind = Unavailable if isinstance(cause, Unavailable) else ProduceError
        raise kind(f"{str(cause).rstrip('.')}; {confirmed}: {advice}.")

    def _refused(self, size: int, error: KafkaError) -> NoReturn:
        number = self.report.records + 1
        self.finish()
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise ProduceError(
                f"event {number} has {size} bytes with its key and a record can have {MAX_RECORD_BYTES}: "
                f"the {number - 1} events before it are sent; shorten it or remove it, and send the rest."
            )
        raise ProduceError(f"Kafka refused event {number} ({error.str()}): the {number - 1} before it are sent.")
