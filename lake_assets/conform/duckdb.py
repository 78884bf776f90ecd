"""Runs a compiled conform on DuckDB, in this process: windows in, unpublished Parquet and numbers out."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from lake_assets.catalog.accounting import CheckOutcome, PartitionCount, WindowInput, WindowOutput
from lake_assets.catalog.model import Asset, Check
from lake_assets.catalog.windows import window_key, window_path, window_start
from lake_assets.compile.conform import (
    COUNTS,
    GOOD_VIEW,
    dropped_table,
    good_select,
    judged_table,
    quarantine_select,
)
from lake_assets.compile.sql import literal
from lake_assets.errors import LakeError

ROWS_PER_GROUP = 122_880


def conform(
    asset: Asset, windows: Sequence[WindowInput], out: str, scratch: Path, run_id: str
) -> tuple[WindowOutput, ...]:
    """Judges the windows' raw rows and writes good and quarantined ones as Parquet below `out`, a bucket URL.

    Nothing reads the files until they are published. Running it again on the same windows yields the same rows.
    `scratch` is a folder that DuckDB may spill to. Raises LakeError when the numbers of a window do not add up.
    """
    attempt = uuid.uuid4().hex[:12]
    loaded_at = datetime.now(UTC).isoformat(timespec="microseconds")
    with duckdb.connect() as session:
        session.execute(f"set timezone = 'UTC'; set temp_directory = {literal(str(scratch))}")
        paths = ", ".join(literal(path) for window in windows for path in window.paths)
        columns = "payload, _key, _topic, _partition, _offset, _timestamp"
        session.execute(judged_table(asset, f"(select {columns} from read_parquet([{paths}]))"))
        session.execute(dropped_table(asset))
        session.execute(GOOD_VIEW)
        counts = _counts(session, asset)
        outputs: list[WindowOutput] = []
        for window in windows:
            folder = f"{out}/{asset.name}/v{asset.major}/{window_path(window.window)}"
            start = f"_window = timestamptz {literal(window_start(window.window, asset.window).isoformat())}"
            good = f"{good_select(asset, loaded_at)}\nwhere {start}"
            bad = f"{quarantine_select(asset, run_id, loaded_at)}\n  and {start}"
            partitions = counts[window.window]
            good_files = _write(session, good, f"{folder}/{attempt}.parquet", any(p.good for p in partitions))
            bad_files = _write(
                session, bad, f"{folder}/{attempt}.quarantine.parquet", any(p.quarantined for p in partitions)
            )
            output = WindowOutput(
                window=window.window,
                raw_rows=window.rows,
                partitions=tuple(partitions),
                good_files=good_files,
                quarantine_files=bad_files,
                bytes=window.bytes,
                checks=tuple(_judge(session, check, good_files, good) for check in asset.checks),
            )
            if (imbalance := output.imbalance()) is not None:
                raise LakeError(f"{asset.name} {window.window} was not published: {imbalance}. Run 'lake audit'.")
            outputs.append(output)
        return tuple(outputs)


def _counts(session: duckdb.DuckDBPyConnection, asset: Asset) -> defaultdict[str, list[PartitionCount]]:
    counts: defaultdict[str, list[PartitionCount]] = defaultdict(list)
    for start, *numbers in session.execute(COUNTS).fetchall():
        counts[window_key(start, asset.window)].append(PartitionCount(*numbers))
    return counts


def _write(session: duckdb.DuckDBPyConnection, select: str, url: str, wanted: bool) -> tuple[str, ...]:
    """Copies a SELECT to one Parquet file and returns its URL; an empty result writes none."""
    if not wanted:
        return ()
    path = url.removeprefix("file://")
    if not url.startswith(("s3://", "gs://", "hdfs://")):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    session.execute(
        f"copy (\n{select}\n) to {literal(path)} (format parquet, compression zstd, row_group_size {ROWS_PER_GROUP})"
    )
    return (path,)


def _judge(session: duckdb.DuckDBPyConnection, check: Check, files: Sequence[str], empty: str) -> CheckOutcome:
    listed = ", ".join(literal(path) for path in files)
    rows = f"select * from read_parquet([{listed}])" if files else f"select * from ({empty}) limit 0"
    session.execute(f"create or replace temp view conformed as {rows}")
    try:
        row = session.execute(check.query).fetchone()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise LakeError(
            f"the query of check '{check.name}' cannot run: {reason}. Correct it in the contract."
        ) from None
    value = None if row is None or row[0] is None else Decimal(str(row[0]))
    return CheckOutcome(check.name, value, value is not None and _holds(value, check), check.blocking)


def _holds(value: Decimal, check: Check) -> bool:
    low, high = check.bounds[0], check.bounds[-1]
    return {
        "=": value == low,
        "!=": value != low,
        "<": value < low,
        "<=": value <= low,
        ">": value > low,
        ">=": value >= low,
        "between": low <= value <= high,
        "not between": not low <= value <= high,
    }[check.operator]
