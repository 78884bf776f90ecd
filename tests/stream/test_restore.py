"""Restored state is exactly what was committed with the input's offset, for any content of the changelog."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from lake_assets.landing.broker import broker_options
from stream_app import restore as restoring
from stream_app.checkpoint import Checkpoint, fingerprint_of
from stream_app.restore import restore
from stream_app.state import PartitionState
from tests.support.conditions import wait_until
from tests.support.counted_metrics import Counted

NOW = time.time_ns() // 1_000_000


class Instance:
    """Writer of a metric's changelog as an instance writes it, transaction by transaction, for partition 0."""

    def __init__(self, made: Counted) -> None:
        self._made = made
        self._state = PartitionState(made.asset, made.metric)
        self._producer = Producer({**broker_options(made.settings), "transactional.id": made.metric.topic})
        self._producer.init_transactions(30)

    def write(self, offset: int, watermark: int) -> Checkpoint:
        """Begin a transaction and write into it; return the position that is to be committed with it."""
        self._producer.begin_transaction()
        self._state.watermark = watermark
        for key, value in self._state.take_delta(offset, NOW).changelog:
            self._producer.produce(self._made.metric.changelog, value, key, 0, timestamp=NOW)
        assert self._producer.flush(30) == 0
        return Checkpoint(offset, self._state.since(NOW), watermark, False, fingerprint_of(self._made.metric))

    def commit(self) -> None:
        self._producer.commit_transaction(30)

    def abort(self) -> None:
        self._producer.abort_transaction(30)


def restored(made: Counted, position: Checkpoint) -> PartitionState:
    states = restore(made.settings, made.asset, made.metric, {0: position}, lambda _: None)
    return states[0]


def readable(made: Counted) -> int:
    """Return the end of the changelog for readers of committed records."""
    consumer = Consumer({**broker_options(made.settings), "group.id": "looks"})
    _, end = consumer.get_watermark_offsets(TopicPartition(made.metric.changelog, 0), 30)
    consumer.close()
    return end


@pytest.mark.parametrize("offset", [10, 20], ids=["without a new event", "with new events"])
def test_a_transaction_that_has_not_ended_yet_is_waited_for(counted: Callable[..., Counted], offset: int) -> None:
    """The group's coordinator may know of its end before the changelog does. What only closed windows has the offset of
    the one before."""
    made = counted(f"hidden_{offset}")
    instance = Instance(made)
    instance.write(10, 1_000)
    instance.commit()
    wanted = instance.write(offset, 2_000)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(restored, made, wanted)
        try:
            with pytest.raises(TooLong):
                answer.result(2)
        finally:
            instance.commit()
        state = answer.result(30)
    assert (state.position, state.watermark) == (offset, 2_000)


@pytest.mark.fault(
    "a transaction ends while a restarting instance of a metric looks for what it hides",
    "the state is restored",
)
def test_a_transaction_that_ends_while_its_begin_is_looked_for_is_restored(
    counted: Callable[..., Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: after a broker's restart an instance refused to go on: it had begun to read behind the records it
    looked for, because they became readable between its two questions."""
    made = counted("revealed")
    instance = Instance(made)
    wanted = instance.write(10, 1_000)

    def end_afterwards(question: Callable[[], object]) -> object:
        answer = question()
        instance.commit()
        wait_until(lambda: readable(made) > 0)
        return answer

    monkeypatch.setattr(restoring, "call_with_retry", end_afterwards)
    state = restored(made, wanted)
    assert (state.position, state.watermark) == (10, 1_000)


def test_what_others_committed_since_is_left_out(counted: Callable[..., Counted]) -> None:
    """An instance that lost its partitions without knowing had refused to go on: the changelog was ahead of it."""
    made = counted("overtaken")
    instance = Instance(made)
    wanted = instance.write(10, 1_000)
    instance.commit()
    instance.write(20, 2_000)
    instance.commit()
    state = restored(made, wanted)
    assert (state.position, state.watermark) == (10, 1_000)


def test_an_aborted_transaction_at_the_end_is_not_restored_nor_awaited(counted: Callable[..., Counted]) -> None:
    """The records and both markers are before the changelog's high watermark, which no reader ever reaches."""
    made = counted("undone")
    instance = Instance(made)
    wanted = instance.write(10, 1_000)
    instance.commit()
    instance.write(20, 2_000)
    instance.abort()
    state = restored(made, wanted)
    assert (state.position, state.watermark) == (10, 1_000)
