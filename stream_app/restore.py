"""Brings partitions' states back from the changelog, to exactly what was committed with their input offsets."""

import time
from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings
from stream_app.checkpoint import Position
from stream_app.errors import Refusal
from stream_app.retry import ask
from stream_app.state import NotOurs, PartitionState

# Longer than a transaction of a dead instance may keep the changelog from being read to its end.
DEADLINE_SECONDS = 60.0
_BATCH = 10_000


def restore(
    settings: Settings,
    asset: Asset,
    metric: Metric,
    positions: Mapping[int, Position | None],
    on_progress: Callable[[int], None],
    stay_alive: Callable[[], None],
) -> dict[int, PartitionState]:
    """The state of each partition as of its committed position; an empty one for a partition without.

    Reads from the oldest record that still counts, so it is bounded by the open windows. A dead instance's transaction
    may hide the newest committed records until the broker ends it; they are waited for. `on_progress` gets the number
    of records read so far, `stay_alive` is called now and then. Raises Refusal when the changelog is not the state's.
    """
    states = {partition: PartitionState(asset, metric) for partition in positions}
    wanted = {partition: position for partition, position in positions.items() if position is not None}
    if not wanted:
        return states
    reader = Consumer(
        {
            **broker_options(settings),
            "group.id": f"{metric.changelog}-restore",  # nothing is committed with it
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        reader.assign(_starts(reader, metric, wanted))
        _read(reader, metric, states, wanted, on_progress, stay_alive)
    finally:
        reader.close()
    return states


def _starts(reader: Consumer, metric: Metric, wanted: Mapping[int, Position]) -> list[TopicPartition]:
    asked = [TopicPartition(metric.changelog, partition, position.since) for partition, position in wanted.items()]
    found = ask(lambda: reader.offsets_for_times(asked, timeout=30))
    # None so new means that a transaction still hides them. The end will not do: it moves when that transaction ends.
    return [at if at.offset >= 0 else TopicPartition(at.topic, at.partition, OFFSET_BEGINNING) for at in found]


def _read(
    reader: Consumer,
    metric: Metric,
    states: Mapping[int, PartitionState],
    wanted: Mapping[int, Position],
    on_progress: Callable[[int], None],
    stay_alive: Callable[[], None],
) -> None:
    missing = set(wanted)
    records, deadline = 0, time.monotonic() + DEADLINE_SECONDS
    while missing:
        messages = reader.consume(_BATCH, 0.2)
        for message in messages:
            if error := message.error():
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                continue
            at = message.partition() or 0
            if at in missing:  # else it is of a transaction after the wanted one
                _apply(states[at], message, metric)
                records += 1
                if _is_at(states[at], wanted[at]):
                    missing.remove(at)
        if records:
            on_progress(records)
        beyond = [at for at in missing if states[at].position > wanted[at].offset]
        if beyond or (missing and not messages and time.monotonic() > deadline):
            at = beyond[0] if beyond else min(missing)
            raise Refusal(
                f"the changelog {metric.changelog}[{at}] counts events up to offset {states[at].position}, but the "
                f"consumer group {metric.topic} has committed {wanted[at].offset}: one of the two was changed by hand, "
                "or another lake writes to the topic."
            )
        if messages:
            deadline = time.monotonic() + DEADLINE_SECONDS
        stay_alive()


def _is_at(state: PartitionState, position: Position) -> bool:
    """Whether the state is the wanted one. Without a new event windows may be closed: then only the watermark moves."""
    return (state.position, state.watermark) == (position.offset, position.watermark)


def _apply(state: PartitionState, message: Message, metric: Metric) -> None:
    key = message.key()
    try:
        state.apply(key or b"", message.value() or None, message.timestamp()[1])
    except NotOurs as error:
        raise Refusal(
            f"the changelog {metric.changelog} is not this metric's: {error} at {message.partition()}:"
            f"{message.offset()}. Another application writes to the topic, or a newer version of this one did."
        ) from None
