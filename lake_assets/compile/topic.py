"""Asset -> Kafka topic, and domain -> the control topic on which the Iceberg sink coordinates its commits."""

from collections.abc import Mapping
from dataclasses import dataclass

from lake_assets.catalog.model import Asset

MAX_RECORD_BYTES = 8 << 20
# One record of the control topic names all files that a task wrote for one table since the last commit, 600 bytes a
# window: 1 MiB, the usual limit, would fail the task at 1,700 windows. Less than a producer's buffer of 32 MiB.
MAX_CONTROL_BYTES = 24 << 20
# A clock that runs ahead would open windows in the future.
MAX_AHEAD_MS = 3_600_000
# 55 years. Kafka accepts timestamps before 1970, but Kafka Connect fails at the first one, and with it the whole
# domain; this limit makes the producer fail instead.
MAX_AGE_MS = 1_750_000_000_000
# Half of the day for which a broker by default remembers a producer (`producer.id.expiration.ms`), counted from the
# timestamp of its newest record. A producer that is forgotten while its broker restarts may send a batch twice.
MAX_STAMP_AGE_MS = 43_200_000
# An event older than that has the time of sending as its timestamp and its own time in this header, in milliseconds
# after 1970 as a decimal text. Raw tables are partitioned by it, as Envelope.java reads it.
EVENT_TIME_HEADER = "lake-event-time"
# 0001-01-01: no engine and no window supports an earlier time.
YEAR_ONE_MS = -62_135_596_800_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """The desired state of a topic; `config` has only differences from the broker's defaults.

    Producers may write to a topic `for_producers`; all others are the lake's own.
    """

    name: str
    partitions: int
    config: Mapping[str, str]
    for_producers: bool = False


def topic_name(asset: Asset) -> str:
    """Return the asset's topic: the contract's own, else `<domain>.<dataset>`."""
    return asset.topic or f"{asset.domain}.{asset.dataset}"


def topic_spec(asset: Asset) -> TopicSpec:
    """Return the topic of one asset.

    Kafka measures retention by the record timestamp, which is the event time here. With the default of seven days a
    segment of month-old events may be deleted minutes after it was written, before the sink has read it.
    """
    return TopicSpec(
        topic_name(asset),
        asset.partitions,
        {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "message.timestamp.after.max.ms": str(MAX_AHEAD_MS),
            "message.timestamp.before.max.ms": str(MAX_AGE_MS),
        },
        for_producers=True,
    )


def control_topic(domain: str) -> TopicSpec:
    """Return the topic on which the domain's connector coordinates.

    Its records name data files that no snapshot contains yet, so they must survive any outage. It is bounded by size,
    which only grows while the connector works, and not by time.
    """
    return TopicSpec(
        f"control-{domain}",
        1,
        {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": str(1 << 30),
            "segment.bytes": str(64 << 20),
            "max.message.bytes": str(MAX_CONTROL_BYTES),
        },
    )
