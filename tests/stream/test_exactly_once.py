"""Whatever is killed, the database says what a fold of the events says, to the cent."""

import threading
import time
from collections.abc import Callable, Iterator
from random import Random

import psycopg
from confluent_kafka import Producer

from tests.stack.conditions import wait_until
from tests.stream.conftest import Counted
from tests.stream.events import Expected, orders

ORDERS = 150_000
NAMES = ("one", "two", "three")


class Watch:
    """A reader that polls the table all the while; `backwards` holds what it saw go back."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._done = threading.Event()
        self.backwards: list[object] = []
        self.looks = 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        seen: dict[object, tuple[int, bool]] = {}
        table = f"metrics.{self._counted.metric.table}_shards"
        text = f"select region, window_start, shard, revision, is_final from {table}"
        with psycopg.connect(self._counted.settings.postgres.conninfo("lake"), autocommit=True) as session:
            while not self._done.wait(0.05):
                for *key, revision, final in session.execute(text.encode()):
                    cell = tuple(key)
                    before = seen.get(cell, (0, False))
                    if (revision, final) < before or (before[1] and (revision, final) != before):
                        self.backwards.append((cell, before, (revision, final)))
                    seen[cell] = (revision, final)
                self.looks += 1


def produce(counted: Counted, events: Iterator[tuple[str, bytes]], rate: float) -> threading.Thread:
    """Sends events at so many a second, in a thread."""

    def send() -> None:
        producer = Producer({"bootstrap.servers": counted.settings.kafka, "enable.idempotence": True, "linger.ms": 5})
        began = time.monotonic()
        for number, (key, payload) in enumerate(events):
            while number > (time.monotonic() - began) * rate:
                producer.poll(0.01)
            producer.produce(counted.asset.topic, payload, key)
            if number % 1000 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_instances_that_are_killed_at_random_moments_lose_and_double_nothing(counted: Callable[..., Counted]) -> None:
    made, expected, draw = counted("killed"), Expected(), Random(5)
    with Watch(made) as watch:
        made.instances.start(*NAMES)
        sending = produce(made, orders(ORDERS, expected), 7_000)
        kills = 0
        while sending.is_alive():
            time.sleep(draw.uniform(0.5, 4))
            name = draw.choice(NAMES)
            made.instances.kill(name)
            made.instances.start(name)
            kills += 1
        sending.join()
        made.wait_for(expected.orders)
    rows = made.rows()
    assert expected.agrees_with(rows)
    assert watch.backwards == []
    assert kills > 4
    assert watch.looks > 10
    assert made.query(f"select sum(late_events) from metrics.{made.metric.table}") == [(0,)]


def test_an_instance_that_is_asked_to_end_commits_and_ends_in_time(counted: Callable[..., Counted]) -> None:
    made, expected = counted("asked"), Expected()
    made.instances.start("one")
    produce(made, orders(2_000, expected), 50_000).join()
    made.wait_for(1)
    assert made.instances.stop("one") == 0
    made.instances.start("one")
    made.wait_for(expected.orders)
    assert expected.agrees_with(made.rows())


def test_undecodable_records_are_kept_with_their_reason_and_counted(counted: Callable[..., Counted]) -> None:
    made, expected = counted("broken"), Expected()
    made.instances.start("one")
    produce(made, orders(3_000, expected), 50_000).join()
    made.wait_for(expected.orders)
    wait_until(lambda: made.instances.numbers("one").get("undecodable") == expected.broken)
    assert made.instances.numbers("one")["late"] == 0
