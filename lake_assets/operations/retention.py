"""`lake maintain`: removes whole windows that are older than their contract keeps them, in two steps.

A decision is written to the ledger before anything is removed, and again when it is done. Whoever finds one that is
open (a process died) looks at what is there: what is gone was removed, and what is not was never touched, because
each removal is one commit.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Asset
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
from lake_assets.ledger.ledger import Ledger, PublishedWindow
from lake_assets.ledger.removals import (
    ELEMENTS,
    NOTHING,
    Element,
    Offsets,
    Removed,
    add_orphan_files,
    clear_orphan_files,
    close_decisions,
    open_decisions,
    orphan_files,
    record_decision,
    removed,
)
from lake_assets.ledger.unreferenced_files import add_files_of_windows
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse

_PLACE: Mapping[Element, int] = {"staging": 0, "quarantine": 1}


@dataclass(frozen=True, slots=True)
class Removal:
    """Windows of one element of an asset that are older than `kept`, with the rows of each. `files` and `bytes` are
    those of raw, 0 in the warehouse."""

    asset: str
    element: Element
    kept: timedelta
    rows: Mapping[str, int]
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What `maintain` would remove. `kept_back` says in a sentence each what is too old and stays all the same."""

    removals: tuple[Removal, ...]
    kept_back: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """The same for the same windows with the same rows, files and bytes."""
        told = [asdict(one) | {"kept": one.kept.total_seconds()} for one in self.removals]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def plan_retention(
    settings: Settings, ledger: Ledger, warehouse: Warehouse, assets: Sequence[Asset], now: datetime
) -> RetentionPlan:
    """What is older than its contract keeps it, as of `now`. Removes nothing. Raises Unavailable.

    A dataset whose files cannot be read is kept back whole.
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
        for planned, told in plans:
            removals += planned
            kept_back += told
    return RetentionPlan(tuple(removals), tuple(kept_back))


def maintain(
    settings: Settings,
    ledger: Ledger,
    warehouse: Warehouse,
    assets: Sequence[Asset],
    now: datetime,
    checksum: str,
) -> RetentionPlan:
    """Removes what `plan_retention` says, if that still has this checksum, and tells what it was.

    Raises LakeError when it has another one, also in the middle: what was removed until then stays removed, and the
    rest is in the next plan.
    """
    agreed = plan_retention(settings, ledger, warehouse, assets, now)
    if agreed.checksum != checksum:
        raise LakeError(f"what would be removed has not the checksum {checksum}: look again with 'lake maintain'.")
    by_name = {asset.name: asset for asset in assets}
    versions = by_dataset(assets)
    for name in dict.fromkeys(one.asset for one in agreed.removals):
        asset = by_name[name]
        wanted = [one for one in agreed.removals if one.asset == name]
        with ledger.locked(f"dataset:{asset.dataset}"):
            found, _ = _find(settings, ledger, warehouse, asset, versions[asset.dataset], now)
            if found != wanted:
                raise _changed(asset)
            for removal in wanted:
                _remove(settings, ledger, warehouse, asset, removal)
            settle_removals(settings, ledger, warehouse, asset)
            if any(one.element == "raw" for one in wanted):
                # What was taken out a moment ago is in the bucket until the snapshots before it are gone.
                expire(settings, ledger, asset, datetime.now(UTC))
    return agreed


def settle_removals(settings: Settings, ledger: Ledger, warehouse: Warehouse, asset: Asset) -> None:
    """Writes down of removals that were decided, by age or of a person, whether they were done. The caller holds the
    asset's lock."""
    for receipt, held in not_rewritten(ledger, asset.dataset):
        if not any_live(settings, asset, held):
            set_rewritten(ledger, receipt)
    decided = open_decisions(ledger, asset)
    if not decided:
        return
    there: set[int] = set()
    tables = warehouse.window_rows(asset, sorted({one.window for one in decided if one.element != "raw"}))
    for one in decided:
        if one.element != "raw" and tables.get(one.window, (0, 0))[_PLACE[one.element]]:
            there.add(one.id)
    for sequence in {one.sequence for one in decided if one.element == "raw"}:
        of_raw = [one for one in decided if one.element == "raw" and one.sequence == sequence]
        left = windows_until(settings, asset, {one.window for one in of_raw}, sequence)
        there |= {one.id for one in of_raw if one.window in left}
    close_decisions(ledger, [one.id for one in decided if one.id not in there], sorted(there))


def expire(settings: Settings, ledger: Ledger, asset: Asset, before: datetime) -> int:
    """Expires the raw table's snapshots that are older than `before`, and removes the files that nothing needs then;
    how many files. Those that a process left that died are removed too. The caller holds the asset's lock."""
    if left := orphan_files(ledger, asset.dataset):
        remove_unnamed(settings, asset, left)
        clear_orphan_files(ledger, asset.dataset)
    found = expire_snapshots(settings, asset, before, lambda urls: add_orphan_files(ledger, asset.dataset, urls))
    clear_orphan_files(ledger, asset.dataset)
    return found


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
    """How long raw is kept: as long as any version of the dataset keeps it, and None is for ever."""
    given = [one.retention.raw for one in versions if one.retention.raw is not None]
    return max(given) if len(given) == len(versions) else None


def _find(
    settings: Settings, ledger: Ledger, warehouse: Warehouse, asset: Asset, versions: Sequence[Asset], now: datetime
) -> tuple[list[Removal], list[str]]:
    """Of one asset. Raw is the oldest version's."""
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
    gone = removed(ledger, asset)
    waiting = _waiting(ledger, [asset])
    removals: list[Removal] = []
    kept_back: list[str] = []
    for element in ELEMENTS:
        if (kept := lengths.get(element)) is None:
            continue
        place = _PLACE.get(element)
        there = raw if place is None else {w: counts[place] for w, counts in tables.items() if counts[place]}
        old = {w for w in there if window_end(w, asset.window) + kept <= now}
        ready = {w for w in old if w not in waiting}
        if place is None:
            ready -= _waiting(ledger, versions)
            for one in versions:
                known = {entry.window: entry for entry in ledger.windows(one)}
                ready = {w for w in ready if _is_accounted_for(raw[w], known.get(w), gone.get(w, NOTHING))}
        if old - ready:
            kept_back.append(
                f"{asset.name} {element}: {len(old - ready)} windows from {min(old - ready)} to {max(old - ready)} "
                "stay until they are published and the audit is in balance: lake run, lake audit."
            )
        if ready and ready == there.keys():
            kept_back.append(
                f"{asset.name} {element}: all {len(ready)} windows are too old, and everything is never removed: "
                "see why nothing new comes, or keep it longer."
            )
        elif ready:
            held = files(settings, asset, ready).by_window if element == "raw" else {}
            size = [file for found in held.values() for file in found]
            rows = {window: there[window] for window in sorted(ready)}
            removals.append(Removal(asset.name, element, kept, rows, len(size), sum(file.bytes for file in size)))
    return removals, kept_back


def _waiting(ledger: Ledger, assets: Sequence[Asset]) -> set[str]:
    """Windows that one of the assets is to make, or holds back."""
    queued = {entry.window for entry in ledger.pending([asset.name for asset in assets])}
    return queued | {held.window for asset in assets for held in ledger.held_back(asset)}


def _is_accounted_for(rows: int, entry: PublishedWindow | None, gone: Removed) -> bool:
    """Whether the ledger knows of every raw row of a window; after a removal what lands more is late, and may go."""
    return "raw" in gone.at or (entry is not None and entry.raw_rows == rows)


def _remove(settings: Settings, ledger: Ledger, warehouse: Warehouse, asset: Asset, removal: Removal) -> None:
    """First the decision, then the removal in one commit; `settle_removals` writes down that it is done."""
    windows = sorted(removal.rows)
    if removal.element == "raw":
        held = files(settings, asset, windows)
        # Under the lock nobody publishes, but the sink goes on: a late event makes the window another one.
        if {window: sum(file.rows for file in found) for window, found in held.by_window.items()} != removal.rows:
            raise _changed(asset)
        paths = {window: [file.path for file in found] for window, found in held.by_window.items()}
        record_decision(ledger, asset, "raw", held.sequence, removal.rows, _offsets(paths))
        remove_windows(settings, asset, windows, held.sequence)
    else:
        record_decision(ledger, asset, removal.element, 0, removal.rows, {})
        warehouse.remove_windows(asset, removal.element, windows)
        add_files_of_windows(ledger, asset, removal.element, windows)


def _changed(asset: Asset) -> LakeError:
    return LakeError(f"{asset.name} has changed meanwhile: look again with 'lake maintain'.")


def _offsets(paths: Mapping[str, Collection[str]]) -> dict[str, list[Offsets]]:
    """The offsets that raw files hold, by window, as ranges without holes. Reads two columns of the files."""
    listed = [(path, window) for window, held in paths.items() for path in held]
    holds = ", ".join(f"({literal(path)}, {literal(window)})" for path, window in listed)
    with duckdb_session() as session:
        let_read(session, listed[0][0])
        rows = session.execute(f"""\
with held as (
  select distinct window_key, _topic, _partition, _offset
  from read_parquet([{", ".join(literal(path) for path, _ in listed)}], filename = true)
  join (values {holds}) as held (path, window_key) on filename = path
),
islands as (
  select *, _offset - row_number() over (partition by window_key, _topic, _partition order by _offset) as island
  from held
)
select window_key, _topic, _partition, min(_offset), max(_offset)
from islands
group by window_key, _topic, _partition, island
order by all""").fetchall()
    found: dict[str, list[Offsets]] = {}
    for window, *run in rows:
        found.setdefault(window, []).append((run[0], run[1], run[2], run[3]))
    return found
