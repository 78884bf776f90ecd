"""Offsets of a topic that the ledger accounts for, so that no wait for their landing is needed."""

from collections import Counter
from collections.abc import Sequence

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.ledger.ledger import Ledger


def known_offsets(ledger: Ledger, assets: Sequence[Asset]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return per topic and Kafka partition the lowest published offset, and the number of settled offsets.

    Settled offsets are not expected in raw: they hold no record, or were removed by retention or erased.
    Takes as many statements for a thousand assets as for one.
    """
    names = {
        "assets": [asset.name for asset in assets],
        "datasets": sorted({asset.dataset for asset in assets}),
        "topics": sorted({asset.topic for asset in assets}),
    }
    firsts: dict[str, dict[int, int]] = {}
    for asset, partition, first in ledger.connection.execute(
        "select asset, partition, min(min_offset) from ledger.window_partition where asset = any(%(assets)s) "
        "group by asset, partition",
        names,
    ).fetchall():
        firsts.setdefault(asset, {})[partition] = first
    removed_rows: Counter[tuple[str, int]] = Counter()
    for dataset, partition, count in ledger.connection.execute(
        "select dataset, partition, sum(last - first + 1)::bigint from ledger.removal as r "
        "join ledger.removal_offsets on removal = r.id where dataset = any(%(datasets)s) "
        "and removed_at is not null group by dataset, partition",
        names,
    ).fetchall():
        removed_rows[dataset, partition] += count
    forgotten: dict[str, dict[int, int]] = {}
    for dataset, partition, first, count in ledger.connection.execute(
        "select dataset, partition, min(first), sum(last - first + 1)::bigint from ledger.forgotten_offsets "
        "join ledger.receipt as r on r.id = receipt where dataset = any(%(datasets)s) and in_raw "
        "and rewritten_at is not null group by dataset, partition",
        names,
    ).fetchall():
        removed_rows[dataset, partition] += count
        forgotten.setdefault(dataset, {})[partition] = first
    markers: dict[tuple[str, int], int] = {
        (topic, partition): count
        for topic, partition, count in ledger.connection.execute(
            "select topic, partition, sum(last - first + 1)::bigint from ledger.no_record "
            "where topic = any(%(topics)s) group by topic, partition",
            names,
        ).fetchall()
    }
    offsets: dict[tuple[str, int], tuple[int, int]] = {}
    # A new version has published no window of its dataset yet.
    for asset in (version for versions in by_dataset(assets).values() for version in reversed(versions)):
        own, erased = firsts.get(asset.name, {}), forgotten.get(asset.dataset, {})
        for partition in own.keys() | erased.keys():
            first = min(known[partition] for known in (own, erased) if partition in known)
            settled = markers.get((asset.topic, partition), 0) + removed_rows[asset.dataset, partition]
            offsets[asset.topic, partition] = (first, settled)
    return offsets
