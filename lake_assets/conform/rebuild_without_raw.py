"""Rebuild a window whose raw rows are deleted, from the payloads in quarantine and the good rows in staging."""

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
from lake_assets.conform.write_windows import ConformRun, WindowPart, judge_checks, merge_parts, write_windows
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Kept:
    """A window without raw: its good and quarantined rows in the warehouse, and the ledger's counts of it.

    `bytes` are those of its deleted raw files.
    """

    window: str
    good: "pyarrow.Table"
    quarantined: "pyarrow.Table"
    counts: Sequence[PartitionCount]
    bytes: int


QUARANTINE_COLUMNS = tuple(column.name for column in QUARANTINE)


def good_columns(asset: Asset) -> tuple[str, ...]:
    """Return the columns of `Kept.good`."""
    return tuple(column.name for column in staging_columns(asset))


def conform_kept(asset: Asset, kept: Kept, out: str, scratch: Path, run_id: str, name: str) -> WindowOutput:
    """Judge the quarantined payloads; those that pass join the good rows, by the usual rule for equal keys.

    Good rows are not judged again, because their payloads are deleted: they keep the version that judged them.
    Duplicates that were dropped before stay counted. Raises LakeError when the rows are not those in the ledger.
    """
    if asset.entrypoint:
        raise LakeError(
            f"its raw rows are deleted, and the entrypoint {asset.entrypoint} needs those of the whole window: "
            "it stays as it is."
        )
    if not asset.keeps_payloads:
        raise LakeError(
            "its raw rows are deleted, and quarantine keeps no payloads where fields are protected: it stays as it is."
        )
    run = ConformRun(asset, out, run_id, datetime.now(UTC).isoformat(timespec="microseconds"))
    with duckdb_session(scratch) as session:
        session.register("kept_good", kept.good)
        session.register("kept_quarantine", kept.quarantined)
        session.execute(judged_table(asset, kept_payloads("kept_quarantine")))
        session.execute(kept_good(asset, "kept_good"))
        select = kept_select(asset, run.loaded_at, "kept_good")
        parts = merge_parts(write_windows(session, run, name, select))
        part = parts.get(kept.window, WindowPart(kept.window, (), (), ()))
        output = WindowOutput(
            window=kept.window,
            raw_rows=sum(count.raw for count in kept.counts),
            partitions=_with_dropped(part.partitions, kept.counts),
            good_files=part.good_files,
            quarantine_files=part.quarantine_files,
            bytes=kept.bytes,
            checks=judge_checks(session, asset, part.good_files),
            unknown=part.unknown,
            conflicts=part.conflicts,
        )
    if (imbalance := output.imbalance()) is not None:
        raise LakeError(f"its raw rows are deleted, and of the others {imbalance}. Run `lake audit`.")
    return output


def _with_dropped(now: Sequence[PartitionCount], before: Sequence[PartitionCount]) -> tuple[PartitionCount, ...]:
    """Add the duplicates that were dropped before to the counts of the rows that were judged now."""
    judged = {(count.topic, count.partition): count for count in now}
    counts: list[PartitionCount] = []
    for old in before:
        count = judged.get((old.topic, old.partition)) or replace(old, raw=0, good=0, quarantined=0, duplicates=0)
        counts.append(
            replace(
                count,
                raw=count.raw + old.duplicates,
                duplicates=count.duplicates + old.duplicates,
                redelivered=old.redelivered,
                min_offset=old.min_offset,
                max_offset=old.max_offset,
            )
        )
    return tuple(counts)
