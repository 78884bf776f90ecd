"""Judges a window again whose raw rows are gone: from what quarantine kept of them, beside the good rows it has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import PartitionCount, WindowOutput
from lake_assets.compile.conform import judged_table
from lake_assets.compile.ddl import QUARANTINE, staging_columns
from lake_assets.compile.rebuild_without_raw import kept_good, kept_payloads, kept_select
from lake_assets.conform.write_windows import Order, Settled, judge_checks, merged, settle
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is left of a window: its good and quarantined rows as the warehouse has them, and the ledger's numbers
    of it. `bytes` were those of its raw files."""

    window: str
    good: "pyarrow.Table"
    quarantined: "pyarrow.Table"
    counts: Sequence[PartitionCount]
    bytes: int


QUARANTINE_COLUMNS = tuple(column.name for column in QUARANTINE)


def good_columns(asset: Asset) -> tuple[str, ...]:
    """The columns that `Kept.good` has."""
    return tuple(column.name for column in staging_columns(asset))


def conform_kept(asset: Asset, kept: Kept, out: str, scratch: Path, run_id: str, name: str) -> WindowOutput:
    """Judges the quarantined payloads; those that pass join the good rows, by the same rule for equal keys as ever.

    Good rows are not judged again, since their payloads are gone: they keep the version that judged them. Duplicates
    that were dropped before stay counted. Raises LakeError when the rows are not those that the ledger knows.
    """
    if asset.entrypoint:
        raise LakeError(
            f"its raw rows are gone, and what {asset.entrypoint} makes of a payload needs the whole window: "
            "it stays as it is."
        )
    if not asset.keeps_payloads:
        raise LakeError(
            "its raw rows are gone, and quarantine keeps no payloads where fields are protected: it stays as it is."
        )
    order = Order(asset, out, run_id, datetime.now(UTC).isoformat(timespec="microseconds"))
    with duckdb_session(scratch) as session:
        session.register("kept_good", kept.good)
        session.register("kept_quarantine", kept.quarantined)
        session.execute(judged_table(asset, kept_payloads("kept_quarantine")))
        session.execute(kept_good(asset, "kept_good"))
        select = kept_select(asset, order.loaded_at, "kept_good")
        parts = merged(list(settle(session, order, name, select)))
        found = parts.get(kept.window, Settled(kept.window, (), (), ()))
        output = WindowOutput(
            window=kept.window,
            raw_rows=sum(count.raw for count in kept.counts),
            partitions=_with_dropped(found.partitions, kept.counts),
            good_files=found.good_files,
            quarantine_files=found.quarantine_files,
            bytes=kept.bytes,
            checks=judge_checks(session, asset, found.good_files),
            unknown=found.unknown,
            conflicts=found.conflicts,
        )
    if (imbalance := output.imbalance()) is not None:
        raise LakeError(f"its raw rows are gone, and of those that were kept {imbalance}. Run 'lake audit'.")
    return output


def _with_dropped(now: Sequence[PartitionCount], before: Sequence[PartitionCount]) -> tuple[PartitionCount, ...]:
    """The counts of the rows that were judged now, together with the duplicates that were dropped before."""
    judged = {(count.topic, count.partition): count for count in now}
    told: list[PartitionCount] = []
    for old in before:
        count = judged.get((old.topic, old.partition)) or replace(old, raw=0, good=0, quarantined=0, duplicates=0)
        told.append(
            replace(
                count,
                raw=count.raw + old.duplicates,
                duplicates=count.duplicates + old.duplicates,
                redelivered=old.redelivered,
                min_offset=old.min_offset,
                max_offset=old.max_offset,
            )
        )
    return tuple(told)
