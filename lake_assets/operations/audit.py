"""`lake audit`: reconcile broker, raw, ledger and warehouse; reads data only where their counts differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TableCounts
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.compile.sql import literal
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError, Unavailable, Unreadable
from lake_assets.landing.files import files, window_rows_by_asset
from lake_assets.landing.records import record_offsets
from lake_assets.landing.topics import offsets
from lake_assets.ledger.audit import (
    AssetAudit,
    OffsetRange,
    PartitionAudit,
    audit_windows,
    runs,
    stale_windows,
    subtract,
    unexplained_ranges,
)
from lake_assets.ledger.forgotten import erased_offsets
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import removed_offsets_by_asset, unsettled
from lake_assets.ledger.window_states import WindowState, window_states_by_asset
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.refresh import observe
from lake_assets.operations.retention import settle_removals
from lake_assets.settings import Settings

Counts = Mapping[str, Sequence[PartitionCount]]


def audit(settings: Settings, assets: Sequence[Asset]) -> list[AssetAudit]:
    """Audit the assets in order, as of now. An asset whose files cannot be read is a finding; the others are audited.

    Raises Unavailable when the broker or Postgres does not answer.
    """
    # Read the broker's offsets first: rows that land during the other reads can only be beyond them.
    ends = offsets(settings, [asset.topic for asset in assets])
    audits: dict[str, AssetAudit] = {}
    busy: list[Asset] = []
    with Ledger(settings) as ledger:

        def add(readings: Iterable["_Counts | AssetAudit"]) -> None:
            for reading in readings:
                result = reading if isinstance(reading, AssetAudit) else _audit_apart(settings, ledger, reading, ends)
                audits[result.asset] = result

        at_once = settings.profile.audited_at_once
        for start in range(0, len(assets), at_once):
            piece = assets[start : start + at_once]
            # Waiting for one lock while holding others would block their runs: datasets that are being built come last.
            with ledger.locked_if_free({_lock(asset) for asset in piece}) as locked:
                readings = _read_apart(settings, ledger, [asset for asset in piece if _lock(asset) in locked])
                busy += [asset for asset in piece if _lock(asset) not in locked]
            add(readings)
        for asset in busy:
            with ledger.locked(_lock(asset)):
                readings = _read_apart(settings, ledger, [asset])
            add(readings)
    return [audits[asset.name] for asset in assets]


def _failure(asset: Asset, error: Exception) -> AssetAudit:
    """Return the finding about an asset that cannot be read. Raises the error when it is a server's outage."""
    if isinstance(error, Unavailable) and not isinstance(error, Unreadable):
        raise error
    return AssetAudit(asset.name, (), (), failed=str(error).strip())


def _read_apart(settings: Settings, ledger: Ledger, assets: Sequence[Asset]) -> "list[_Counts | AssetAudit]":
    """Read the assets together; if one of them cannot be read, each separately."""
    try:
        return [*_read(settings, ledger, assets)]
    except (LakeError, OSError) as error:
        failure = _failure(assets[0], error)
    if len(assets) == 1:
        return [failure]
    return [reading for asset in assets for reading in _read_apart(settings, ledger, [asset])]


def _audit_apart(
    settings: Settings, ledger: Ledger, counts: "_Counts", ends: Mapping[str, Mapping[int, tuple[int, int]]]
) -> AssetAudit:
    try:
        return _audit(settings, ledger, counts, ends.get(counts.asset.topic, {}))
    except (LakeError, OSError) as error:
        return _failure(counts.asset, error)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of one asset in raw, ledger and warehouse, read at one time."""

    asset: Asset
    raw: Mapping[str, int]
    tables: Mapping[str, TableCounts]
    states: Mapping[str, WindowState]
    removed: Counts
    erased: Counts
    partitions: Sequence[tuple[str, PartitionCount]]
    no_records: Mapping[tuple[str, int], Sequence[tuple[int, int]]]


def _lock(asset: Asset) -> str:
    return f"dataset:{asset.dataset}"


def _read(settings: Settings, ledger: Ledger, assets: Sequence[Asset]) -> list[_Counts]:
    """Read the counts of assets whose locks the caller holds."""
    if not assets:
        return []
    # Count raw before the queue is brought up to date: all counted rows are then published or queued.
    raw = window_rows_by_asset(settings, assets)
    observe(settings, ledger, assets, ledger.cursors())
    warehouse = warehouse_for(settings)
    for asset in unsettled(ledger, assets):
        settle_removals(settings, ledger, warehouse, asset)
    tables = warehouse.window_rows_by_asset(assets)
    states = window_states_by_asset(ledger, assets)
    removed = removed_offsets_by_asset(ledger, assets)
    erased = erased_offsets(ledger, [asset.dataset for asset in assets])
    partitions = ledger.partitions_by_asset(assets)
    no_records = ledger.no_records([asset.topic for asset in assets])
    return [
        _Counts(
            asset,
            raw[asset.name],
            tables[asset.name],
            states[asset.name],
            removed[asset.name],
            erased[asset.dataset],
            partitions[asset.name],
            no_records,
        )
        for asset in assets
    ]


def _audit(settings: Settings, ledger: Ledger, own: _Counts, ends: Mapping[int, tuple[int, int]]) -> AssetAudit:
    asset, raw = own.asset, own.raw
    counts: dict[str, Sequence[PartitionCount]] = defaultdict(list)
    for window, count in own.partitions:
        counts[window] = [*counts[window], count]
    stale = stale_windows(own.states, raw)
    lost_raw = {window for window, state in own.states.items() if state.raw_is_lost}
    counted = _count_raw(settings, asset, stale | (lost_raw & raw.keys()))
    counts.update(counted)
    # Rows in raw of a window whose raw rows were removed arrived later.
    counts.update({window: [*own.removed.get(window, ()), *counted.get(window, ())] for window in lost_raw})
    for window, erased in own.erased.items():
        counts[window] = [*counts[window], *erased]
    return AssetAudit(
        asset.name,
        audit_windows(own.states, raw, own.tables),
        tuple(_audit_partition(settings, ledger, own, p, bounds, counts) for p, bounds in sorted(ends.items())),
    )


def _audit_partition(
    settings: Settings, ledger: Ledger, read: _Counts, partition: int, bounds: tuple[int, int], counts: Counts
) -> PartitionAudit:
    asset, topic, (begin, end) = read.asset, read.asset.topic, bounds
    own = [count for window in counts.values() for count in window if count.partition == partition]
    landed = sum(count.raw - count.redelivered for count in own)
    newest = max((count.max_offset for count in own), default=begin - 1)
    if newest >= end:
        end = newest + 1
    no_records = read.no_records.get((topic, partition), ())
    suspects = [
        rest
        for suspect in unexplained_ranges(topic, partition, (begin, end), own)
        for rest in subtract(suspect, [*no_records, *_raw_runs(settings, asset, counts, suspect)])
    ]
    gaps: list[OffsetRange] = []
    under_way = 0
    empty: list[tuple[int, int]] = []
    for suspect in suspects:
        records = runs(record_offsets(settings, topic, partition, suspect.first, suspect.last))
        for first, last in records:
            if first > newest:
                under_way += last - first + 1
            else:
                gaps.append(OffsetRange(topic, partition, first, last))
        # Above the newest landed offset an open transaction may still become records.
        empty += [(r.first, r.last) for r in subtract(suspect, records) if r.last <= newest]
    ledger.save_no_records(topic, partition, empty)
    no_record = sum(last - first + 1 for first, last in [*no_records, *empty])
    return PartitionAudit(topic, partition, begin, end, landed, no_record, under_way, tuple(gaps))


def _count_raw(settings: Settings, asset: Asset, windows: Iterable[str]) -> dict[str, list[PartitionCount]]:
    """Count the rows of windows in raw itself. Only `raw` is filled in: the outcome of the rows is not known."""
    names = sorted(windows)
    by_window = files(settings, asset, names).by_window if names else {}
    pairs = ", ".join(f"({literal(f.path)}, {literal(window)})" for window, parts in by_window.items() for f in parts)
    rows = _query(
        [file.path for parts in by_window.values() for file in parts],
        "select window_key, _topic, _partition, "
        "count(*), count(*) - count(distinct _offset), min(_offset), max(_offset) "
        f"from {{files}} join (values {pairs}) as held (path, window_key) on filename = path group by all",
    )
    counts: dict[str, list[PartitionCount]] = {}
    for window, topic, partition, raw, redelivered, low, high in rows:
        counts.setdefault(window, []).append(PartitionCount(topic, partition, raw, 0, 0, 0, redelivered, low, high))
    return counts


def _raw_runs(settings: Settings, asset: Asset, counts: Counts, suspect: OffsetRange) -> list[tuple[int, int]]:
    """Return the offsets of a suspicious range that raw has; reads only windows that overlap it."""
    windows = [
        window
        for window, parts in counts.items()
        if any(
            c.partition == suspect.partition and c.min_offset <= suspect.last and c.max_offset >= suspect.first
            for c in parts
        )
    ]
    paths = [f.path for parts in files(settings, asset, windows).by_window.values() for f in parts] if windows else []
    rows = _query(
        paths,
        f"select distinct _offset from {{files}} where _partition = {suspect.partition} "
        f"and _offset between {suspect.first} and {suspect.last} order by _offset",
    )
    return runs(offset for (offset,) in rows)


def _query(paths: Sequence[str], query: str) -> list[tuple[Any, ...]]:
    if not paths:
        return []
    listed = ", ".join(literal(path) for path in paths)
    try:
        with duckdb_session() as session:
            let_read(session, paths[0])
            return session.execute(query.format(files=f"read_parquet([{listed}], filename = true)")).fetchall()
    except duckdb.Error as error:
        raise LakeError(f"a raw file cannot be read: {str(error).splitlines()[0]}") from error
