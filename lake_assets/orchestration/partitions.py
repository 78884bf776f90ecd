"""Windows as Dagster partitions: one definition per window size, shared by all assets so that one run may span them."""

import itertools
from collections.abc import Collection, Iterable

import dagster as dg

from lake_assets.catalog.model import Asset, WindowSize
from lake_assets.catalog.windows import window_start

# The broker takes events up to an hour ahead of its clock, so the window after the running one can hold some.
_AHEAD = {"day": 2, "hour": 3}


def window_partitions(assets: Iterable[Asset]) -> dict[WindowSize, dg.TimeWindowPartitionsDefinition]:
    """The partitions definition of each window size in use, from the earliest contract's start."""
    starts: dict[WindowSize, str] = {}
    for asset in assets:
        first = asset.start.isoformat()
        starts[asset.window] = min(first, starts.get(asset.window, first))
    definitions: dict[WindowSize, dg.TimeWindowPartitionsDefinition] = {}
    for size, start in starts.items():
        if size == "day":
            definitions[size] = dg.DailyPartitionsDefinition(start_date=start, end_offset=_AHEAD[size])
        else:
            definitions[size] = dg.HourlyPartitionsDefinition(start_date=f"{start}-00:00", end_offset=_AHEAD[size])
    return definitions


def spans(
    windows: Collection[str], size: WindowSize, partitions: dg.TimeWindowPartitionsDefinition, gap: int, most: int
) -> list[tuple[str, str]]:
    """Covers windows with at most `most` ranges, oldest first, each without a hole of more than `gap` windows.

    A window outside of the definition (an event older than every contract's start, say) adds nothing, but there is
    always at least one range, so that a run can be asked for: the run takes such windows along by itself.
    """
    first, last = partitions.get_first_partition_key(), partitions.get_last_partition_key()
    if first is None or last is None:
        return []
    inside = sorted(window for window in set(windows) if first <= window <= last)
    if not inside:
        return [(first, first)] if windows else []
    length = 86_400 if size == "day" else 3_600
    places = [int(window_start(window, size).timestamp()) // length for window in inside]
    holes = sorted(
        ((places[i] - places[i - 1], i) for i in range(1, len(places)) if places[i] - places[i - 1] > gap), reverse=True
    )
    cuts = sorted(i for _, i in holes[: most - 1])
    edges = [0, *cuts, len(inside)]
    return [(inside[a], inside[b - 1]) for a, b in itertools.pairwise(edges)]
