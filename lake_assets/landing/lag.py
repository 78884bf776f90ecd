"""How far raw is behind the broker, from offsets and snapshot totals alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.table_metadata import TableMetadata, read_metadata
from lake_assets.landing.topics import offsets
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Lag:
    """`produced` counts offsets the broker gave out and raw should hold, `landed` the rows raw holds; None when its
    metadata cannot be read, as `observe` says of it."""

    asset: str
    produced: int
    landed: int | None

    @property
    def under_way(self) -> int:
        """Records that are produced and not landed; never negative, and 0 when that is unknown."""
        return 0 if self.landed is None else max(0, self.produced - self.landed)


def lags(
    settings: Settings,
    assets: Sequence[Asset],
    known: Mapping[tuple[str, int], tuple[int, int]],
    ends: Mapping[str, Mapping[int, tuple[int, int]]] | None = None,
) -> list[Lag]:
    """The lag of each asset, in order.

    `known` says, per topic and Kafka partition, the lowest offset that raw ever got and how many offsets are not to be
    looked for in raw. `ends` are the topics' offsets of an earlier time, for the lag behind that; None asks the broker.
    Raises Unavailable.
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
    """For each asset whose raw table can be read the sum of its topic's end offsets, and the rows raw holds.

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
    # The broker forgets old records and then begins above the first one that landed.
    return end - min(begin, first) - no_record


def _total_rows(settings: Settings, assets: Sequence[Asset]) -> dict[str, int | None]:
    """Return by asset the rows that raw holds; None for one whose raw table does not exist or cannot be read."""
    tables = {asset.name: raw_table(asset).identifier for asset in assets}
    found = read_metadata(settings, tables.values())
    metadata = {name: found.get(table) for name, table in tables.items()}
    return {name: one.total_rows if isinstance(one, TableMetadata) else None for name, one in metadata.items()}
