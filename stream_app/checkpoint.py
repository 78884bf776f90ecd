"""What is committed with an input offset: enough to find the state that belongs to it. It is the offset's metadata."""

import hashlib
from dataclasses import dataclass

import msgspec

from lake_assets.catalog.metric import Metric
from stream_app.errors import Refusal


@dataclass(frozen=True, slots=True)
class Position:
    """The next `offset` of one input partition, and what was true when it was committed.

    `since` is the time (milliseconds) of the oldest changelog record that still counts, `watermark` in milliseconds;
    `idle` when the partition had nothing more to read. `fingerprint` tells definitions of the metric apart.
    """

    offset: int
    since: int
    watermark: int
    idle: bool
    fingerprint: str

    def metadata(self) -> str:
        return msgspec.json.encode([self.since, self.watermark, self.idle, self.fingerprint]).decode()


def read_position(metric: Metric, offset: int, metadata: str | None) -> Position | None:
    """The committed position; None before the first commit. Raises Refusal for one that this metric cannot go on from.

    The offset of a group that never committed is negative.
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
    return Position(offset, since, watermark, idle, fingerprint)


def fingerprint_of(metric: Metric) -> str:
    """Sixteen letters that change with whatever the state depends on."""
    return hashlib.blake2b(metric.definition().encode(), digest_size=8).hexdigest()
