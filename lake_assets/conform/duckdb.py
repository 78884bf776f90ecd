"""Run a compiled conform on DuckDB, in this process: from windows to unpublished Parquet and row counts."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from lake_assets.bucket import let_read
from lake_assets.catalog.failure import Cause
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.compile.conform import NO_RAW, judged_table
from lake_assets.compile.sql import literal
from lake_assets.conform.isolate import Failed, IsolationTime, isolate
from lake_assets.conform.tokens import let_tokenise
from lake_assets.conform.write_windows import (
    ConformRun,
    WindowPart,
    is_of_sql,
    judge_checks,
    merge_parts,
    write_windows,
)
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import Incurable, LakeError


def conform_apart(
    asset: Asset,
    windows: Sequence[WindowInput],
    out: str,
    scratch: Path,
    run_id: str,
    name: str,
    *,
    isolation_time: IsolationTime,
) -> tuple[tuple[WindowOutput, ...], dict[str, Cause]]:
    """Conform the windows together, which is fast; a window that fails, for example for a damaged file, is left out.

    So it does not hold back the others. Returns the outputs, and the cause of each window without one.
    """
    by_name = {window.window: window for window in windows}

    def attempt(names: Collection[str]) -> tuple[WindowOutput, ...]:
        try:
            return conform(asset, [by_name[window] for window in names], out, scratch, run_id, name)
        except (LakeError, duckdb.Error) as error:
            raise Failed(_cause(error)) from error

    isolated = isolate(list(by_name), attempt, isolation_time)
    return tuple(sorted(isolated.results, key=lambda output: output.window)), isolated.failed


def _cause(error: LakeError | duckdb.Error) -> Cause:
    if isinstance(error, LakeError):
        return Cause(str(error), curable=not isinstance(error, Incurable))
    sentence = f"DuckDB reports of its raw files: {str(error).splitlines()[0]}"
    return Cause(sentence, curable=not is_of_sql(error))


def conform(
    asset: Asset, windows: Sequence[WindowInput], out: str, scratch: Path, run_id: str, name: str
) -> tuple[WindowOutput, ...]:
    """Judge the windows' raw rows, and write good and quarantined rows as Parquet below `out`, a bucket URL.

    Nothing reads the files until they are published. Running it again on the same windows yields the same rows.
    `scratch` is a folder that DuckDB may spill to. `name` is the files' name, which no other file has. Raises LakeError
    when the row counts of a window do not add up.
    """
    run = ConformRun(asset, out, run_id, datetime.now(UTC).isoformat(timespec="microseconds"))
    with duckdb_session(scratch) as session:
        let_tokenise(session, asset)
        # Sizes that are not known are fewer than the paths.
        sizes = {path: size for window in windows for path, size in zip(window.paths, window.sizes, strict=False)}
        let_read(session, next((path for window in windows for path in window.paths), ""), sizes)
        paths = ", ".join(literal(path) for window in windows for path in window.paths)
        columns = "payload, _key, _topic, _partition, _offset, _timestamp"
        source = f"(select {columns} from read_parquet([{paths}]))" if paths else NO_RAW
        session.execute(judged_table(asset, source))
        parts = merge_parts(write_windows(session, run, name))
        outputs: list[WindowOutput] = []
        for window in windows:
            part = parts.get(window.window, WindowPart(window.window, (), (), ()))
            output = WindowOutput(
                window=window.window,
                raw_rows=window.rows,
                partitions=part.partitions,
                good_files=part.good_files,
                quarantine_files=part.quarantine_files,
                bytes=window.bytes,
                checks=judge_checks(session, asset, part.good_files),
                unknown=part.unknown,
                conflicts=part.conflicts,
            )
            if (imbalance := output.imbalance()) is not None:
                raise LakeError(f"{imbalance}. Run `lake audit`.")
            outputs.append(output)
        return tuple(outputs)
