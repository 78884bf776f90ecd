"""Offsets of a topic that the ledger accounts for, so that no wait for their landing is needed."""

from collections import Counter
from collections.abc import Sequence

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.ledger.forgotten import forgotten
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import removed


def known_offsets(ledger: Ledger, assets: Sequence[Asset]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return per topic and Kafka partition the lowest published offset, and the number of settled offsets.

    Settled offsets are not expected in raw: they hold no record, or were removed by retention or erased.
    """
    offsets: dict[tuple[str, int], tuple[int, int]] = {}
    # A new version has published no window of its dataset yet.
    for asset in (version for versions in by_dataset(assets).values() for version in reversed(versions)):
        removed_rows: Counter[int] = Counter()
        for removal in removed(ledger, asset).values():
            for count in removal.offsets:
                removed_rows[count.partition] += count.raw
        firsts: dict[int, int] = {}
        for erasure in forgotten(ledger, asset.dataset).values():
            for count in erasure.offsets:
                removed_rows[count.partition] += count.raw
                firsts[count.partition] = min(count.min_offset, firsts.get(count.partition, count.min_offset))
        for _, count in ledger.partitions(asset):
            firsts[count.partition] = min(count.min_offset, firsts.get(count.partition, count.min_offset))
        for partition, first in firsts.items():
            markers = sum(last - low + 1 for low, last in ledger.no_records(asset.topic, partition))
            offsets[asset.topic, partition] = (first, markers + removed_rows[partition])
    return offsets
