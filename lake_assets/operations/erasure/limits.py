"""Limits of an erasure: copies of the rows that it does not reach."""

from lake_assets.catalog.model import Asset
from lake_assets.errors import Unavailable
from lake_assets.landing.topics import offsets
from lake_assets.object_stores import scheme
from lake_assets.operations.adapters import erasure_for
from lake_assets.operations.erasure.search import ErasurePlan
from lake_assets.settings import Settings

# What a bucket may keep of files that are removed.
_BUCKETS = {
    "s3": "Where the bucket keeps versions of its objects, older ones have these rows until its lifecycle rules end "
    "them: remove those versions, or let the bucket keep none.",
    "gs": "The bucket keeps removed files for seven days unless its soft delete is switched off, and older versions "
    "where it is told to: remove those, or let the bucket keep none.",
}


def out_of_reach(settings: Settings, asset: Asset, found: ErasurePlan) -> list[str]:
    """What is not removed, in a sentence each, with how it can be."""
    told: list[str] = []
    try:
        bounds = offsets(settings, [asset.topic]).get(asset.topic, {})
        begins = {partition: begin for partition, (begin, _) in bounds.items()}
        held = sum(max(0, r.last + 1 - max(r.first, begins[r.partition])) for r in found.runs if r.partition in begins)
        if held:
            told.append(
                f"Kafka's topic {asset.topic} still holds {held:,} of these events and keeps them as long as its "
                "retention.ms says (-1 is for ever): delete its older records, which raw has, with "
                "kafka-delete-records.sh, which takes the first offset to keep of each partition."
            )
    except Unavailable:
        told.append(f"Kafka does not answer: its topic {asset.topic} may still hold these events.")
    if found.unreadable:
        told.append(
            f"{found.unreadable:,} events that are no JSON object have the value in their text and stay: "
            f"see them with lake quarantine {asset.name}."
        )
    if found.unsearched:
        told.append(
            f"{', '.join(found.unsearched)} of older versions cannot be searched by this where raw has not their "
            "windows any more: name the person by a field that they have too, or drop these tables."
        )
    told += erasure_for(settings).out_of_reach()
    if keeps := _BUCKETS.get(scheme(settings.bucket)):
        told.append(keeps)
    told.append(
        "Topics of metrics keep refused events for a month (metric-…-undecodable; of protected assets without key and "
        "payload), and hashes of confidential keys until their window closes (metric-…-changelog)."
    )
    told.append(
        "Metrics have counted these events already, and back-ups, logs and copies of tables may hold them: remove them "
        "there."
    )
    return told
