"""Silent pitfalls of an exactly-once loop."""

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # pyright: ignore[reportPrivateImportUsage]

from lake_assets.landing.broker import broker_options
from stream_app import loop as application
from stream_app import transaction
from stream_app.status import Status
from stream_app.transaction import TransactionFailed, Transactions
from tests.support.conditions import wait_until
from tests.support.counted_metrics import Counted
from tests.support.event_senders import produce
from tests.support.frozen_processes import frozen
from tests.support.order_events import Expected, order, orders
from tests.support.part_faults import TIMEOUTS_SECONDS, pid_of, visit


def send(made: Counted, partition: int, number: int, moment: datetime) -> None:
    producer = Producer(broker_options(made.settings))
    producer.produce(made.asset.topic, order(number, moment), str(number), partition)
    assert producer.flush(30) == 0


@contextmanager
def running(loop: application.Loop) -> Generator[None]:
    """An instance in this process."""
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(loop.run, lambda _: None)
        try:
            yield
        finally:
            loop.stop()
        ended.result(60)


def test_a_failed_transaction_leaves_no_state_and_replaces_the_producer(
    counted: Callable[..., Counted],
) -> None:
    """Another producer of the same name fences the instance's, which fails its transaction for good. The records that
    were set aside in it come again, each once."""
    made, expected = counted("fenced"), Expected()

    def failures() -> int:
        return made.instances.numbers("one").get("failed_transactions", 0)

    made.instances.start("one")
    wait_until(lambda: made.instances.numbers("one").get("partitions"))
    sending = produce(made, orders(15_000, expected), 3_000)
    wait_until(lambda: made.instances.numbers("one").get("transactions"))
    fences = 0
    while sending.is_alive():
        failed = failures()
        fence = Producer({**broker_options(made.settings), "transactional.id": f"{made.metric.topic}-one"})
        fence.init_transactions(30)
        fences += 1
        wait_until(
            lambda failed=failed: (
                made.instances.numbers("one").get("failed_transactions", 0) > failed or not sending.is_alive()
            )
        )
    made.wait_until_settled()
    assert fences >= 1
    assert made.instances.ended() == []
    assert expected.agrees_with(made.rows())
    assert sorted(set(made.undecodable())) == sorted(made.undecodable())
    assert len(made.undecodable()) == expected.broken


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_call_without_an_answer_fails_the_transaction_not_the_instance(
    counted: Callable[..., Counted], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """librdkafka waited for ever, whatever time it was given, when a broker died amid a transaction, and the instances
    stood still until they were ended."""
    made, expected = counted(f"silent_{call[:4]}"), Expected()
    produce(made, orders(5_000, expected), 50_000).join()
    never, lost = threading.Event(), list[str]()

    class Silent(Producer):
        pass

    def silent(self: Silent, *arguments: Any) -> Any:
        if not lost:
            lost.append(call)
            never.wait()
        return getattr(super(Silent, self), call)(*arguments)

    setattr(Silent, call, silent)
    monkeypatch.setattr(transaction, "Producer", Silent)
    monkeypatch.setattr(transaction, "_CALL_SECONDS", 2.0)
    monkeypatch.setattr(transaction, "_GRACE_SECONDS", 0.5)
    status = Status(made.metric.table, "silent")
    loop = application.Loop(made.settings, made.asset, made.metric, "silent", 4, status)
    with running(loop):
        made.wait_until_settled()
        never.set()
    assert lost == [call]
    assert status.failed_transactions >= 1
    assert expected.agrees_with(made.rows())
    assert len(made.undecodable()) == expected.broken


def test_a_consumer_that_is_in_no_group_commits_nothing(counted: Callable[..., Counted]) -> None:
    """The broker takes such a consumer's offsets although others have the partitions, so one that was put out of the
    group wrote over what they had committed."""
    made = counted("outside")
    consumer = Consumer({**broker_options(made.settings), "group.id": made.metric.topic})
    transactions = Transactions(made.settings, "outsider")
    with pytest.raises(TransactionFailed):
        transactions.commit([], [TopicPartition(made.asset.topic, 0, 1)], consumer)
    [place] = consumer.committed([TopicPartition(made.asset.topic, 0)], 30)
    consumer.close()
    assert place.offset < 0


def test_half_written_rows_of_an_instance_that_failed_are_not_committed(
    counted: Callable[..., Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer's closing gives the partitions back, and giving back commits."""
    made, expected = counted("half"), Expected()
    produce(made, orders(2_000, expected), 50_000).join()

    def fail_once_at_the_second(*arguments: Any) -> Any:
        if arguments[1] == 1:
            monkeypatch.undo()
            raise MemoryError
        return genuine(*arguments)

    genuine = application.rows_as_json
    monkeypatch.setattr(application, "rows_as_json", fail_once_at_the_second)
    status = Status(made.metric.table, "failing")
    failing = application.Loop(made.settings, made.asset, made.metric, "failing", 4, status)
    with pytest.raises(MemoryError):
        failing.run(lambda _: None)
    made.instances.start("one")
    made.wait_until_settled()
    assert expected.agrees_with(made.rows())


def test_what_was_folded_before_the_partitions_were_lost_is_thrown_away(
    counted: Callable[..., Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other instances may own the partitions by now and count the events again: nothing of it is written twice."""
    made, expected = counted("lost"), Expected()
    produce(made, orders(5_000, expected), 50_000).join()
    monkeypatch.setattr(application.Loop, "_commit", lambda _: None)
    status = Status(made.metric.table, "losing")
    losing = application.Loop(made.settings, made.asset, made.metric, "losing", 4, status)

    def comes_again() -> bool:
        """A broker that wakes up may hear the instance before it looks at the clock: then nothing is lost yet."""
        with frozen(pid_of(made.settings, "kafka")):
            began = time.monotonic()
            wait_until(lambda: time.monotonic() > began + TIMEOUTS_SECONDS)
        awake = time.monotonic()
        wait_until(lambda: status.events > 5_000 + expected.repeats or time.monotonic() > awake + TIMEOUTS_SECONDS)
        return status.events > 5_000 + expected.repeats

    with running(losing):
        wait_until(lambda: status.events == 5_000 + expected.repeats)
        wait_until(comes_again)
        monkeypatch.undo()
        made.wait_until_settled()
    assert expected.agrees_with(made.rows())
    assert len(made.undecodable()) == expected.broken


def test_records_repeated_after_a_rebalance_are_skipped_by_their_offsets(
    counted: Callable[..., Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys would not show it: what was set aside has none, and a source need not have one."""
    made, expected = counted("again"), Expected()
    produce(made, orders(5_000, expected), 50_000).join()
    genuine, before = application.Loop._consume, list[Any]()

    def consume_again(self: application.Loop) -> list[Any]:
        batch = genuine(self)
        given = before + batch
        before[:] = [message for message in batch if message.error() is None]
        return given

    monkeypatch.setattr(application.Loop, "_consume", consume_again)
    status = Status(made.metric.table, "again")
    loop = application.Loop(made.settings, made.asset, made.metric, "again", 4, status)
    with running(loop):
        made.wait_until_settled()
    assert expected.agrees_with(made.rows())
    assert len(made.undecodable()) == expected.broken
    assert status.events == 5_000 + expected.repeats


def test_an_event_from_the_future_makes_no_other_late(counted: Callable[..., Counted]) -> None:
    made, now = counted("ahead", partitions=1), datetime.now(UTC)
    made.instances.start("one")
    send(made, 0, 1, now + timedelta(days=36_500))
    send(made, 0, 2, now)
    made.wait_for(1)
    assert made.late() == 0
    # Set aside, because its window would stay open for a century.
    wait_until(lambda: made.late_rows() == 1)


def test_a_partition_without_new_events_keeps_no_windows_of_others_open(
    counted: Callable[..., Counted],
) -> None:
    """The other partitions may be another instance's."""
    made, then = counted("idle", partitions=2), datetime(2026, 3, 1, tzinfo=UTC)
    made.instances.start("one", "two")
    wait_until(lambda: all(made.instances.numbers(name).get("partitions") for name in ("one", "two")))
    send(made, 0, 1, then)
    made.wait_for(1)
    send(made, 1, 2, then + timedelta(hours=1))
    made.wait_for(2)
    wait_until(lambda: sorted(row[-1] for row in made.rows().values()) == [False, True])


def test_a_topic_that_grows_while_it_is_counted_is_refused(counted: Callable[..., Counted]) -> None:
    made = counted("growing", partitions=2)
    made.instances.start("one")
    send(made, 0, 1, datetime.now(UTC))
    made.wait_for(1)
    client = AdminClient(broker_options(made.settings))
    client.create_partitions([NewPartitions(made.asset.topic, 3)])[made.asset.topic].result()
    visit(made.settings, made.asset, made.metric)
    wait_until(made.instances.ended)
    assert made.instances.processes["one"].poll() == 2
    assert "has more partitions than when the metric" in made.instances.log("one").read_text("utf-8")
