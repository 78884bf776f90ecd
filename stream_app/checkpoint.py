"""The checkpoint: metadata of a committed input offset, enough to find the state that belongs to it."""

import hashlib
from dataclasses import dataclass

import msgspec

from lake_assets.catalog.metric import Metric
from stream_app.errors import Refusal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The next `offset` of one input partition, and the partition's state at its commit.

    `since` is the time (milliseconds) of the oldest changelog record that still counts, `watermark` in milliseconds;
    `idle` is True if the partition had no more records to read. `fingerprint` identifies the metric's definition.
    """

    offset: int
    since: int
    watermark: int
    idle: bool
    fingerprint: str

    def metadata(self) -> str:
        return msgspec.json.encode([self.since, self.watermark, self.idle, self.fingerprint]).decode()


def read_checkpoint(metric: Metric, offset: int, metadata: str | None) -> Checkpoint | None:
    """Return the committed checkpoint; None before the first commit.

    Raises Refusal for a checkpoint of another definition or application. The offset of a group that never committed is
    negative.
    """
    if offset < 0:
        return None
    try:
        since, watermark, idle, fingerprint = msgspec.json.decode(metadata or "", type=tuple[int, int, bool, str])
    except msgspec.MsgspecError:
        raise Refusal(
            f"the consumer group {metric.topic} has offsets that this application did not commit: its state cannot "
            "belong to them. Delete the group and the metric's topics to count from the beginning, or raise the "
            "metric's major version."
        ) from None
    if fingerprint != fingerprint_of(metric):
        raise Refusal(
            f"the definition of '{metric.name}' changed while its state was kept: the rows counted so far would not "
            "fit those to come. Undo the change, or raise the metric's major version, which starts a new one beside it."
        )
    return Checkpoint(offset, since, watermark, idle, fingerprint)


def fingerprint_of(metric: Metric) -> str:
    """Return sixteen letters that change with any part of the definition the state depends on."""
    return hashlib.blake2b(metric.definition().encode(), digest_size=8).hexdigest()
