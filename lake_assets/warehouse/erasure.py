"""What a warehouse must do so that single rows of a person are nowhere any more; every target has an adapter."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
from pyarrow.fs import FileSelector

from lake_assets.bucket import opened
from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_path, window_start
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

# Kafka partition and offset.
Position = tuple[int, int]
# By window.
Positions = Mapping[str, Collection[Position]]
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row of one of the two tables, by its window and position."""

    window: str
    position: Position


class Erasure(Protocol):
    """Takes single rows out of staging and quarantine. A table that somebody has dropped has no rows.

    Each method can be called again after it died, and does the rest. The caller holds the asset's lock.
    """

    def staged(self, asset: Asset, values: Mapping[str, str], at: Positions) -> list[HeldRow]:
        """The rows of staging that are at these positions, or that have all these values, if any are given: by column,
        as SQL of DuckDB."""
        ...

    def quarantined(self, asset: Asset, matching: Callable[[str], str], at: Positions) -> list[HeldRow]:
        """The rows of quarantine that are at these positions, or that `matching` makes DuckDB find.

        It is given a relation with `_window`, `partition`, `offset` and `payload`, and gives SQL for `_window`,
        `partition` and `position`.
        """
        ...

    def remove_rows(self, asset: Asset, at: Positions) -> None:
        """Removes the rows at these positions from both tables, of which readers see each change at once."""
        ...

    def partition_rows(self, asset: Asset, windows: Collection[str]) -> dict[tuple[str, int], tuple[int, int]]:
        """Staging and quarantine rows by window and Kafka partition, as the tables count them."""
        ...

    def purge(self, asset: Asset, windows: Sequence[str], kept: Collection[str]) -> int:
        """Removes what tables do not show any more from the bucket, apart from the files `kept`; how many files.

        Older versions of tables and marts go as far as the target lets them, and of these windows all conformed files
        that no table has.
        """
        ...

    def out_of_reach(self) -> list[str]:
        """What of the warehouse cannot be removed, in a sentence each."""
        ...


def remove_conformed(settings: Settings, asset: Asset, windows: Sequence[str], live: Collection[str]) -> int:
    """Removes what conform wrote for the windows apart from the files `live`; how many files that were.

    Also what Spark jobs have set aside for these windows and did not live to remove.
    """
    folders = [f"{asset.dataset}/v{asset.major}/{window_path(window)}/" for window in windows]
    removed = sum(remove_below(f"{settings.conformed}/{folder}", live) for folder in folders)
    return removed + remove_below(
        f"{settings.bucket}/jobs", live, lambda file: any(f"/good/{folder}" in file.path for folder in folders)
    )


def remove_below(folder: str, live: Collection[str], chosen: "Callable[[FileInfo], bool]" = lambda _: True) -> int:
    """Removes the files below a folder that are `chosen` and not among `live`; how many files that were."""
    system, path = opened(folder.rstrip("/"))
    kept = {opened(file)[1] for file in live}
    found = system.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    others = [file.path for file in found if file.is_file and file.path not in kept and chosen(file)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(system.delete_file, others))
    return len(others)


def listed_positions(asset: Asset, at: Positions) -> pa.Table:
    """The columns `_window`, `partition` and `position`."""
    rows = [(window_start(window, asset.window), *one) for window, positions in at.items() for one in positions]
    columns = (("_window", pa.timestamp("us", tz="UTC")), ("partition", pa.int32()), ("position", pa.int64()))
    return pa.table({name: pa.array([row[place] for row in rows], kind) for place, (name, kind) in enumerate(columns)})
