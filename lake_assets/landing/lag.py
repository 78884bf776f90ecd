"""Lag of raw behind the broker, from offsets and snapshot totals alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.table_metadata import TableMetadata, read_metadata
from lake_assets.landing.topics import offsets
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Lag:
    """Lag of one asset. `produced` counts the broker's offsets that raw should hold, `landed` the rows raw holds.

    `landed` is None when the raw table's metadata cannot be read; `observe` reports the cause.
    """

    asset: str
    produced: int
    landed: int | None

    @property
    def in_flight(self) -> int:
        """Return the records in flight, produced and not landed; never negative, and 0 when that is unknown."""
        return 0 if self.landed is None else max(0, self.produced - self.landed)


def lags(
    settings: Settings,
    assets: Sequence[Asset],
    known: Mapping[tuple[str, int], tuple[int, int]],
    ends: Mapping[str, Mapping[int, tuple[int, int]]] | None = None,
) -> list[Lag]:
    """Return the lag of each asset, in order.

    `known` has, per topic and Kafka partition, the lowest offset that raw ever got and the number of offsets that are
    not expected in raw. `ends` are the topics' offsets of an earlier time, for the lag behind that; None reads those of
    the broker. Raises Unavailable.
    """
    ends = ends if ends is not None else offsets(settings, [asset.topic for asset in assets])
    landed = _total_rows(settings, assets)
    return [
        Lag(
            asset.name,
            sum(
                produced(begin, end, *known.get((asset.topic, partition), (begin, 0)))
                for partition, (begin, end) in ends.get(asset.topic, {}).items()
            ),
            landed[asset.name],
        )
        for asset in assets
    ]


def positions(settings: Settings, assets: Sequence[Asset]) -> dict[str, tuple[int, int]]:
    """Return for each asset with a readable raw table the sum of its topic's end offsets, and the rows raw holds.

    Raises Unavailable.
    """
    ends = offsets(settings, [asset.topic for asset in assets])
    landed = _total_rows(settings, assets)
    return {
        asset.name: (sum(end for _, end in ends.get(asset.topic, {}).values()), rows)
        for asset in assets
        if (rows := landed[asset.name]) is not None
    }


def produced(begin: int, end: int, first: int, no_record: int) -> int:
    """Return how many offsets of a partition raw should hold; `first` is the lowest that landed."""
    # The broker deletes old records and then begins above the first one that landed.
    return end - min(begin, first) - no_record


def _total_rows(settings: Settings, assets: Sequence[Asset]) -> dict[str, int | None]:
    """Return by asset the rows that raw holds; None for one whose raw table does not exist or cannot be read."""
    tables = {asset.name: raw_table(asset).identifier for asset in assets}
    by_table = read_metadata(settings, tables.values())
    metadata = {name: by_table.get(table) for name, table in tables.items()}
    return {name: each.total_rows if isinstance(each, TableMetadata) else None for name, each in metadata.items()}
