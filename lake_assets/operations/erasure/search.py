"""Rows of a person in raw, staging and quarantine: the plan of an erasure."""

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

# More than one person has, so that a mistaken value (an empty text, a default) does not empty an asset.
_MANY_ROWS = 10_000
_MANY_PERCENT, _FEW_ROWS = 1, 100


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What `forget` would remove. `windows` has the rows by place, `files` are raw files that would be written again,
    `of` all rows of raw. `begun` is the receipt that a process left open, `earlier` those that are done. `unreadable`
    counts events that are no JSON object and have the value somewhere in their text: they are never removed.
    `unsearched` are tables of older versions with rows that neither their fields nor raw could tell of."""

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
        """How many events, whether raw still has them or not."""
        return sum(max(rows.raw, rows.staging + rows.quarantine) for rows in self.windows.values())

    @property
    def is_surprising(self) -> bool:
        """Whether that is more than one person is likely to have."""
        return self.rows > _MANY_ROWS or (self.rows > _FEW_ROWS and self.rows * 100 > self.of * _MANY_PERCENT)

    @property
    def checksum(self) -> str:
        """The same for the same rows in the same places; that of its receipt when it was begun."""
        if self.begun:
            return self.begun.checksum
        told = [self.dataset, {w: asdict(rows) for w, rows in self.windows.items()}, [asdict(run) for run in self.runs]]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def wanted_fields(asset: Asset, keys: Sequence[str]) -> tuple[Wanted, ...]:
    """The fields and values that a person names: `VALUE` of the contract's key, or `FIELD=VALUE`. Raises LakeError."""
    names = {field.name: field for field in asset.fields}
    found: dict[str, Wanted] = {}
    for text in keys:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            if len(asset.key) != 1:
                fields = " and ".join(f"{field}=VALUE" for field in asset.key) or "FIELD=VALUE"
                raise LakeError(f"{asset.name} has no key of one field: write {fields}.")
            name, value = asset.key[0], text
        if name in found:
            raise LakeError(f"'{name}' is given twice: forget one value of it after the other.")
        if not value:
            raise LakeError(f"the value of '{name}' is empty: name the person's own.")
        found[name] = (names[name], value)
    return tuple(found[name] for name in sorted(found))


def plan_erasure(settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted]) -> ErasurePlan:
    """What the asset has of it now. Removes nothing. Raises LakeError, Unavailable."""
    with ledger.locked(f"dataset:{asset.dataset}"):
        settle_removals(settings, ledger, warehouse_for(settings), asset)
        return _find(settings, ledger, asset, wanted)


def begun(settings: Settings, ledger: Ledger, asset: Asset, checksum: str) -> ErasurePlan | None:
    """What was begun with this checksum and is not finished; to finish it nobody needs to know the person."""
    found = next(
        (one for one in receipts(ledger, asset.dataset) if one.done_at is None and one.checksum == checksum), None
    )
    return found and _begun(ledger, found, sum(window_rows(settings, asset).values()), ())


def _find(settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted]) -> ErasurePlan:
    name = subject(asset, wanted)
    known = [r for r in receipts(ledger, asset.dataset) if hmac.compare_digest(r.hash, sealed(name, r.salt))]
    earlier = tuple(one for one in known if one.done_at is not None)
    open_one = next((one for one in known if one.done_at is None), None)
    rows = window_rows(settings, asset)
    dropped = [field.name for field, _ in wanted if field.protection == "drop"]
    if dropped and any(entry.raw_rows and entry.window not in rows for entry in ledger.windows(asset)):
        raise LakeError(
            f"'{dropped[0]}' is dropped before staging, and raw has not every window any more, so not all could be "
            "found by it: name the person by another field."
        )
    raw = files(settings, asset, rows.keys())
    of = sum(rows.values())
    if open_one:
        return _begun(ledger, open_one, of, earlier)
    versions = versions_of(ledger, asset)
    readings = [meant for one in versions if len(meant := _meant(one, wanted)) == len(wanted)]
    paths = {file.path: window for window, held in raw.by_window.items() for file in held}
    hits = _raw_rows(paths, payload_matches(readings, _reading(paths), "filename, _topic, _partition, _offset"))
    in_raw = [(path, topic, position) for path, topic, position, unreadable in hits if not unreadable]
    at: defaultdict[str, set[Position]] = defaultdict(set)
    for path, _, position in in_raw:
        at[paths[path]].add(position)
    erasure = erasure_for(settings)
    held = {one: _held(erasure, asset, one, wanted, readings, at) for one in versions}
    # A row of a table whose event says it in another way, as a contract's entry point may.
    others: defaultdict[str, set[Position]] = defaultdict(set)
    for staged, quarantined in held.values():
        for row in (*staged, *quarantined):
            if row.position not in at[row.window]:
                others[row.window].add(row.position)
    in_raw += _raw_at(paths, {window: places for window, places in others.items() if window in rows})
    windows: dict[str, Rows] = {}
    staged, quarantined = held[asset]
    for window in sorted({w for w, places in (*at.items(), *others.items()) if places}):
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
        of,
        sum(unreadable for *_, unreadable in hits),
        tuple(one.name for one in versions if one != asset and _is_unsearched(ledger, asset, one, wanted, rows)),
        None,
        earlier,
    )


def _begun(ledger: Ledger, receipt: Receipt, of: int, earlier: tuple[Receipt, ...]) -> ErasurePlan:
    listed = tuple(forgotten_runs(ledger, receipt.id))
    return ErasurePlan(
        receipt.dataset, receipt.windows, receipt.files, listed, receipt.sequence, of, 0, (), receipt, earlier
    )


def _is_unsearched(
    ledger: Ledger, asset: Asset, version: Asset, wanted: Sequence[Wanted], in_raw: Collection[str]
) -> bool:
    """Whether a version has rows that are not in raw any more, and not all fields to find them by."""
    meant = _meant(version, wanted)
    if len(meant) == len(wanted) and not any(field.protection == "drop" for field, _ in meant):
        return False
    there = set(windows_of(version, asset, in_raw))
    return any(entry.raw_rows and entry.window not in there for entry in ledger.windows(version))


def _meant(version: Asset, wanted: Sequence[Wanted]) -> list[Wanted]:
    """What is wanted as a version declares it, as far as it has these fields."""
    own = {field.name: field for field in version.fields}
    return [(own[field.name], value) for field, value in wanted if field.name in own]


def _held(
    erasure: Erasure,
    asset: Asset,
    version: Asset,
    wanted: Sequence[Wanted],
    readings: Sequence[Sequence[Wanted]],
    at: Positions,
) -> tuple[list[HeldRow], list[HeldRow]]:
    """The rows of a version's staging and quarantine, by what they say and by where raw has them; windows are the
    asset's."""
    meant = _meant(version, wanted)
    values: Mapping[str, str] = {}
    if len(meant) == len(wanted) and not any(field.protection == "drop" for field, _ in meant):
        tokens = [token(value) if field.protection == "tokenise" else None for field, value in meant]
        values = staging_values(meant, tokens)

    def matching(relation: str) -> str:
        found = payload_matches(readings, relation, '_window, partition, "offset" as position')
        return f"select * exclude (unreadable) from ({found}) where not unreadable"

    own = in_windows_of(version, asset, at)
    staged, quarantined = erasure.staged(version, values, own), erasure.quarantined(version, matching, own)
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
        found = session.execute(query).fetchall()
    return [(path, topic, (partition, offset), unreadable) for path, topic, partition, offset, unreadable in found]


def _raw_at(paths: Mapping[str, str], at: Mapping[str, set[Position]]) -> list[tuple[str, str, Position]]:
    """The raw rows at these positions."""
    within = {path: window for path, window in paths.items() if window in at}
    if not within:
        return []
    places = ", ".join(f"({partition}, {offset})" for held in at.values() for partition, offset in held)
    query = (
        f"select filename, _topic, _partition, _offset, false from {_reading(within)} "
        f"where (_partition, _offset) in (values {places})"
    )
    return [(path, topic, position) for path, topic, position, _ in _raw_rows(within, query)]


def _runs(
    asset: Asset, in_raw: Sequence[tuple[str, str, Position]], others: Mapping[str, set[Position]]
) -> list[OffsetRun]:
    """As ranges: what raw has, and what only tables have."""
    held: defaultdict[tuple[str, str, int, bool], set[int]] = defaultdict(set)
    for window, topic, (partition, offset) in in_raw:
        held[window, topic, partition, True].add(offset)
    for window, places in others.items():
        for partition, offset in places:
            if offset not in held.get((window, asset.topic, partition, True), ()):
                held[window, asset.topic, partition, False].add(offset)
    return [
        OffsetRun(window, topic, partition, first, last, there)
        for (window, topic, partition, there), found in sorted(held.items())
        for first, last in runs(sorted(found))
    ]


def subject(asset: Asset, wanted: Sequence[Wanted]) -> str:
    return json.dumps([asset.dataset, [[field.name, value] for field, value in wanted]])
