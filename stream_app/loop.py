"""The exactly-once loop: consume, fold, and commit state, rows and offsets in one transaction.

Several instances share the partitions through the consumer group. What is in memory is always a committed state plus
what was folded since; whenever the two may differ in another way, memory is thrown away and restored. One batch is
judged while the next is consumed; it is no part of the state until it is folded, so a commit need not wait for it.
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
from stream_app.checkpoint import Position, fingerprint_of, read_position
from stream_app.errors import Refusal
from stream_app.events import POSITION, events_of
from stream_app.group_protocol import group_settings
from stream_app.restore import restore
from stream_app.retry import ask
from stream_app.state import BEFORE_ALL, PartitionState, late_as_json, rows_as_json
from stream_app.status import Status
from stream_app.transaction import Record, TransactionFailed, Transactions
from stream_app.validate import Judge, Judged

BATCH = 20_000
COMMIT_SECONDS = 0.1
# A partition that had nothing more to read for this long does not hold its windows open any longer.
IDLE_SECONDS = 10.0
# A refused event is set aside with its key and value up to this length each, without them beyond.
_KEPT_BYTES = 512 << 10


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records under judgement, ordered by partition; `spans` says where each partition's begin and end."""

    messages: Sequence[Message]
    spans: Mapping[int, tuple[int, int]]
    judged: Future[Judged]


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
        """Asks `run` to commit what it has and to return; safe in a signal handler."""
        self._stopping = True

    def run(self, on_tick: Callable[[Status], None]) -> None:
        """Works until `stop`; `on_tick` is called about once a second. Raises Refusal and KafkaException."""
        gc.set_threshold(100_000)
        self._transactions.start()
        self._consumer.subscribe(
            [self._asset.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        committed = ticked = time.monotonic()
        try:
            while not self._stopping:
                messages = self._consume()
                self._raise_failure()
                if messages:
                    self._take(messages)
                if len(messages) < BATCH:  # nothing is waiting, so nobody is kept waiting for the judge
                    self._settle()
                now = time.monotonic()
                if now - committed >= COMMIT_SECONDS:
                    self._commit()
                    committed = time.monotonic()
                if now - ticked >= 1.0:
                    self._look_for_idle(now)
                    self.status.observe(self._states, self._next)
                    on_tick(self.status)
                    ticked = now
            self._settle()
            self._commit()
        except BaseException:
            # What is half folded or half written must not be committed when closing gives the partitions back.
            self._forget_all()
            raise
        finally:
            self._consumer.close()
            self._worker.shutdown()
        self._raise_failure()

    # Consuming

    def _consume(self) -> list[Message]:
        """Up to a batch of records. Those of a partition that was moved meanwhile may be of a time before: they are
        asked for again."""
        self._moved.clear()
        messages = self._consumer.consume(BATCH, COMMIT_SECONDS)
        if not self._moved:
            return messages
        for partition in self._moved & {message.partition() for message in messages} & self._states.keys():
            self._consumer.seek(TopicPartition(self._asset.topic, partition, self._next[partition]))
        return [message for message in messages if message.partition() not in self._moved]

    def _take(self, messages: list[Message]) -> None:
        """Gives records to the judge, after those before them are folded."""
        errors = [message.error() for message in messages]
        ends = [message for message, error in zip(messages, errors, strict=True) if error is not None]
        if ends:
            messages = [message for message, error in zip(messages, errors, strict=True) if error is None]
        places: dict[int, list[Message]] = {}
        for partition, run in itertools.groupby(messages, Message.partition):
            places.setdefault(partition or 0, []).extend(run)
        for partition in places:
            self._at_end.pop(partition, None)
        for message in ends:
            self._end(message, places.get(message.partition() or 0, []))
        self._settle()
        new = {at: fresh for at, given in places.items() if at in self._states and (fresh := self._fresh(at, given))}
        if new:
            self._judging = self._begin(new)

    def _fresh(self, partition: int, messages: list[Message]) -> list[Message]:
        """Leaves out records that are folded already: after a rebalance they may come again."""
        expected = self._next[partition]
        if (messages[0].offset() or 0) >= expected:
            return messages
        return [message for message in messages if (message.offset() or 0) >= expected]

    def _begin(self, places: Mapping[int, list[Message]]) -> _Batch:
        ordered = list(itertools.chain.from_iterable(places.values()))
        ends = list(itertools.accumulate(map(len, places.values())))
        spans = {at: (end - len(places[at]), end) for at, end in zip(places, ends, strict=True)}
        return _Batch(ordered, spans, self._worker.submit(self._judge_all, ordered))

    def _judge_all(self, messages: list[Message]) -> Judged:
        times = list(map(raw_time, messages)) if self._asset.event_time is None else None
        return self._judge.judge([message.value() for message in messages], times)

    def _end(self, message: Message, of_partition: Sequence[Message]) -> None:
        """Notes that a partition has nothing more to read, unless its records in the same batch go further."""
        error = message.error()
        if error is None or error.code() != KafkaError._PARTITION_EOF:
            if error is not None and (error.fatal() or not error.retriable()):
                raise KafkaException(error)
        elif not of_partition or (of_partition[-1].offset() or 0) < (message.offset() or 0):
            self._at_end[message.partition() or 0] = time.monotonic()

    def _settle(self) -> None:
        """Folds the batch that is being judged."""
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
        """Folds the judged records of one partition, which are messages `start` to `end`."""
        if len(good):
            self._states[partition].fold(events_of(good), _Offsets(messages), time.time_ns() // 1_000_000)
        self._next[partition] = (messages[end - 1].offset() or 0) + 1
        self._idle.discard(partition)
        self._touched.add(partition)
        self.status.events += end - start

    def _refuse(self, message: Message, codes: Sequence[str]) -> None:
        """Sets a record aside, without what is large: raw and quarantine have it whole."""
        key, value = message.key() or None, message.value()
        headers = [("partition", str(message.partition()).encode()), ("offset", str(message.offset()).encode())]
        headers += [("error", code.encode()) for code in codes]
        for part, content in (("key", key), ("value", value)):
            if content is not None and len(content) > _KEPT_BYTES:
                headers.append((f"bytes of {part}", str(len(content)).encode()))
        self._extra.append(
            Record(
                self._metric.undecodable,
                message.partition() or 0,
                key if key is None or len(key) <= _KEPT_BYTES else None,
                value if value is None or len(value) <= _KEPT_BYTES else None,
                time.time_ns() // 1_000_000,
                headers,
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
            positions.append(self._position(partition, now))
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

    def _position(self, partition: int, now: int) -> TopicPartition:
        state = self._states[partition]
        position = Position(
            self._next[partition], state.since(now), state.watermark, partition in self._idle, self._fingerprint
        )
        return TopicPartition(self._asset.topic, partition, position.offset, position.metadata())

    def _clear(self) -> None:
        self._touched.clear()
        self._extra.clear()

    def _roll_back(self) -> None:
        """Throws away what is in memory and goes on from what is committed."""
        owned = sorted(self._states)
        self._forget_all()
        self._restore(owned)
        for partition in owned:
            self._consumer.seek(TopicPartition(self._asset.topic, partition, self._next[partition]))

    # Partitions that come and go

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        try:
            new = sorted(place.partition for place in assigned)
            self._restore(new)
            consumer.incremental_assign(
                [TopicPartition(self._asset.topic, partition, self._next[partition]) for partition in new]
            )
        except Exception as failure:
            self._failure = failure  # an exception in a callback would be lost

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        try:
            self._settle()
            self._commit()
        except Exception as failure:
            self._failure = failure
        self._forget(revoked)

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        """Somebody else has the partitions already: what was folded since the last commit must not be committed."""
        self._forget(lost)
        try:
            self._roll_back()
        except Exception as failure:
            self._failure = failure

    def _forget_all(self) -> None:
        self._judging = None
        self._clear()
        self._states.clear()

    def _forget(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._states.pop(place.partition, None)
            self._next.pop(place.partition, None)
            self._at_end.pop(place.partition, None)
            self._idle.discard(place.partition)
            self._touched.discard(place.partition)

    def _restore(self, partitions: Sequence[int]) -> None:
        if partitions and max(partitions) >= self._partitions:
            raise Refusal(
                f"the topic {self._asset.topic} has more partitions than when the metric '{self._metric.name}' was "
                f"made ({self._partitions}): keys have moved to other partitions, so repeats would be counted. Raise "
                "the metric's major version and run 'lake apply'."
            )
        positions = self._committed(partitions)
        began = time.monotonic()
        self.status.restoring = len(partitions)
        states = restore(self._settings, self._asset, self._metric, positions, self.status.restored, lambda: None)
        self._states.update(states)
        self._moved |= states.keys()
        for partition, position in positions.items():
            self._next[partition] = position.offset if position else self._first_offset(partition)
        self.status.restoring = 0
        self.status.restore_seconds = time.monotonic() - began

    def _committed(self, partitions: Sequence[int]) -> dict[int, Position | None]:
        """What is committed; with read_committed the broker waits for transactions that are about to end."""
        asked = [TopicPartition(self._asset.topic, partition) for partition in partitions]
        found = ask(lambda: self._ask_committed(asked)) if asked else []
        return {place.partition: read_position(self._metric, place.offset, place.metadata) for place in found}

    def _ask_committed(self, asked: list[TopicPartition]) -> list[TopicPartition]:
        found = self._consumer.committed(asked, timeout=30)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        return found

    def _first_offset(self, partition: int) -> int:
        place = TopicPartition(self._asset.topic, partition)
        low, _ = ask(lambda: self._consumer.get_watermark_offsets(place, timeout=30))
        return low

    # Idle partitions

    def _look_for_idle(self, now: float) -> None:
        """Lets the windows of partitions without new events close with those of the others."""
        newly = {at for at, since in self._at_end.items() if now - since >= IDLE_SECONDS and at in self._states}
        newly -= self._idle
        self._idle |= newly
        self._touched |= newly  # so that the other instances hear of it
        waiting = [at for at in self._idle if self._states[at].windows]
        if not waiting:
            return
        target = idle_watermark(self._watermarks().values())
        for partition in waiting:
            state = self._states[partition]
            if target > state.watermark:
                state.watermark = target
                self._touched.add(partition)

    def _watermarks(self) -> Mapping[int, tuple[int, bool]]:
        """Each partition's watermark and whether it is idle; of other instances' as they last committed it."""
        others = [at for at in range(self._partitions) if at not in self._states]
        found = {
            at: (position.watermark, position.idle) for at, position in self._committed(others).items() if position
        }
        return found | {at: (state.watermark, at in self._idle) for at, state in self._states.items()}

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def idle_watermark(watermarks: Collection[tuple[int, bool]]) -> int:
    """Return the watermark that idle partitions take: of the slowest busy one, or of the newest when all are idle.

    Each partition is given by its watermark and whether it is idle.
    """
    busy = [watermark for watermark, idle in watermarks if not idle]
    return min(busy) if busy else max((watermark for watermark, _ in watermarks), default=BEFORE_ALL)


class _Offsets(Sequence[int]):
    """The offsets of a batch, looked up only for the few records that need theirs."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, at):  # type: ignore[override]
        return self._messages[at].offset()
