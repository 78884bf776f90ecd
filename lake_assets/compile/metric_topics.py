"""Metric -> its four topics, each with as many partitions as the source: a partition's state depends on no other."""

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.topic import MAX_RECORD_BYTES, TopicSpec

_MONTH_MS = 30 * 86_400_000


def metric_topics(metric: Metric, source: Asset) -> list[TopicSpec]:
    """Return the topics.

    The changelog keeps the newest record of each key, of open windows only: closed ones get tombstones. Rows and late
    events stay for a month, in which the sinks write them to their tables; undecodable events, which raw tables and
    quarantine keep as well, too.
    """
    newest = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.bytes": str(64 << 20)}
    month = {"cleanup.policy": "delete", "retention.ms": str(_MONTH_MS)}
    large = {"max.message.bytes": str(MAX_RECORD_BYTES)}
    return [
        TopicSpec(metric.topic, source.partitions, {**newest, **month, "cleanup.policy": "compact,delete"}),
        TopicSpec(metric.changelog, source.partitions, {**newest, **large}),
        TopicSpec(metric.late, source.partitions, {**month, "segment.bytes": str(64 << 20)}),
        TopicSpec(metric.undecodable, source.partitions, {**month, **large}),
    ]
