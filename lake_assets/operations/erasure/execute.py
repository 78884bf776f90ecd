"""Steps of an erasure: decide, rewrite raw, delete from the tables, rebuild, and record the receipt.

The ledger records the rows by topic, Kafka partition and offset before anything is changed. Each later step can be
repeated and needs no key of the subject: the next confirmation for the asset finishes what a crashed process began.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import NO_ROWS
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.compile.forget import Wanted
from lake_assets.conform.tokens import new_salt, sealed
from lake_assets.errors import LakeError
from lake_assets.landing.delete_rows import rewrite_without
from lake_assets.landing.files import window_rows
from lake_assets.ledger.forgotten import (
    OffsetRun,
    Receipt,
    add_files_deleted,
    decide_to_forget,
    files_made_since,
    forgotten_runs,
    is_counted,
    receipts,
    set_counts,
    set_done,
    set_rewritten,
)
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.removals import add_orphan_files
from lake_assets.ledger.window_states import NO_STATE, window_states
from lake_assets.operations.adapters import erasure_for
from lake_assets.operations.erasure.search import plan_erasure, subject
from lake_assets.operations.erasure.versions import in_windows_of, versions_of, windows_of
from lake_assets.operations.refresh import observe
from lake_assets.operations.retention import expire
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import Erasure, Position

# Brings these entries of the queue and the marts downstream up to date; returns failures by step.
Build = Callable[[Sequence[Pending]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Erasure:
    """An erasure that is decided. `siblings` are the other versions with a contract; `runs` are the erased offsets."""

    settings: Settings
    ledger: Ledger
    asset: Asset
    siblings: Sequence[Asset]
    receipt: Receipt
    runs: Sequence[OffsetRun]


def forget(
    settings: Settings,
    ledger: Ledger,
    asset: Asset,
    siblings: Sequence[Asset],
    wanted: Sequence[Wanted],
    *,
    checksum: str,
    force: bool,
    build: Build,
) -> tuple[Receipt, Mapping[str, str]]:
    """Delete the rows of `plan_erasure` if its checksum is still this one; return the receipt, and failures by step.

    The rows are deleted from all versions of the dataset; `siblings` are those with a contract, and are rebuilt too.
    An erasure that an earlier process began is finished first; if it is this one, `wanted` may be empty. Raises
    LakeError, Unavailable.
    """
    failed: dict[str, str] = {}
    for receipt in (receipt for receipt in receipts(ledger, asset.dataset) if receipt.done_at is None):
        failed |= _finish(settings, ledger, asset, siblings, receipt, build)
        if receipt.checksum == checksum:
            return _receipt(ledger, asset, receipt.id), failed
    if not wanted:
        raise LakeError(f"the erasure with the checksum {checksum} is finished already, by another process.")
    number = _decide(settings, ledger, asset, wanted, checksum, force)
    failed |= _finish(settings, ledger, asset, siblings, _receipt(ledger, asset, number), build)
    return _receipt(ledger, asset, number), failed


def _decide(
    settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted], checksum: str, force: bool
) -> int:
    """Record the rows to erase; return the receipt's id."""
    # Until the decision names the files with these rows, no compaction may combine them with others.
    with ledger.locked(f"dataset:{asset.dataset}"):
        plan = plan_erasure(settings, ledger, asset, wanted)
        if plan.checksum != checksum or not plan.windows:
            raise LakeError(
                f"what would be removed has not the checksum {checksum}: look again without --confirm, nothing was "
                "removed."
            )
        if plan.is_surprising and not force:
            raise LakeError(
                f"{plan.rows:,} of {plan.of:,} rows are more than one person is likely to have: check the value, "
                "and add --force if it is right."
            )
        salt = new_salt()
        hashed = (sealed(subject(asset, wanted), salt), salt)
        fields = [field.name for field, _ in wanted]
        return decide_to_forget(
            ledger,
            asset.dataset,
            fields,
            hashed,
            checksum=checksum,
            sequence=plan.sequence,
            files=plan.files,
            windows=plan.windows,
            runs=plan.runs,
        )


def _receipt(ledger: Ledger, asset: Asset, number: int) -> Receipt:
    return next(receipt for receipt in receipts(ledger, asset.dataset) if receipt.id == number)


def _finish(
    settings: Settings, ledger: Ledger, asset: Asset, siblings: Sequence[Asset], receipt: Receipt, build: Build
) -> Mapping[str, str]:
    """Do all steps after the decision, including those that may be done already; return failures by step."""
    erasure = _Erasure(settings, ledger, asset, siblings, receipt, forgotten_runs(ledger, receipt.id))
    versions = versions_of(ledger, asset)
    with ledger.locked(f"dataset:{asset.dataset}"):
        _erase_raw(erasure)
        _erase_tables(erasure, versions)
        pending = _queue_rebuilds(erasure)
    failed: Mapping[str, str] = build(pending) if pending else {}
    # Building may take long: the session of an adapter from before may be lost by now.
    adapter = erasure_for(settings)
    with ledger.locked(f"dataset:{asset.dataset}"):
        for version in versions:
            windows = windows_of(version, asset, receipt.windows)
            needed = files_made_since(ledger, receipt.id, version.name, windows)
            add_files_deleted(ledger, receipt.id, adapter.purge(version, windows, needed))
        set_done(ledger, receipt.id)
    return failed


def _erase_raw(erasure: _Erasure) -> None:
    """Rewrite raw files without the rows, and delete the files that contained them."""
    settings, ledger, asset, receipt = erasure.settings, erasure.ledger, erasure.asset, erasure.receipt
    offsets: defaultdict[int, set[int]] = defaultdict(set)
    for run in erasure.runs:
        offsets[run.partition].update(range(run.first, run.last + 1))

    def about_to_write(urls: Sequence[str]) -> None:
        add_orphan_files(ledger, asset.dataset, urls)

    rewrite_without(settings, asset, receipt.files, offsets, about_to_write)
    set_rewritten(ledger, receipt.id)
    add_files_deleted(ledger, receipt.id, expire(settings, ledger, asset, datetime.now(UTC)))
    observe(settings, ledger, [asset, *erasure.siblings], ledger.cursors())


def _erase_tables(erasure: _Erasure, versions: Sequence[Asset]) -> None:
    """Delete the rows from staging and quarantine of each version, and from the ledger's counts."""
    ledger, asset, receipt = erasure.ledger, erasure.asset, erasure.receipt
    positions: defaultdict[str, set[Position]] = defaultdict(set)
    for run in erasure.runs:
        positions[run.window].update((run.partition, offset) for offset in range(run.first, run.last + 1))
    adapter = erasure_for(erasure.settings)
    for version in versions:
        adapter.remove_rows(version, in_windows_of(version, asset, positions))
    if not is_counted(ledger, receipt.id):
        set_counts(ledger, receipt.id, {version.name: _counts(erasure, adapter, version) for version in versions})


def _queue_rebuilds(erasure: _Erasure) -> list[Pending]:
    """Queue the receipt's windows that can be rebuilt; return their entries, and those that were queued before."""
    ledger, assets = erasure.ledger, (erasure.asset, *erasure.siblings)
    for asset in assets:
        ledger.queue_windows(asset, _rebuildable(erasure, asset))
    queued = ledger.pending([asset.name for asset in assets])
    return [entry for entry in queued if entry.window in erasure.receipt.windows]


def _rebuildable(erasure: _Erasure, asset: Asset) -> list[str]:
    """Return the windows that can be rebuilt, from raw or from the tables; the marts downstream follow."""
    receipt = erasure.receipt
    from_tables = asset.keeps_payloads and not asset.entrypoint
    states = window_states(erasure.ledger, asset, receipt.windows)
    raw = window_rows(erasure.settings, asset)
    windows: list[str] = []
    for window, rows in receipt.windows.items():
        state = states.get(window, NO_STATE)
        is_whole = not state.raw_is_lost and (rows.raw > 0 or window in raw)
        if is_whole or (from_tables and state.can_rebuild):
            windows.append(window)
    return windows


def _counts(erasure: _Erasure, adapter: Erasure, version: Asset) -> dict[str, list[PartitionCount]]:
    """Return the counts of a version's windows without the receipt's rows; all are 0 in a window without other rows.

    If the version's windows are shorter, it is unknown which repeats were the subject's: they stay counted.
    """
    asset, ledger, receipt = erasure.asset, erasure.ledger, erasure.receipt
    windows = {own: window for window in receipt.windows for own in windows_of(version, asset, [window])}
    tables = adapter.partition_rows(version, windows)
    raw = window_rows(erasure.settings, asset)
    lost = {window for window, state in window_states(ledger, asset, receipt.windows).items() if state.raw_is_lost}
    erased: defaultdict[tuple[str, int], int] = defaultdict(int)
    for run in erasure.runs:
        if run.in_raw and run.window not in lost:
            erased[run.window, run.partition] += run.last - run.first + 1
    counts: dict[str, list[PartitionCount]] = {}
    for own, state in window_states(ledger, version, windows).items():
        if state.published is None:
            continue
        window = windows[own]
        is_empty = window not in raw and window not in lost and receipt.windows[window].raw > 0
        # A window that was rebuilt since the search does not count the rows any more.
        is_rebuilt = state.published.sequence > receipt.sequence
        counts[own] = []
        for _, count in ledger.partitions(version, own):
            good, quarantined = tables.get((own, count.partition), NO_ROWS)
            repeats = erased[own, count.partition] - (count.good - good) - (count.quarantined - quarantined)
            duplicates = 0 if is_empty else max(0, count.duplicates - max(0, 0 if is_rebuilt else repeats))
            total = good + quarantined + duplicates
            counts[own].append(replace(count, raw=total, good=good, quarantined=quarantined, duplicates=duplicates))
    return counts
