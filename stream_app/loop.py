"""The exactly-once loop: consume, fold, and commit state, rows and offsets in one transaction.

Several instances share the partitions through the consumer group. Memory always holds a committed state plus the events
folded since. After any failure that could break this, memory is discarded and restored. One batch is validated while
the next is consumed. It is not part of the state until it is folded, so a commit need not wait for it.
"""

import gc
import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.landing.broker import broker_options
from lake_assets.landing.envelope import raw_time
from lake_assets.settings import Settings
from stream_app.checkpoint import Checkpoint, fingerprint_of, read_checkpoint
from stream_app.errors import Refusal
from stream_app.events import POSITION, events_of
from stream_app.group_protocol import group_settings
from stream_app.restore import restore
from stream_app.retry import call_with_retry
from stream_app.state import BEFORE_ALL, PartitionState, late_as_json, rows_as_json
from stream_app.status import Status
from stream_app.transaction import Record, TransactionFailed, Transactions
from stream_app.validate import Judge, Judged

BATCH = 20_000
COMMIT_SECONDS = 0.1
# Without any events, the longest wait for the first: of many metrics in one process most are idle, and each look costs
# processor time.
QUIET_SECONDS = 1.0
# A partition without new records for this long no longer holds its windows open.
IDLE_SECONDS = 10.0
# An undecodable event is kept with its key and value if each is at most this long, without them otherwise.
_KEPT_BYTES = 512 << 10


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records in validation, ordered by partition; `spans` has the start and end of each partition's records."""

    messages: Sequence[Message]
    spans: Mapping[int, tuple[int, int]]
    judged: Future[Judged]


def kept_parts(
    asset: Asset, key: bytes | None, value: bytes | None
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Return key and value of a refused record as its topic keeps them, and headers with the size of large parts.

    An asset with confidential fields has neither: where they are in a broken payload is not known, and the topic is
    out of reach of an erasure.
    """
    parts, sizes = {"key": key, "value": value}, list[tuple[str, bytes]]()
    for part, content in parts.items():
        if content is not None and len(content) > _KEPT_BYTES:
            sizes.append((f"bytes of {part}", str(len(content)).encode()))
            parts[part] = None
    return (parts["key"], parts["value"], sizes) if not asset.is_confidential else (None, None, sizes)


class Loop:
    """One instance of the application for one metric. `run` returns after `stop`."""

    def __init__(
        self, settings: Settings, asset: Asset, metric: Metric, instance: str, partitions: int, status: Status
    ) -> None:
        self.status = status
        self._settings, self._asset, self._metric = settings, asset, metric
        self._partitions = partitions
        self._fingerprint = fingerprint_of(metric)
        self._judge = Judge(asset, metric)
        self._judging: _Batch | None = None
        self._worker = ThreadPoolExecutor(1, "judge")
        self._transactions = Transactions(settings, f"{metric.topic}-{instance}")
        self._states: dict[int, PartitionState] = {}
        self._next: dict[int, int] = {}
        self._at_end: dict[int, float] = {}
        self._idle: set[int] = set()
        self._moved: set[int] = set()
        self._touched: set[int] = set()
        self._extra: list[Record] = []
        self._is_quiet = False
        self._failure: Exception | None = None
        self._stopping = False
        self._consumer = Consumer(
            {
                **broker_options(settings),
                "group.id": metric.topic,
                "client.id": instance,
                **group_settings(settings),
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 5,  # the default of a second costs two thirds of the throughput
                # The broker answers at once when there is an event; without any it is asked so often. A partition that
                # comes meanwhile waits for the answer, so it is less than 100,000 events in memory last.
                "fetch.wait.max.ms": 200,
                "queued.max.messages.kbytes": 65_536,
            }
        )

    def stop(self) -> None:
        """Ask `run` to commit and return; safe in a signal handler."""
        self._stopping = True

    def run(self, on_tick: Callable[[Status], None]) -> None:
        """Process events until `stop`; `on_tick` is called about once a second. Raises Refusal and KafkaException."""
        gc.set_threshold(100_000)
        try:
            self._transactions.start()
            self._consumer.subscribe(
                [self._asset.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            committed = ticked = time.monotonic()
            while not self._stopping:
                messages = self._consume()
                self._raise_failure()
                if messages:
                    self._take(messages)
                if len(messages) < BATCH:  # no records are waiting, so the validation delays nothing
                    self._settle()
                now = time.monotonic()
                if now - committed >= COMMIT_SECONDS:
                    self._commit()
                    committed = time.monotonic()
                if now - ticked >= 1.0:
                    self._close_idle_windows(now)
                    self.status.observe(self._states, self._next)
                    on_tick(self.status)
                    ticked = now
            self._settle()
            self._commit()
        except BaseException:
            # Half-folded or half-written state must not be committed when close() returns the partitions.
            self._forget_all()
            raise
        finally:
            self._consumer.close()
            self._transactions.close()
            self._worker.shutdown()
            self._judge.close()
        self._raise_failure()

    # Consuming

    def _consume(self) -> list[Message]:
        """Consume up to a batch of records.

        Records of a partition that was assigned meanwhile may be from an older position: they are consumed again.
        """
        self._moved.clear()
        if self._is_quiet:
            messages = self._consumer.consume(1, QUIET_SECONDS)
        else:
            messages = self._consumer.consume(BATCH, COMMIT_SECONDS)
        self._is_quiet = not messages and not self._touched
        if not self._moved:
            return messages
        for partition in self._moved & {message.partition() for message in messages} & self._states.keys():
            self._consumer.seek(TopicPartition(self._asset.topic, partition, self._next[partition]))
        return [message for message in messages if message.partition() not in self._moved]

    def _take(self, messages: list[Message]) -> None:
        """Submit records for validation, after the previous ones are folded."""
        errors = [message.error() for message in messages]
        ends = [message for message, error in zip(messages, errors, strict=True) if error is not None]
        if ends:
            messages = [message for message, error in zip(messages, errors, strict=True) if error is None]
        by_partition: dict[int, list[Message]] = {}
        for partition, run in itertools.groupby(messages, Message.partition):
            by_partition.setdefault(partition or 0, []).extend(run)
        for partition in by_partition:
            self._at_end.pop(partition, None)
        for message in ends:
            self._end(message, by_partition.get(message.partition() or 0, []))
        self._settle()
        new = {
            partition: fresh
            for partition, records in by_partition.items()
            if partition in self._states and (fresh := self._fresh(partition, records))
        }
        if new:
            self._judging = self._begin(new)

    def _fresh(self, partition: int, messages: list[Message]) -> list[Message]:
        """Leave out records that are folded already: a rebalance may deliver them again."""
        expected = self._next[partition]
        if (messages[0].offset() or 0) >= expected:
            return messages
        return [message for message in messages if (message.offset() or 0) >= expected]

    def _begin(self, by_partition: Mapping[int, list[Message]]) -> _Batch:
        ordered = list(itertools.chain.from_iterable(by_partition.values()))
        ends = list(itertools.accumulate(map(len, by_partition.values())))
        spans = {
            partition: (end - len(by_partition[partition]), end)
            for partition, end in zip(by_partition, ends, strict=True)
        }
        return _Batch(ordered, spans, self._worker.submit(self._judge_all, ordered))

    def _judge_all(self, messages: list[Message]) -> Judged:
        times = list(map(raw_time, messages)) if self._asset.event_time is None else None
        return self._judge.judge([message.value() for message in messages], times)

    def _end(self, message: Message, records: Sequence[Message]) -> None:
        """Record that a partition is at its end, unless its records in the same batch go further."""
        error = message.error()
        if error is None or error.code() != KafkaError._PARTITION_EOF:
            if error is not None and (error.fatal() or not error.retriable()):
                raise KafkaException(error)
        elif not records or (records[-1].offset() or 0) < (message.offset() or 0):
            self._at_end[message.partition() or 0] = time.monotonic()

    def _settle(self) -> None:
        """Fold the batch that is in validation."""
        batch, self._judging = self._judging, None
        if batch is None:
            return
        judged = batch.judged.result()
        positions = judged.good[POSITION].to_numpy()
        for partition, (start, end) in batch.spans.items():
            low, high = positions.searchsorted([start, end]).tolist()
            self._fold(partition, batch.messages, start, end, judged.good.slice(low, high - low))
        for record in judged.refused:
            self._refuse(batch.messages[record.position], record.codes)

    def _fold(self, partition: int, messages: Sequence[Message], start: int, end: int, good: pa.Table) -> None:
        """Fold the validated records of one partition, which are messages `start` to `end`."""
        if len(good):
            self._states[partition].fold(events_of(good), _Offsets(messages), time.time_ns() // 1_000_000)
        self._next[partition] = (messages[end - 1].offset() or 0) + 1
        self._idle.discard(partition)
        self._touched.add(partition)
        self.status.events += end - start

    def _refuse(self, message: Message, codes: Sequence[str]) -> None:
        """Write a record to the undecodable topic, without large parts: raw and quarantine have it whole."""
        key, value, sizes = kept_parts(self._asset, message.key() or None, message.value())
        headers = [("partition", str(message.partition()).encode()), ("offset", str(message.offset()).encode())]
        headers += [("error", code.encode()) for code in codes]
        self._extra.append(
            Record(
                self._metric.undecodable,
                message.partition() or 0,
                key,
                value,
                time.time_ns() // 1_000_000,
                [*headers, *sizes],
            )
        )
        self.status.undecodable += 1

    # Committing

    def _commit(self) -> None:
        if not self._touched:
            return
        began = time.monotonic()
        now = time.time_ns() // 1_000_000
        touched = sorted(self._touched)
        positions: list[TopicPartition] = []
        records: list[Record] = []
        for partition in touched:
            records.extend(self._records(partition, now))
            positions.append(self._checkpoint(partition, now))
        try:
            self._transactions.commit(itertools.chain(self._extra, records), positions, self._consumer)
        except TransactionFailed as failure:
            self.status.failed_transactions += 1
            self.status.last_failure = str(failure)
            self._roll_back()
            return
        self._clear()
        self.status.transaction(time.monotonic() - began)

    def _records(self, partition: int, now: int) -> Iterator[Record]:
        state, metric = self._states[partition], self._metric
        delta = state.take_delta(self._next[partition], now)
        for key, value in delta.changelog:
            yield Record(metric.changelog, partition, key, value, now)
        for key, value in rows_as_json(metric, partition, state, delta.rows):
            yield Record(metric.topic, partition, key, value, now)
        for key, value in late_as_json(metric, partition, delta.late):
            yield Record(metric.late, partition, key, value, now)
        self.status.rows += len(delta.rows)
        self.status.late += len(delta.late)

    def _checkpoint(self, partition: int, now: int) -> TopicPartition:
        state = self._states[partition]
        checkpoint = Checkpoint(
            self._next[partition], state.since(now), state.watermark, partition in self._idle, self._fingerprint
        )
        return TopicPartition(self._asset.topic, partition, checkpoint.offset, checkpoint.metadata())

    def _clear(self) -> None:
        self._touched.clear()
        self._extra.clear()

    def _roll_back(self) -> None:
        """Discard the state in memory and continue from the last commit."""
        owned = sorted(self._states)
        self._forget_all()
        self._restore(owned)
        for partition in owned:
            self._consumer.seek(TopicPartition(self._asset.topic, partition, self._next[partition]))

    # Partition assignment

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        try:
            new = sorted(item.partition for item in assigned)
            self._restore(new)
            consumer.incremental_assign(
                [TopicPartition(self._asset.topic, partition, self._next[partition]) for partition in new]
            )
        except Exception as failure:
            self._failure = failure  # an exception in a callback would be swallowed

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        try:
            self._settle()
            self._commit()
        except Exception as failure:
            self._failure = failure
        self._forget(revoked)

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        """Discard uncommitted state: another instance has the partitions already."""
        self._forget(lost)
        try:
            self._roll_back()
        except Exception as failure:
            self._failure = failure

    def _forget_all(self) -> None:
        self._judging = None
        self._clear()
        self._states.clear()

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        for item in partitions:
            self._states.pop(item.partition, None)
            self._next.pop(item.partition, None)
            self._at_end.pop(item.partition, None)
            self._idle.discard(item.partition)
            self._touched.discard(item.partition)

    def _restore(self, partitions: Sequence[int]) -> None:
        if partitions and max(partitions) >= self._partitions:
            raise Refusal(
                f"the topic {self._asset.topic} has more partitions than when the metric '{self._metric.name}' was "
                f"created ({self._partitions}): keys have moved to other partitions, so repeats would be counted. "
                "Raise the metric's major version and run `lake apply`."
            )
        checkpoints = self._committed(partitions)
        began = time.monotonic()
        self.status.restoring = len(partitions)
        states = restore(self._settings, self._asset, self._metric, checkpoints, self.status.restored)
        self._states.update(states)
        self._moved |= states.keys()
        for partition, checkpoint in checkpoints.items():
            self._next[partition] = checkpoint.offset if checkpoint else self._first_offset(partition)
        self.status.restoring = 0
        self.status.restore_seconds = time.monotonic() - began

    def _committed(self, partitions: Sequence[int]) -> dict[int, Checkpoint | None]:
        """Return the committed checkpoints; with read_committed the broker waits for transactions about to end."""
        topic_partitions = [TopicPartition(self._asset.topic, partition) for partition in partitions]
        committed = call_with_retry(lambda: self._read_committed(topic_partitions)) if topic_partitions else []
        return {item.partition: read_checkpoint(self._metric, item.offset, item.metadata) for item in committed}

    def _read_committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        committed = self._consumer.committed(partitions, timeout=30)
        for item in committed:
            if item.error is not None:
                raise KafkaException(item.error)
        return committed

    def _first_offset(self, partition: int) -> int:
        topic_partition = TopicPartition(self._asset.topic, partition)
        low, _ = call_with_retry(lambda: self._consumer.get_watermark_offsets(topic_partition, timeout=30))
        return low

    # Idle partitions

    def _close_idle_windows(self, now: float) -> None:
        """Let the windows of partitions without new events close with those of the others."""
        newly_idle = {p for p, since in self._at_end.items() if now - since >= IDLE_SECONDS and p in self._states}
        newly_idle -= self._idle
        self._idle |= newly_idle
        self._touched |= newly_idle  # so that the other instances see it
        waiting = [partition for partition in self._idle if self._states[partition].windows]
        if not waiting:
            return
        target = idle_watermark(self._watermarks().values())
        for partition in waiting:
            state = self._states[partition]
            if target > state.watermark:
                state.watermark = target
                self._touched.add(partition)

    def _watermarks(self) -> Mapping[int, tuple[int, bool]]:
        """Return each partition's watermark and idle flag; those of other instances as last committed."""
        foreign = [partition for partition in range(self._partitions) if partition not in self._states]
        committed = {
            partition: (checkpoint.watermark, checkpoint.idle)
            for partition, checkpoint in self._committed(foreign).items()
            if checkpoint
        }
        return committed | {
            partition: (state.watermark, partition in self._idle) for partition, state in self._states.items()
        }

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def idle_watermark(watermarks: Collection[tuple[int, bool]]) -> int:
    """Return the watermark for idle partitions: that of the slowest busy one, or of the newest if all are idle.

    Each partition is given by its watermark and its idle flag.
    """
    busy = [watermark for watermark, idle in watermarks if not idle]
    return min(busy) if busy else max((watermark for watermark, _ in watermarks), default=BEFORE_ALL)


class _Offsets:
    """The offsets of a batch, read only for the few records that need theirs."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    def __getitem__(self, position: int) -> int:
        offset = self._messages[position].offset()
        assert offset is not None
        return offset
