"""Progress of a consumer group, measured by its committed offsets and not by its output."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings

POLL_SECONDS = 0.05
STALLED_SECONDS = 120.0


class Stalled(Exception):
    """Raised when a group stops committing, or its process has ended."""


class Committed:
    """The offsets that one group has committed for one topic.

    Read by a consumer that never joins the group: librdkafka's admin client crashes with a null pointer when a group's
    coordinator is not known yet (confluent-kafka-javascript #374).
    """

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        # read_committed would wait for the transaction that is open.
        self._consumer = Consumer(
            {**broker_options(settings), "group.id": group, "isolation.level": "read_uncommitted"}
        )
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        self._asked = [TopicPartition(topic, partition) for partition in partitions]

    def offsets(self) -> dict[int, int]:
        """Return the next offset of each partition that has one, as of the last finished transaction."""
        try:
            found = self._consumer.committed(self._asked, timeout=10)
        except KafkaException as exception:
            error = exception.args[0]
            if error.retriable() or error.code() in (KafkaError._TIMED_OUT, KafkaError._WAIT_COORD):
                return {}  # a broker's first group has to wait for the topic of offsets
            raise
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def events(self) -> int:
        """Return the number of committed events. The input has no transactions, so offsets count its events."""
        return sum(self.offsets().values())


def second_half(events: Callable[[], int], count: int, is_running: Callable[[], bool] = lambda: True) -> float:
    """Measure events per second of the second half of `count`, by the progress of `events`. Raises Stalled."""
    marks: list[tuple[float, int]] = [(time.perf_counter(), 0)]
    while marks[-1][1] < count:
        was_running = is_running()  # asked first: what it does last is seen after it
        now, done = time.perf_counter(), events()
        if done > marks[-1][1]:
            marks.append((now, done))
        elif not was_running or now - marks[-1][0] > STALLED_SECONDS:
            raise Stalled(f"{done:,} of {count:,} events are committed and no more follow")
        time.sleep(POLL_SECONDS)
    middle = next(mark for mark in marks if mark[1] >= count // 2)
    if middle is marks[-1]:  # so few that one commit has all of the second half
        middle = marks[0]
    return (marks[-1][1] - middle[1]) / (marks[-1][0] - middle[0])
