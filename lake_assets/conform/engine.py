"""Which engine makes a run's windows, and why: a word in the contract, or the bytes when the word is auto."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.settings import Spark


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine of one run; `reason` is what the run's metadata says of it."""

    engine: Literal["duckdb", "spark"]
    reason: str


def choose(asset: Asset, windows: Sequence[WindowInput], spark: Spark) -> Choice:
    """The engine for these windows together; sizes are those of the raw files, as the snapshot has them.

    A cluster takes over when the run as a whole is large. Spark on this very machine is slower than DuckDB at any size
    and only takes over what one process should not hold: DuckDB makes windows in batches, but each window whole.
    """
    if asset.entrypoint:
        return Choice("spark", f"the contract names the entrypoint {asset.entrypoint}, which runs on Spark")
    if asset.has_tokens:
        return Choice("duckdb", "it has fields to tokenise, whose key stays in the process of the run")
    if asset.engine != "auto":
        return Choice(asset.engine, f"the contract says engine: {asset.engine}")
    sizes = [window.bytes for window in windows]
    what, size = ("the largest window's", max(sizes)) if spark.runner == "local" else ("the run's", sum(sizes))
    told = f"auto: {what} raw files are {size / 1e6:,.1f} MB"
    if size > spark.threshold:
        return Choice("spark", f"{told}, more than the threshold of {spark.threshold / 1e6:,.0f} MB")
    return Choice("duckdb", f"{told}, within the threshold of {spark.threshold / 1e6:,.0f} MB")
