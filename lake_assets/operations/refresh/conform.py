"""Conform one batch of windows with the chosen engine."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake_assets.bucket import local_path
from lake_assets.catalog.failure import Cause
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform_apart
from lake_assets.conform.isolate import IsolationTime
from lake_assets.conform.rebuild_without_raw import QUARANTINE_COLUMNS, Kept, conform_kept, good_columns
from lake_assets.conform.write_windows import window_files
from lake_assets.errors import LakeError
from lake_assets.ledger.attempts import begin_attempt
from lake_assets.ledger.unreferenced_files import add_unreferenced_files
from lake_assets.operations.refresh.context import ConformResult, RefreshContext
from lake_assets.operations.refresh.select import Work


@dataclass(frozen=True, slots=True)
class ConformedBatch:
    """A batch of windows that is conformed, but not published.

    `files` are the files that may have been written for each window. `started` and `ended` are monotonic seconds.
    """

    inputs: Sequence[WindowInput]
    files: Mapping[str, Sequence[str]]
    result: ConformResult
    started: float
    ended: float


def conform_batch(
    context: RefreshContext, work: Work, batch: Sequence[WindowInput], isolation_time: IsolationTime
) -> ConformedBatch:
    """Write the files of a batch aside. A window without raw rows is a batch of its own."""
    ledger, asset = context.ledger, context.asset
    begin_attempt(ledger, asset, {window.window for window in batch})
    started = time.monotonic()
    # Record file names first, so that a crashed run's files can be cleaned up. Spark removes its own.
    name = uuid.uuid4().hex[:12]
    conformed = context.settings.conformed
    paths = {w.window: [*map(local_path, window_files(conformed, asset, w.window, name))] for w in batch}
    add_unreferenced_files(ledger, asset, [path for pair in paths.values() for path in pair])
    if batch[0].window in work.without_raw:
        result = _conform_without_raw(context, batch[0].window, name)
    elif work.engine.engine == "duckdb":
        outputs, failed = conform_apart(
            asset, batch, conformed, context.scratch, context.run_id, name, isolation_time=isolation_time
        )
        result = ConformResult(outputs, failed, {})
    else:
        result = context.on_spark(batch)
    return ConformedBatch(batch, paths, result, started, time.monotonic())


def _conform_without_raw(context: RefreshContext, window: str, name: str) -> ConformResult:
    ledger, asset, warehouse = context.ledger, context.asset, context.warehouse
    (published,) = ledger.windows(asset, window)
    kept = Kept(
        window,
        warehouse.rows(asset, "staging", [window], good_columns(asset)),
        warehouse.rows(asset, "quarantine", [window], QUARANTINE_COLUMNS),
        [count for _, count in ledger.partitions(asset, window)],
        published.raw_bytes,
    )
    try:
        output = conform_kept(asset, kept, context.settings.conformed, context.scratch, context.run_id, name)
    except LakeError as error:
        return ConformResult((), {window: Cause(str(error))}, {})
    return ConformResult((output,), {}, {})
