"""One transaction: state, rows, late and undecodable records and input offsets, all or nothing."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from lake_assets.compile.topic import MAX_RECORD_BYTES
from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings
from stream_app.errors import Refusal

# The broker aborts a transaction after this long without its producer; readers of committed records wait until then.
TRANSACTION_TIMEOUT_MS = 10_000
_CALL_SECONDS = 15.0
_START_SECONDS = 30.0
# Extra time for a call beyond its own timeout, before its answer counts as lost.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """A record to write. `time` is in milliseconds since 1970; `value` None is a tombstone."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    time: int
    headers: Sequence[tuple[str, bytes]] = field(default_factory=list[Any])


class TransactionFailed(Exception):
    """Raised when nothing was committed or the outcome is unknown: discard the state in memory and restore it."""


class Transactions:
    """Commits transactions under one transactional id. A failed one costs the producer, never data."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._options = {
            **broker_options(settings),
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "linger.ms": 5,
            "compression.type": "lz4",
            # Per record; librdkafka's default limit is an eighth of the topics'.
            "message.max.bytes": MAX_RECORD_BYTES,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 262_144,
        }
        self._producer: Producer | None = None

    def commit(self, records: Iterable[Record], offsets: list[TopicPartition], consumer: Consumer) -> None:
        """Write the records and the offsets, both or neither. Raises TransactionFailed.

        Raises Refusal for a record that no broker accepts: retrying would not help.
        """
        try:
            producer = self._started()
            producer.begin_transaction()
            for record in records:
                _produce(producer, record)
            metadata = _membership(consumer)
            _with_deadline(
                lambda: producer.send_offsets_to_transaction(offsets, metadata, _CALL_SECONDS), _CALL_SECONDS
            )
            _with_deadline(lambda: producer.commit_transaction(_CALL_SECONDS), _CALL_SECONDS)
        except KafkaException as error:
            self._give_up(error)
            raise TransactionFailed(str(error)) from error

    def start(self) -> None:
        """End the open transaction of an earlier process with the same id. Raises TransactionFailed."""
        try:
            self._started()
        except KafkaException as error:
            self._producer = None
            raise TransactionFailed(str(error)) from error

    def close(self) -> None:
        """Release the producer with its threads; the broker ends its transaction, if it has one open."""
        self._producer = None

    def _started(self) -> Producer:
        if self._producer is None:
            producer = Producer(self._options)
            _with_deadline(lambda: producer.init_transactions(_START_SECONDS), _START_SECONDS)
            self._producer = producer
        return self._producer

    def _give_up(self, error: KafkaException) -> None:
        # After a timeout or a fatal error it is unknown what the broker received. A new producer of the same id makes
        # the broker abort the old one's transaction; aborting it here only helps readers.
        producer, self._producer = self._producer, None
        if producer is not None and error.args[0].txn_requires_abort():
            try:
                _with_deadline(lambda: producer.abort_transaction(_CALL_SECONDS), _CALL_SECONDS)
            except KafkaException:
                return


def _with_deadline(call: Callable[[], None], seconds: float) -> None:
    """Make a call that should return within so many seconds. Raises KafkaException when it does not.

    librdkafka 2.16 waits for ever when the answer to a request was lost with its broker, whatever the timeout:
    instances hung until they were killed by hand. A call that does not return keeps its thread and its producer.
    """
    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run, name="transaction", daemon=True)
    thread.start()
    thread.join(seconds + _GRACE_SECONDS)
    if not outcome:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer from librdkafka"))
    if outcome[0] is not None:
        raise outcome[0]


def _membership(consumer: Consumer) -> Any:
    """Return the consumer's group metadata, so that the broker rejects its offsets if others have its partitions.

    The broker accepts offsets of a consumer that is in no group from anyone. The member id is read afterwards: a fenced
    member joins again only after the loop has noticed.
    """
    metadata = consumer.consumer_group_metadata()
    if not consumer.memberid():
        reason = "this instance was removed from its group"
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID, reason, txn_requires_abort=True))
    return metadata


def _produce(producer: Producer, record: Record) -> None:
    while True:
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                timestamp=record.time,
                headers=list(record.headers),
            )
            return
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            size = len(record.key or b"") + len(record.value or b"")
            raise Refusal(
                f"a record of {size:,} bytes for {record.topic}[{record.partition}] is larger than a message may be, "
                "so counting stops: find the group or key of the metric's source that has such values."
            ) from error
