"""Which of a topic's offsets the ledger knows of, so that nobody waits for them to land."""

from collections import Counter
from collections.abc import Sequence

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.ledger.forgotten import forgotten
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import removed


def known_offsets(ledger: Ledger, assets: Sequence[Asset]) -> dict[tuple[str, int], tuple[int, int]]:
    """Per topic and Kafka partition: the lowest published offset, and how many are not to be looked for in raw: those
    that were shown to hold no record, and those that retention removed or that were forgotten."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    # A new version has published nothing yet of what its dataset has.
    for asset in (one for versions in by_dataset(assets).values() for one in reversed(versions)):
        gone: Counter[int] = Counter()
        for one in removed(ledger, asset).values():
            for count in one.offsets:
                gone[count.partition] += count.raw
        firsts: dict[int, int] = {}
        for without in forgotten(ledger, asset.dataset).values():
            for count in without.offsets:
                gone[count.partition] += count.raw
                firsts[count.partition] = min(count.min_offset, firsts.get(count.partition, count.min_offset))
        for _, count in ledger.partitions(asset):
            firsts[count.partition] = min(count.min_offset, firsts.get(count.partition, count.min_offset))
        for partition, first in firsts.items():
            markers = sum(last - low + 1 for low, last in ledger.no_records(asset.topic, partition))
            found[asset.topic, partition] = (first, markers + gone[partition])
    return found
