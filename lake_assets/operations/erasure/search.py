"""Search for a subject's rows in raw, staging and quarantine: the plan of an erasure."""

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_key, window_start
from lake_assets.compile.forget import Wanted, payload_matches, staging_values
from lake_assets.compile.sql import literal
from lake_assets.conform.tokens import sealed, token
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError
from lake_assets.landing.files import files, window_rows
from lake_assets.ledger.audit import runs
from lake_assets.ledger.forgotten import (
    OffsetRun,
    Receipt,
    Rows,
    forgotten_runs,
    receipts,
)
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.adapters import erasure_for, warehouse_for
from lake_assets.operations.erasure.versions import in_windows_of, versions_of, windows_of
from lake_assets.operations.retention import settle_removals
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import Erasure, HeldRow, Position, Positions

# More rows than one subject has: a mistaken value (an empty text, a default) must not empty an asset.
_MANY_ROWS = 10_000
_MANY_PERCENT, _FEW_ROWS = 1, 100


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """Rows that `forget` would delete.

    `windows` has row counts by place, `files` are raw files to rewrite, `of` is the number of all raw rows. `begun` is
    the receipt that a process left open, `earlier` are those that are done. `unreadable` counts events that are not a
    JSON object and have the value somewhere in their text: they are never deleted. `unsearched` are tables of older
    versions with rows that neither their fields nor raw can identify.
    """

    dataset: str
    windows: Mapping[str, Rows]
    files: tuple[str, ...]
    runs: tuple[OffsetRun, ...]
    sequence: int
    of: int
    unreadable: int
    unsearched: tuple[str, ...]
    begun: Receipt | None
    earlier: tuple[Receipt, ...]

    @property
    def rows(self) -> int:
        """The number of events, whether raw still has them or not."""
        return sum(max(rows.raw, rows.staging + rows.quarantine) for rows in self.windows.values())

    @property
    def is_surprising(self) -> bool:
        """True if there are more rows than one subject is likely to have."""
        return self.rows > _MANY_ROWS or (self.rows > _FEW_ROWS and self.rows * 100 > self.of * _MANY_PERCENT)

    @property
    def checksum(self) -> str:
        """Identifies the rows and their places; the receipt's checksum if the erasure was begun."""
        if self.begun:
            return self.begun.checksum
        values = [
            self.dataset,
            {w: asdict(rows) for w, rows in self.windows.items()},
            [asdict(run) for run in self.runs],
        ]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def wanted_fields(asset: Asset, keys: Sequence[str]) -> tuple[Wanted, ...]:
    """Parse arguments: `VALUE` of the contract's key, or `FIELD=VALUE`. Raises LakeError."""
    names = {field.name: field for field in asset.fields}
    fields: dict[str, Wanted] = {}
    for text in keys:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            if len(asset.key) != 1:
                listed = " and ".join(f"{field}=VALUE" for field in asset.key) or "FIELD=VALUE"
                raise LakeError(f"{asset.name} has no key of one field: write {listed}.")
            name, value = asset.key[0], text
        if name in fields:
            raise LakeError(f"'{name}' is given twice: erase one value of it after the other.")
        if not value:
            raise LakeError(f"the value of '{name}' is empty: give the subject's own.")
        fields[name] = (names[name], value)
    return tuple(fields[name] for name in sorted(fields))


def plan_erasure(settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted]) -> ErasurePlan:
    """Find the rows that the asset has now. Deletes nothing. Raises LakeError, Unavailable."""
    with ledger.locked(f"dataset:{asset.dataset}"):
        settle_removals(settings, ledger, warehouse_for(settings), asset)
        return _find(settings, ledger, asset, wanted)


def begun(settings: Settings, ledger: Ledger, asset: Asset, checksum: str) -> ErasurePlan | None:
    """Return the unfinished erasure with this checksum; finishing it needs no key of the subject."""
    receipt = next((r for r in receipts(ledger, asset.dataset) if r.done_at is None and r.checksum == checksum), None)
    return receipt and _begun(ledger, receipt, sum(window_rows(settings, asset).values()), ())


def _find(settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted]) -> ErasurePlan:
    name = subject(asset, wanted)
    own = [r for r in receipts(ledger, asset.dataset) if hmac.compare_digest(r.hash, sealed(name, r.salt))]
    earlier = tuple(receipt for receipt in own if receipt.done_at is not None)
    unfinished = next((receipt for receipt in own if receipt.done_at is None), None)
    rows = window_rows(settings, asset)
    dropped = [field.name for field, _ in wanted if field.protection == "drop"]
    if dropped and any(entry.raw_rows and entry.window not in rows for entry in ledger.windows(asset)):
        raise LakeError(
            f"'{dropped[0]}' is dropped before staging, and raw no longer has every window, so not all rows could be "
            "found by it: name the subject by another field."
        )
    raw = files(settings, asset, rows.keys())
    total = sum(rows.values())
    if unfinished:
        return _begun(ledger, unfinished, total, earlier)
    versions = versions_of(ledger, asset)
    readings = [own for version in versions if len(own := _own_fields(version, wanted)) == len(wanted)]
    paths = {file.path: window for window, window_files in raw.by_window.items() for file in window_files}
    hits = _raw_rows(paths, payload_matches(readings, _reading(paths), "filename, _topic, _partition, _offset"))
    in_raw = [(path, topic, position) for path, topic, position, unreadable in hits if not unreadable]
    positions: defaultdict[str, set[Position]] = defaultdict(set)
    for path, _, position in in_raw:
        positions[paths[path]].add(position)
    erasure = erasure_for(settings)
    tables = {version: _table_rows(erasure, asset, version, wanted, readings, positions) for version in versions}
    # Rows of a table whose payload has the value in another form, as a contract's entry point may produce.
    others: defaultdict[str, set[Position]] = defaultdict(set)
    for staged, quarantined in tables.values():
        for row in (*staged, *quarantined):
            if row.position not in positions[row.window]:
                others[row.window].add(row.position)
    in_raw += _raw_at(paths, {window: own for window, own in others.items() if window in rows})
    windows: dict[str, Rows] = {}
    staged, quarantined = tables[asset]
    for window in sorted({window for window, own in (*positions.items(), *others.items()) if own}):
        windows[window] = Rows(
            sum(paths[path] == window for path, _, _ in in_raw),
            sum(row.window == window for row in staged),
            sum(row.window == window for row in quarantined),
        )
    return ErasurePlan(
        asset.dataset,
        windows,
        tuple(sorted({path for path, _, _ in in_raw})),
        tuple(_runs(asset, [(paths[path], topic, position) for path, topic, position in in_raw], others)),
        raw.sequence,
        total,
        sum(unreadable for *_, unreadable in hits),
        tuple(v.name for v in versions if v != asset and _is_unsearched(ledger, asset, v, wanted, rows)),
        None,
        earlier,
    )


def _begun(ledger: Ledger, receipt: Receipt, total: int, earlier: tuple[Receipt, ...]) -> ErasurePlan:
    runs_of_receipt = tuple(forgotten_runs(ledger, receipt.id))
    return ErasurePlan(
        receipt.dataset,
        receipt.windows,
        receipt.files,
        runs_of_receipt,
        receipt.sequence,
        total,
        0,
        (),
        receipt,
        earlier,
    )


def _is_unsearched(
    ledger: Ledger, asset: Asset, version: Asset, wanted: Sequence[Wanted], in_raw: Collection[str]
) -> bool:
    """Return True if a version has rows that are no longer in raw, and lacks a field to find them by."""
    own = _own_fields(version, wanted)
    if len(own) == len(wanted) and not any(field.protection == "drop" for field, _ in own):
        return False
    windows = set(windows_of(version, asset, in_raw))
    return any(entry.raw_rows and entry.window not in windows for entry in ledger.windows(version))


def _own_fields(version: Asset, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return the search fields as this contract version declares them; fields it lacks are skipped."""
    declared = {field.name: field for field in version.fields}
    return [(declared[field.name], value) for field, value in wanted if field.name in declared]


def _table_rows(
    erasure: Erasure,
    asset: Asset,
    version: Asset,
    wanted: Sequence[Wanted],
    readings: Sequence[Sequence[Wanted]],
    positions: Positions,
) -> tuple[list[HeldRow], list[HeldRow]]:
    """Return the rows in a version's staging and quarantine, found by value and by position in raw.

    Their windows are the asset's.
    """
    own = _own_fields(version, wanted)
    values: Mapping[str, str] = {}
    if len(own) == len(wanted) and not any(field.protection == "drop" for field, _ in own):
        tokens = [token(value) if field.protection == "tokenise" else None for field, value in own]
        values = staging_values(own, tokens)

    def matching(relation: str) -> str:
        matches = payload_matches(readings, relation, '_window, partition, "offset" as position')
        return f"select * exclude (unreadable) from ({matches}) where not unreadable"

    places = in_windows_of(version, asset, positions)
    staged, quarantined = erasure.staged(version, values, places), erasure.quarantined(version, matching, places)
    return _in_windows(version, asset, staged), _in_windows(version, asset, quarantined)


def _in_windows(version: Asset, asset: Asset, rows: Sequence[HeldRow]) -> list[HeldRow]:
    if version.window == asset.window:
        return list(rows)
    return [replace(row, window=window_key(window_start(row.window, version.window), asset.window)) for row in rows]


def _reading(paths: Mapping[str, str]) -> str:
    if not paths:
        return (
            "(select null::blob as payload, '' as filename, '' as _topic, 0 as _partition, 0::bigint as _offset "
            "where false)"
        )
    return f"read_parquet([{', '.join(map(literal, paths))}], filename = true)"


def _raw_rows(paths: Mapping[str, str], query: str) -> list[tuple[str, str, Position, bool]]:
    with duckdb_session() as session:
        let_read(session, next(iter(paths), ""))
        rows = session.execute(query).fetchall()
    return [(path, topic, (partition, offset), unreadable) for path, topic, partition, offset, unreadable in rows]


def _raw_at(paths: Mapping[str, str], positions: Mapping[str, set[Position]]) -> list[tuple[str, str, Position]]:
    """Return the raw rows at these positions."""
    within = {path: window for path, window in paths.items() if window in positions}
    if not within:
        return []
    places = ", ".join(f"({partition}, {offset})" for own in positions.values() for partition, offset in own)
    query = (
        f"select filename, _topic, _partition, _offset, false from {_reading(within)} "
        f"where (_partition, _offset) in (values {places})"
    )
    return [(path, topic, position) for path, topic, position, _ in _raw_rows(within, query)]


def _runs(
    asset: Asset, in_raw: Sequence[tuple[str, str, Position]], others: Mapping[str, set[Position]]
) -> list[OffsetRun]:
    """Return offsets as ranges: those in raw, and those in tables only."""
    offsets: defaultdict[tuple[str, str, int, bool], set[int]] = defaultdict(set)
    for window, topic, (partition, offset) in in_raw:
        offsets[window, topic, partition, True].add(offset)
    for window, positions in others.items():
        for partition, offset in positions:
            if offset not in offsets.get((window, asset.topic, partition, True), ()):
                offsets[window, asset.topic, partition, False].add(offset)
    return [
        OffsetRun(window, topic, partition, first, last, is_in_raw)
        for (window, topic, partition, is_in_raw), own in sorted(offsets.items())
        for first, last in runs(sorted(own))
    ]


def subject(asset: Asset, wanted: Sequence[Wanted]) -> str:
    return json.dumps([asset.dataset, [[field.name, value] for field, value in wanted]])
