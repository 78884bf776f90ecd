"""Limits of an erasure: copies of the rows that it cannot delete."""

from lake_assets.catalog.model import Asset
from lake_assets.errors import Unavailable
from lake_assets.landing.topics import offsets
from lake_assets.object_stores import scheme
from lake_assets.operations.adapters import erasure_for
from lake_assets.operations.erasure.search import ErasurePlan
from lake_assets.operations.left_marts import marts_without_model
from lake_assets.settings import Settings

# Copies that a bucket may keep of deleted files.
_BUCKETS = {
    "s3": "If the bucket keeps versions of its objects, older ones have these rows until its lifecycle rules delete "
    "them: delete those versions, or let the bucket keep none.",
    "gs": "The bucket keeps deleted files for seven days unless its soft delete is switched off, and older versions "
    "if versioning is on: delete those, or let the bucket keep none.",
}


def out_of_reach(settings: Settings, asset: Asset, plan: ErasurePlan) -> list[str]:
    """Return a sentence for each kind of copy that is not deleted, with a way to delete it."""
    sentences: list[str] = []
    try:
        bounds = offsets(settings, [asset.topic]).get(asset.topic, {})
        begins = {partition: begin for partition, (begin, _) in bounds.items()}
        records = sum(
            max(0, r.last + 1 - max(r.first, begins[r.partition])) for r in plan.runs if r.partition in begins
        )
        if records:
            sentences.append(
                f"Kafka's topic {asset.topic} still holds {records:,} of these events and keeps them for its "
                "retention.ms (-1 is for ever): delete its older records, which raw has, with "
                "kafka-delete-records.sh, which takes the first offset to keep of each partition."
            )
    except Unavailable:
        sentences.append(f"Kafka does not answer: its topic {asset.topic} may still hold these events.")
    if plan.unreadable:
        sentences.append(
            f"{plan.unreadable:,} events that are no JSON object have the value in their text and stay: "
            f"see them with `lake quarantine {asset.name}`."
        )
    if plan.unsearched:
        sentences.append(
            f"{', '.join(plan.unsearched)} of older versions cannot be searched by this where raw no longer has "
            "their windows: name the subject by a field that they have too, or drop these tables."
        )
    sentences += _left_marts(settings)
    sentences += erasure_for(settings).out_of_reach()
    if keeps := _BUCKETS.get(scheme(settings.bucket)):
        sentences.append(keeps)
    sentences.append(
        "Topics of metrics keep refused events for a month (metric-…-undecodable; of protected assets without key and "
        "payload), and hashes of confidential keys until their window closes (metric-…-changelog)."
    )
    sentences.append(
        "Metrics have counted these events already, and back-ups, logs and copies of tables may hold them: delete them "
        "there."
    )
    return sentences


def _left_marts(settings: Settings) -> list[str]:
    left = marts_without_model(settings)
    if left is None:
        return ["Marts whose model was deleted or renamed are not built again: delete their tables."]
    return [f"No model builds {', '.join(left)} any more: `lake remove` drops what may have such rows."] if left else []
