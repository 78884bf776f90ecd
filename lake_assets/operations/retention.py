"""`lake maintain`: remove whole expired windows, which are older than their contract keeps them, in two steps.

A decision is recorded in the ledger before anything is removed, and again when it is done. A decision that a crash left
open is resolved by what exists: missing rows were removed, others were never touched, because each removal is one
commit.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import NO_ROWS
from lake_assets.catalog.versions import by_dataset
from lake_assets.catalog.windows import window_end
from lake_assets.compile.raw_table import raw_table
from lake_assets.compile.sql import literal
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError, Unreadable
from lake_assets.landing.delete_rows import any_live
from lake_assets.landing.expire import MOST_SNAPSHOTS, expire_snapshots, remove_unnamed, remove_windows, windows_until
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.snapshots import RawTableError
from lake_assets.landing.table_metadata import TableMetadata, read_metadata
from lake_assets.ledger.forgotten import not_rewritten, set_rewritten
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import (
    ELEMENTS,
    Element,
    Offsets,
    add_orphan_files,
    clear_orphan_files,
    close_decisions,
    open_decisions,
    orphan_files,
    record_decision,
)
from lake_assets.ledger.unreferenced_files import add_files_of_windows
from lake_assets.ledger.window_states import NO_STATE, WindowState, window_states_by_asset
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class Removal:
    """Windows of one element of an asset that are older than `kept`, with the rows of each.

    `files` and `bytes` are those of raw, 0 in the warehouse.
    """

    asset: str
    element: Element
    kept: timedelta
    rows: Mapping[str, int]
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """Removals of `maintain`. `kept_back` has a sentence for each group of expired windows that stay."""

    removals: tuple[Removal, ...]
    kept_back: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """Identifies windows with their rows, files and bytes."""
        values = [asdict(removal) | {"kept": removal.kept.total_seconds()} for removal in self.removals]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def plan_retention(
    settings: Settings, ledger: Ledger, warehouse: Warehouse, assets: Sequence[Asset], now: datetime
) -> RetentionPlan:
    """Plan the removal of expired windows as of `now`. Removes nothing. Raises Unavailable.

    A dataset whose files cannot be read stays as a whole.
    """
    removals: list[Removal] = []
    kept_back: list[str] = []
    for dataset, versions in by_dataset(assets).items():
        try:
            with ledger.locked(f"dataset:{dataset}"):
                plans = [_find(settings, ledger, warehouse, asset, versions, now) for asset in versions]
        except (RawTableError, Unreadable, OSError) as error:
            kept_back.append(f"Nothing of {dataset} is removed now: {error}")
            continue
        for dataset_removals, sentences in plans:
            removals += dataset_removals
            kept_back += sentences
    return RetentionPlan(tuple(removals), tuple(kept_back))


def maintain(
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    assets: Sequence[Asset],
    now: datetime,
    checksum: str,
) -> RetentionPlan:
    """Execute the plan of `plan_retention` if it still has this checksum, and return it.

    Raises LakeError when the plan changed, before or during its execution: what was removed until then stays removed,
    and the rest is in the next plan.
    """
    plan = plan_retention(settings, ledger, warehouse, assets, now)
    if plan.checksum != checksum:
        raise LakeError(f"what would be removed has not the checksum {checksum}: look again with `lake maintain`.")
    by_name = {asset.name: asset for asset in assets}
    versions = by_dataset(assets)
    for name in dict.fromkeys(removal.asset for removal in plan.removals):
        asset = by_name[name]
        removals = [removal for removal in plan.removals if removal.asset == name]
        with ledger.locked(f"dataset:{asset.dataset}"):
            current, _ = _find(settings, ledger, warehouse, asset, versions[asset.dataset], now)
            if current != removals:
                raise _changed(asset)
            for removal in removals:
                _remove(settings, ledger, warehouse, asset, removal)
            settle_removals(settings, ledger, warehouse, asset)
            if any(removal.element == "raw" for removal in removals):
                # Files of the removed rows stay in the bucket until the older snapshots are expired.
                expire(settings, ledger, asset, datetime.now(UTC))
    return plan


def settle_removals(settings: Settings, ledger: Ledger, warehouse: Warehouse, asset: Asset) -> None:
    """Record whether decided removals, by retention or erasure, are done. The caller holds the dataset's lock."""
    for receipt, raw_files in not_rewritten(ledger, asset.dataset):
        if not any_live(settings, asset, raw_files):
            set_rewritten(ledger, receipt)
    decided = open_decisions(ledger, asset)
    if not decided:
        return
    not_done: set[int] = set()
    tables = warehouse.window_rows(
        asset, sorted({decision.window for decision in decided if decision.element != "raw"})
    )
    for decision in decided:
        if decision.element != "raw" and tables.get(decision.window, NO_ROWS).of(decision.element):
            not_done.add(decision.id)
    raw_decisions = [decision for decision in decided if decision.element == "raw"]
    for sequence in {decision.sequence for decision in raw_decisions}:
        same_snapshot = {d.id: d.window for d in raw_decisions if d.sequence == sequence}
        remaining = windows_until(settings, asset, set(same_snapshot.values()), sequence)
        not_done |= {number for number, window in same_snapshot.items() if window in remaining}
    close_decisions(ledger, [d.id for d in decided if d.id not in not_done], sorted(not_done))


def expire(settings: Settings, ledger: Ledger, asset: Asset, before: datetime) -> int:
    """Expire the raw table's snapshots that are older than `before`; return the number of deleted files.

    Files that no snapshot needs any more are deleted, and those that a crashed process left. The caller holds the
    dataset's lock.
    """
    if orphans := orphan_files(ledger, asset.dataset):
        remove_unnamed(settings, asset, orphans)
        clear_orphan_files(ledger, asset.dataset)
    deleted = expire_snapshots(settings, asset, before, lambda urls: add_orphan_files(ledger, asset.dataset, urls))
    clear_orphan_files(ledger, asset.dataset)
    return deleted


def limit_snapshots(settings: Settings, ledger: Ledger, asset: Asset) -> int:
    """Expire the raw table's oldest snapshots if it has too many, and return the number of deleted files.

    The caller holds the asset's lock. Raises Unavailable.
    """
    identifier = raw_table(asset).identifier
    metadata = read_metadata(settings, [identifier]).get(identifier)
    if not isinstance(metadata, TableMetadata) or metadata.snapshots <= MOST_SNAPSHOTS:
        return 0
    return expire(settings, ledger, asset, datetime.min.replace(tzinfo=UTC))


def raw_kept(versions: Sequence[Asset]) -> timedelta | None:
    """Return the retention of raw, the longest of any version of the dataset; None means for ever."""
    periods = [version.retention.raw for version in versions if version.retention.raw is not None]
    return max(periods) if len(periods) == len(versions) else None


def _find(
    settings: Settings, ledger: Ledger, warehouse: Warehouse, asset: Asset, versions: Sequence[Asset], now: datetime
) -> tuple[list[Removal], list[str]]:
    """Return the removals of one asset, and the sentences about windows that stay. Raw is the oldest version's."""
    lengths: dict[Element, timedelta | None] = {
        "staging": asset.retention.staging,
        "quarantine": asset.retention.quarantine,
    }
    if asset is versions[0]:
        lengths["raw"] = raw_kept(versions)
    if not any(lengths.values()):
        return [], []
    settle_removals(settings, ledger, warehouse, asset)
    raw = window_rows(settings, asset)
    tables = warehouse.window_rows(asset)
    states = window_states_by_asset(ledger, versions if lengths.get("raw") else [asset])
    removals: list[Removal] = []
    kept_back: list[str] = []
    for element in ELEMENTS:
        if (kept := lengths.get(element)) is None:
            continue
        rows = raw if element == "raw" else {w: n for w, counts in tables.items() if (n := counts.of(element))}
        old = {window for window in rows if window_end(window, asset.window) + kept <= now}
        if element == "raw":
            ready = {w for w in old if all(_is_complete(own.get(w, NO_STATE), raw[w]) for own in states.values())}
        else:
            ready = {window for window in old if states[asset.name].get(window, NO_STATE).is_at_rest}
        if old - ready:
            kept_back.append(
                f"{asset.name} {element}: {len(old - ready)} windows from {min(old - ready)} to {max(old - ready)} "
                "stay until they are published and the audit is in balance: see `lake run`, `lake audit`."
            )
        if ready and ready == rows.keys():
            kept_back.append(
                f"{asset.name} {element}: all {len(ready)} windows are too old, and everything is never removed: "
                "see why nothing new arrives, or keep it longer."
            )
        elif ready:
            raw_files = files(settings, asset, ready).by_window.values() if element == "raw" else ()
            sizes = [file.bytes for window_files in raw_files for file in window_files]
            ready_rows = {window: rows[window] for window in sorted(ready)}
            removals.append(Removal(asset.name, element, kept, ready_rows, len(sizes), sum(sizes)))
    return removals, kept_back


def _is_complete(state: WindowState, rows: int) -> bool:
    """Return whether the ledger knows every raw row of a window. After a removal, rows that land are late: they may go.

    A window that is queued or held back is not complete.
    """
    is_known = state.raw_is_lost or (state.published is not None and state.raw_rows == rows)
    return state.is_at_rest and is_known


def _remove(settings: Settings, ledger: Ledger, warehouse: Warehouse, asset: Asset, removal: Removal) -> None:
    """Record the decision, then remove in one commit; `settle_removals` records that it is done."""
    windows = sorted(removal.rows)
    if removal.element == "raw":
        raw = files(settings, asset, windows)
        # No run publishes under the lock, but the sink continues: a late event changes the window.
        if {window: sum(file.rows for file in parts) for window, parts in raw.by_window.items()} != removal.rows:
            raise _changed(asset)
        paths = {window: [file.path for file in parts] for window, parts in raw.by_window.items()}
        record_decision(ledger, asset, "raw", raw.sequence, removal.rows, _offsets(paths))
        remove_windows(settings, asset, windows, raw.sequence)
    else:
        record_decision(ledger, asset, removal.element, 0, removal.rows, {})
        warehouse.remove_windows(asset, removal.element, windows)
        add_files_of_windows(ledger, asset, removal.element, windows)


def _changed(asset: Asset) -> LakeError:
    return LakeError(f"{asset.name} has changed in the meantime: look again with `lake maintain`.")


def _offsets(paths: Mapping[str, Collection[str]]) -> dict[str, list[Offsets]]:
    """Return the offsets in raw files by window, as ranges without holes. Reads two columns of the files."""
    listed = [(path, window) for window, window_paths in paths.items() for path in window_paths]
    pairs = ", ".join(f"({literal(path)}, {literal(window)})" for path, window in listed)
    with duckdb_session() as session:
        let_read(session, listed[0][0])
        rows = session.execute(f"""\
with held as (
  select distinct window_key, _topic, _partition, _offset
  from read_parquet([{", ".join(literal(path) for path, _ in listed)}], filename = true)
  join (values {pairs}) as held (path, window_key) on filename = path
),
islands as (
  select *, _offset - row_number() over (partition by window_key, _topic, _partition order by _offset) as island
  from held
)
select window_key, _topic, _partition, min(_offset), max(_offset)
from islands
group by window_key, _topic, _partition, island
order by all""").fetchall()
    offsets: dict[str, list[Offsets]] = {}
    for window, *run in rows:
        offsets.setdefault(window, []).append((run[0], run[1], run[2], run[3]))
    return offsets
