"""Publish one conformed batch: the windows that pass their checks; the others are held back."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from lake_assets.catalog.budget import BUDGET, budget_outcome, over_budget
from lake_assets.catalog.failure import Cause
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.conform.isolate import Failed, Isolated, IsolationTime, isolate
from lake_assets.conform.reasons import broken_rules
from lake_assets.errors import LakeError, Unavailable
from lake_assets.ledger.publish import publish_windows
from lake_assets.ledger.unreferenced_files import add_unreferenced_files, clear_unreferenced_files
from lake_assets.operations.refresh.batches import BATCH_WINDOWS
from lake_assets.operations.refresh.conform import ConformedBatch
from lake_assets.operations.refresh.context import RefreshContext, cause_of
from lake_assets.operations.refresh.select import Work


@dataclass(frozen=True, slots=True)
class PublishedBatch:
    """Result of publishing a batch; `causes` and `sentences` as in `Refresh`."""

    published: Sequence[WindowOutput]
    held_back: Sequence[WindowOutput]
    causes: Mapping[str, Cause]
    sentences: Mapping[str, str]


def publish_batch(
    context: RefreshContext, work: Work, batch: ConformedBatch, isolation_time: IsolationTime
) -> PublishedBatch:
    """Publish the windows of a batch that pass their checks and their budget, and hold back the others."""
    asset = context.asset
    outputs = [replace(o, checks=(*o.checks, *budget_outcome(asset, o))) for o in batch.result.outputs]
    passed = {output.window: output for output in outputs if not output.blocked_by}
    blocked = [output for output in outputs if output.blocked_by]

    def publish(windows: Collection[str]) -> list[WindowOutput]:
        return _publish_windows(context, work, batch, [passed[window] for window in windows])

    total = Isolated[WindowOutput]()
    for first in range(0, len(passed), BATCH_WINDOWS):
        isolated = isolate([*passed][first : first + BATCH_WINDOWS], publish, isolation_time)
        total.results += isolated.results
        total.failed |= isolated.failed
    sentences = _hold_back(context, blocked) if blocked else {}
    return PublishedBatch(total.results, blocked, total.failed, sentences)


def _publish_windows(
    context: RefreshContext, work: Work, batch: ConformedBatch, outputs: list[WindowOutput]
) -> list[WindowOutput]:
    """Swap windows in the warehouse's tables in one transaction, and record it. Raises Failed if the tables refuse."""
    ledger, asset = context.ledger, context.asset
    # Before a table shows them: if this run dies now, a few files too many are better than one too few.
    paths = sorted({p for o in outputs for p in (*batch.files[o.window], *o.good_files, *o.quarantine_files)})
    clear_unreferenced_files(ledger, paths)
    try:
        context.warehouse.replace_windows(asset, outputs)
    except (LakeError, duckdb.Error) as error:
        if isinstance(error, Unavailable):
            raise
        add_unreferenced_files(ledger, asset, paths)
        raise Failed(cause_of(error)) from error
    seconds = time.monotonic() - batch.started
    publish_windows(
        ledger, asset, work.sequence, outputs, run_id=context.run_id, engine=work.engine.engine, seconds=seconds
    )
    return outputs


def _hold_back(context: RefreshContext, blocked: Sequence[WindowOutput]) -> dict[str, str]:
    """Record windows as held back; return the sentences for those that are over their budget."""
    ledger, asset = context.ledger, context.asset
    sentences = {
        output.window: over_budget(asset, output, broken_rules(output.quarantine_files))
        for output in blocked
        if BUDGET in output.blocked_by
    }
    ledger.hold_back(asset, context.run_id, blocked, sentences)
    add_unreferenced_files(ledger, asset, [p for o in blocked for p in (*o.good_files, *o.quarantine_files)])
    return sentences
