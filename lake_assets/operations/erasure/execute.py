"""Steps of an erasure: decide, rewrite raw, delete from the tables, rebuild, and record the receipt.

What goes is written to the ledger by topic, Kafka partition and offset before anything is touched. Each step after that
can be repeated, and needs no key any more: the next confirmation for the asset finishes what a process that died began.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from lake_assets.ledger.removals import add_orphan_files, removed
from lake_assets.operations.adapters import erasure_for
from lake_assets.operations.erasure.search import plan_erasure, subject
from lake_assets.operations.erasure.versions import in_windows_of, versions_of, windows_of
from lake_assets.operations.refresh import observe
from lake_assets.operations.retention import expire
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import Erasure, Position

# Brings these entries of the queue and the marts behind them up to date; by step why that failed.
Make = Callable[[Sequence[Pending]], Mapping[str, str]]


def forget(
    settings: Settings,
    ledger: Ledger,
    asset: Asset,
    beside: Sequence[Asset],
    wanted: Sequence[Wanted],
    checksum: str,
    force: bool,
    make: Make,
) -> tuple[Receipt, Mapping[str, str]]:
    """Delete the rows of `plan_erasure` if its checksum is still this one; return the receipt, and failures by step.

    The rows go from all versions of the dataset; those `beside` the asset have a contract, and are made again too. What
    an earlier process had begun is finished first; if it is this, nothing needs to be `wanted`. Raises LakeError,
    Unavailable.
    """
    failed: dict[str, str] = {}
    for receipt in (one for one in receipts(ledger, asset.dataset) if one.done_at is None):
        failed |= _finish(settings, ledger, asset, beside, receipt, make)
        if receipt.checksum == checksum:
            return _receipt(ledger, asset, receipt.id), failed
    if not wanted:
        raise LakeError(f"what was begun with the checksum {checksum} is finished already, by another process.")
    number = _decided(settings, ledger, asset, wanted, checksum, force)
    failed |= _finish(settings, ledger, asset, beside, _receipt(ledger, asset, number), make)
    return _receipt(ledger, asset, number), failed


def _decided(
    settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted], checksum: str, force: bool
) -> int:
    # Until the decision names them, nobody may write the files with these rows together with others.
    with ledger.locked(f"dataset:{asset.dataset}"):
        found = plan_erasure(settings, ledger, asset, wanted)
        if found.checksum != checksum or not found.windows:
            raise LakeError(
                f"what would be removed has not the checksum {checksum}: look again without --confirm, nothing was "
                "removed."
            )
        if found.is_surprising and not force:
            raise LakeError(
                f"{found.rows:,} of {found.of:,} rows are more than one person is likely to have: check the value, "
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
            sequence=found.sequence,
            files=found.files,
            windows=found.windows,
            runs=found.runs,
        )


def _receipt(ledger: Ledger, asset: Asset, number: int) -> Receipt:
    return next(one for one in receipts(ledger, asset.dataset) if one.id == number)


def _finish(
    settings: Settings, ledger: Ledger, asset: Asset, beside: Sequence[Asset], receipt: Receipt, make: Make
) -> Mapping[str, str]:
    """All steps after the decision, whether some of them were done before or not; by step what could not be made."""
    listed = forgotten_runs(ledger, receipt.id)
    at: defaultdict[str, set[Position]] = defaultdict(set)
    gone: defaultdict[int, set[int]] = defaultdict(set)
    for run in listed:
        at[run.window] |= {(run.partition, offset) for offset in range(run.first, run.last + 1)}
        gone[run.partition] |= set(range(run.first, run.last + 1))
    versions = versions_of(ledger, asset)
    erasure = erasure_for(settings)
    with ledger.locked(f"dataset:{asset.dataset}"):

        def about_to_write(urls: Sequence[str]) -> None:
            add_orphan_files(ledger, asset.dataset, urls)

        rewrite_without(settings, asset, receipt.files, gone, about_to_write)
        set_rewritten(ledger, receipt.id)
        add_files_deleted(ledger, receipt.id, expire(settings, ledger, asset, datetime.now(UTC)))
        observe(settings, ledger, [asset, *beside], ledger.cursors())
        for version in versions:
            erasure.remove_rows(version, in_windows_of(version, asset, at))
        if not is_counted(ledger, receipt.id):
            counts = {one: _counts(settings, ledger, erasure, asset, one, receipt, listed) for one in versions}
            set_counts(ledger, receipt.id, {one.name: count for one, count in counts.items()})
        for one in (asset, *beside):
            ledger.queue_windows(one, _to_make(settings, ledger, one, receipt))
        queued = ledger.pending([one.name for one in (asset, *beside)])
        pending = [entry for entry in queued if entry.window in receipt.windows]
    failed = make(pending) if pending else {}
    # Making them may take long, and the session of the other one may have been lost meanwhile.
    erasure = erasure_for(settings)
    with ledger.locked(f"dataset:{asset.dataset}"):
        for version in versions:
            windows = windows_of(version, asset, receipt.windows)
            kept = files_made_since(ledger, receipt.id, version.name, windows)
            add_files_deleted(ledger, receipt.id, erasure.purge(version, windows, kept))
        set_done(ledger, receipt.id)
    return failed


def _to_make(settings: Settings, ledger: Ledger, asset: Asset, receipt: Receipt) -> list[str]:
    """The windows that can be made again: from raw, or from what is kept of them; the marts behind them follow."""
    from_kept = asset.keeps_payloads and not asset.entrypoint
    lost = {window: one for window, one in removed(ledger, asset).items() if "raw" in one.at}
    there = window_rows(settings, asset)
    found: list[str] = []
    for window, rows in receipt.windows.items():
        is_whole = window not in lost and (rows.raw > 0 or window in there)
        if is_whole or (from_kept and (window not in lost or len(lost[window].at) == 1)):
            found.append(window)
    return found


def _counts(
    settings: Settings,
    ledger: Ledger,
    erasure: Erasure,
    asset: Asset,
    version: Asset,
    receipt: Receipt,
    listed: Sequence[OffsetRun],
) -> dict[str, list[PartitionCount]]:
    """The numbers of a version's windows without the receipt's rows; of a window that has nothing left all are 0.

    Of a version whose windows are shorter nobody knows which repeats were the person's: they stay counted.
    """
    windows = {own: window for window in receipt.windows for own in windows_of(version, asset, [window])}
    tables = erasure.partition_rows(version, windows)
    there = window_rows(settings, asset)
    lost = {window for window, one in removed(ledger, asset).items() if "raw" in one.at}
    taken: defaultdict[tuple[str, int], int] = defaultdict(int)
    for run in listed:
        if run.in_raw and run.window not in lost:
            taken[run.window, run.partition] += run.last - run.first + 1
    found: dict[str, list[PartitionCount]] = {}
    for own, window in windows.items():
        for entry in ledger.windows(version, own):
            emptied = window not in there and window not in lost and receipt.windows[window].raw > 0
            found[own] = []
            for _, old in ledger.partitions(version, own):
                good, quarantined = tables.get((own, old.partition), NO_ROWS)
                # One that was made again since the rows were found knows already that they are gone.
                repeats = taken[own, old.partition] - (old.good - good) - (old.quarantined - quarantined)
                duplicates = old.duplicates - max(0, repeats if entry.sequence <= receipt.sequence else 0)
                duplicates = 0 if emptied else max(0, duplicates)
                raw = good + quarantined + duplicates
                found[own].append(replace(old, raw=raw, good=good, quarantined=quarantined, duplicates=duplicates))
    return found
