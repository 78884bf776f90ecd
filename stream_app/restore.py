"""Restore partition states from the changelog, exactly as committed with their input offsets."""

import time
from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings
from stream_app.checkpoint import Checkpoint
from stream_app.errors import Refusal
from stream_app.retry import call_with_retry
from stream_app.state import PartitionState, UnknownRecord

# Longer than the transaction of a dead instance can keep readers from the end of the changelog.
DEADLINE_SECONDS = 60.0
_BATCH = 10_000


def restore(
    settings: Settings,
    asset: Asset,
    metric: Metric,
    positions: Mapping[int, Checkpoint | None],
    on_progress: Callable[[int], None],
) -> dict[int, PartitionState]:
    """Return the state of each partition at its checkpoint; an empty one for a partition without.

    Reads from the oldest record that still counts, so it is bounded by the open windows. A dead instance's transaction
    may hide the newest committed records until the broker ends it; they are waited for. `on_progress` gets the number
    of records read so far. Raises Refusal when the changelog does not match the checkpoint.
    """
    states = {partition: PartitionState(asset, metric) for partition in positions}
    checkpoints = {partition: position for partition, position in positions.items() if position is not None}
    if not checkpoints:
        return states
    reader = Consumer(
        {
            **broker_options(settings),
            "group.id": f"{metric.changelog}-restore",  # no offsets are committed with it
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        reader.assign(_starts(reader, metric, checkpoints))
        _read(reader, metric, states, checkpoints, on_progress)
    finally:
        reader.close()
    return states


def _starts(reader: Consumer, metric: Metric, checkpoints: Mapping[int, Checkpoint]) -> list[TopicPartition]:
    times = [
        TopicPartition(metric.changelog, partition, checkpoint.since) for partition, checkpoint in checkpoints.items()
    ]
    offsets = call_with_retry(lambda: reader.offsets_for_times(times, timeout=30))
    # No record that new: a transaction still hides them. The end will not do: it moves when that transaction ends.
    return [o if o.offset >= 0 else TopicPartition(o.topic, o.partition, OFFSET_BEGINNING) for o in offsets]


def _read(
    reader: Consumer,
    metric: Metric,
    states: Mapping[int, PartitionState],
    checkpoints: Mapping[int, Checkpoint],
    on_progress: Callable[[int], None],
) -> None:
    missing = set(checkpoints)
    records, deadline = 0, time.monotonic() + DEADLINE_SECONDS
    while missing:
        messages = reader.consume(_BATCH, 0.2)
        for message in messages:
            if error := message.error():
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                continue
            partition = message.partition() or 0
            if partition in missing:  # else it belongs to a transaction after the checkpoint
                _apply(states[partition], message, metric)
                records += 1
                if _is_at(states[partition], checkpoints[partition]):
                    missing.remove(partition)
        if records:
            on_progress(records)
        beyond = [partition for partition in missing if states[partition].position > checkpoints[partition].offset]
        if beyond or (missing and not messages and time.monotonic() > deadline):
            partition = beyond[0] if beyond else min(missing)
            state, checkpoint = states[partition], checkpoints[partition]
            raise Refusal(
                f"the changelog {metric.changelog}[{partition}] counts events up to offset {state.position}, but the "
                f"consumer group {metric.topic} has committed {checkpoint.offset}: one of the two was "
                "changed by hand, or another lake writes to the topic."
            )
        if messages:
            deadline = time.monotonic() + DEADLINE_SECONDS


def _is_at(state: PartitionState, checkpoint: Checkpoint) -> bool:
    """Return True if the state matches the checkpoint. If only windows closed, only the watermark has moved."""
    return (state.position, state.watermark) == (checkpoint.offset, checkpoint.watermark)


def _apply(state: PartitionState, message: Message, metric: Metric) -> None:
    key = message.key()
    try:
        state.apply(key or b"", message.value() or None, message.timestamp()[1])
    except UnknownRecord as error:
        raise Refusal(
            f"the changelog {metric.changelog} is not this metric's: {error} at {message.partition()}:"
            f"{message.offset()}. Another application writes to the topic, or a newer version of this one did."
        ) from None
