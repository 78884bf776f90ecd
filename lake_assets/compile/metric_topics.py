"""Metric -> its four topics, each with as many partitions as the source: a partition's state depends on no other."""

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.topic import MAX_RECORD_BYTES, TopicSpec

_MONTH_MS = 30 * 86_400_000


def metric_topics(metric: Metric, source: Asset) -> list[TopicSpec]:
    """Return the topics.

    Rows for the sinks and the changelog keep the newest record of each key. Undecodable events, which raw tables and
    quarantine keep as well, stay for a month.
    """
    newest = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.bytes": str(64 << 20)}
    month = {
        "cleanup.policy": "delete",
        "retention.ms": str(_MONTH_MS),
        "max.message.bytes": str(MAX_RECORD_BYTES),
    }
    return [
        TopicSpec(metric.topic, source.partitions, newest),
        TopicSpec(metric.changelog, source.partitions, {**newest, "max.message.bytes": str(MAX_RECORD_BYTES)}),
        TopicSpec(metric.late, source.partitions, newest),
        TopicSpec(metric.undecodable, source.partitions, month),
    ]
