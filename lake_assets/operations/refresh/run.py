"""Bring windows of one asset up to date: write aside, check, publish in one step, record.

The order is the promise: a crash between any two steps leaves readers with the old rows or the new ones, and leaves
the window in the queue, so that the next run builds it again with the same result.
"""

import time
from collections.abc import Callable, Sequence

import psycopg

from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.isolate import IsolationTime, waiting
from lake_assets.errors import LakeError
from lake_assets.ledger.attempts import end_attempt, record_abandoned
from lake_assets.ledger.failures import known_failures, record_failed_run, record_failures
from lake_assets.ledger.retries import is_suspect
from lake_assets.operations.refresh.batches import BatchQueue
from lake_assets.operations.refresh.conform import ConformedBatch, conform_batch
from lake_assets.operations.refresh.context import RefreshContext, cause_of
from lake_assets.operations.refresh.publish import PublishedBatch, publish_batch
from lake_assets.operations.refresh.queue import RequestedWindows
from lake_assets.operations.refresh.result import Refresh
from lake_assets.operations.refresh.select import Work, select_windows
from lake_assets.operations.retention import limit_snapshots


def refresh(context: RefreshContext, choose: Callable[[], RequestedWindows]) -> Refresh:
    """Build the windows that `choose` returns under the dataset's lock, and publish those that pass their checks.

    A window that cannot be built, or whose rows are not all accounted for, fails alone. Failures are recorded in the
    ledger, including that of the whole call, which is raised.
    """
    ledger, asset = context.ledger, context.asset
    result = Refresh(asset)
    with ledger.locked(f"dataset:{asset.dataset}"):
        record_abandoned(ledger, asset)
        requested = choose()
        if not requested.windows:
            return result
        try:
            _build(context, sorted(requested.windows), requested.probe, result)
        except Exception as error:
            _record_failed_run(context, error)
            raise
        finally:
            if not ledger.connection.closed:
                end_attempt(ledger, asset)
        record_failures(ledger, asset, result.done, result.causes, probed=requested.probe is not None)
        _limit_snapshots(context)
    return result


def _limit_snapshots(context: RefreshContext) -> None:
    try:
        limit_snapshots(context.settings, context.ledger, context.asset)
    except LakeError as error:
        context.log(f"old snapshots stay until the next run: {error}")


def _build(context: RefreshContext, windows: Sequence[str], probe: str | None, result: Refresh) -> None:
    """Build the windows into `result`, a batch at a time."""
    work = select_windows(context, windows)
    result.sequence, result.engine, result.unchanged = work.sequence, work.engine, work.unchanged
    context.log(f"{context.asset.name}: {work.engine.engine}, because {work.engine.reason}")
    queue = _queue(context, work, probe)
    isolation_time = IsolationTime()
    number = 0
    while batch := queue.take():
        number += 1
        conformed = conform_batch(context, work, batch, isolation_time)
        published = publish_batch(context, work, conformed, isolation_time)
        _add(result, conformed, published)
        context.log(f"{context.asset.name}: batch {number}, {_progress(batch, conformed, published)}")
        if cause := queue.shared_cause(batch, conformed.result.failed, result.causes):
            result.causes |= waiting(queue.windows, cause)
            return


def _queue(context: RefreshContext, work: Work, probe: str | None) -> BatchQueue:
    failures = known_failures(context.ledger, [context.asset.name])
    return BatchQueue(
        list(work.inputs),
        probes=[window.window for window in work.inputs if window.window == probe],
        suspects=[failure.window for failure in failures if is_suspect(failure)],
        without_raw=work.without_raw,
        on_duckdb=work.engine.engine == "duckdb",
    )


def _add(result: Refresh, conformed: ConformedBatch, published: PublishedBatch) -> None:
    """Add a batch to the result."""
    result.published += published.published
    result.held_back += published.held_back
    result.causes |= published.causes
    result.causes |= conformed.result.failed
    result.sentences |= published.sentences
    result.details |= conformed.result.details
    result.conform_seconds += conformed.ended - conformed.started
    result.publish_seconds += time.monotonic() - conformed.ended


def _progress(batch: Sequence[WindowInput], conformed: ConformedBatch, published: PublishedBatch) -> str:
    rows = sum(output.raw_rows for output in conformed.result.outputs)
    done, held_back = len(published.published), len(published.held_back)
    return (
        f"{batch[0].window} to {batch[-1].window}, {rows} rows, {done} windows published, {held_back} held back, "
        f"{len(batch) - done - held_back} failed"
    )


def _record_failed_run(context: RefreshContext, error: Exception) -> None:
    """Record the failure of the whole run, if the ledger still answers."""
    ledger = context.ledger
    if ledger.connection.closed:
        return
    try:
        record_failed_run(ledger, context.asset, cause_of(error))
    except psycopg.Error:
        # `Ledger` reports a lost Postgres itself, instead of the errors that follow from it.
        if ledger.connection.broken:
            raise
