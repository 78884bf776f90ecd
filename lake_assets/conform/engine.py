"""Engine of a run's windows, and the reason: a word in the contract, or the bytes when the word is auto."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.settings import Spark


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine of one run; `reason` is for the run's metadata."""

    engine: Literal["duckdb", "spark"]
    reason: str


def choose(asset: Asset, windows: Sequence[WindowInput], spark: Spark) -> Choice:
    """Choose the engine for these windows together, by the size of their raw files in the snapshot.

    A cluster takes over when the run as a whole is large. Spark on this machine is slower than DuckDB at any size. It
    only takes over what one process should not hold: DuckDB builds windows in batches, but each window whole.
    """
    if asset.entrypoint:
        return Choice("spark", f"the contract names the entrypoint {asset.entrypoint}, which runs on Spark")
    if asset.has_tokens:
        return Choice("duckdb", "it has fields to tokenise, whose key stays in the process of the run")
    if asset.engine != "auto":
        return Choice(asset.engine, f"the contract has engine: {asset.engine}")
    sizes = [window.bytes for window in windows]
    subject, size = ("the largest window's", max(sizes)) if spark.runner == "local" else ("the run's", sum(sizes))
    sizing = f"auto: {subject} raw files are {size / 1e6:,.1f} MB"
    if size > spark.threshold:
        return Choice("spark", f"{sizing}, more than the threshold of {spark.threshold / 1e6:,.0f} MB")
    return Choice("duckdb", f"{sizing}, within the threshold of {spark.threshold / 1e6:,.0f} MB")
