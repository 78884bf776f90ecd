"""`lake forget`: removes a person's rows everywhere, in two steps, and leaves a receipt.

What goes is written to the ledger by topic, Kafka partition and offset before anything is touched. Each step after that
can be done twice, and needs no key any more: whoever confirms next for the asset finishes what a process that died had
begun.
"""

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import applied_versions
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.catalog.windows import window_end, window_key, window_start, windows_between
from lake_assets.compile.forget import Wanted, payload_matches, staging_values
from lake_assets.compile.sql import literal
from lake_assets.conform.tokens import new_salt, sealed, token
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError, Unavailable
from lake_assets.landing.delete_rows import rewrite_without
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.topics import offsets
from lake_assets.ledger.audit import runs
from lake_assets.ledger.forgotten import (
    OffsetRun,
    Receipt,
    Rows,
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
from lake_assets.ledger.removals import add_leftover_files, removed
from lake_assets.object_stores import scheme
from lake_assets.operations.adapters import erasure_for, warehouse_for
from lake_assets.operations.refresh import observe
from lake_assets.operations.retention import expire, settle_removals
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import Erasure, HeldRow, Position, Positions

# More than one person has, so that a mistaken value (an empty text, a default) does not empty an asset.
_MANY_ROWS = 10_000
_MANY_PERCENT, _FEW_ROWS = 1, 100
# What a bucket may keep of files that are removed.
_BUCKETS = {
    "s3": "Where the bucket keeps versions of its objects, older ones have these rows until its lifecycle rules end "
    "them: remove those versions, or let the bucket keep none.",
    "gs": "The bucket keeps removed files for seven days unless its soft delete is switched off, and older versions "
    "where it is told to: remove those, or let the bucket keep none.",
}
# Brings these entries of the queue and the marts behind them up to date; by step why that failed.
Make = Callable[[Sequence[Pending]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `forget` would remove. `windows` has the rows by place, `files` are raw files that would be written again,
    `of` all rows of raw. `begun` is the receipt that a process left open, `earlier` those that are done. `unreadable`
    counts events that are no JSON object and have the value somewhere in their text: they are never removed.
    `unsearched` are tables of older versions with rows that neither their fields nor raw could tell of."""

    asset: str
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
        told = [self.asset, {w: asdict(rows) for w, rows in self.windows.items()}, [asdict(run) for run in self.runs]]
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


def plan(settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted]) -> Plan:
    """What the asset has of it now. Removes nothing. Raises LakeError, Unavailable."""
    with ledger.locked(f"dataset:{asset.dataset}"):
        settle_removals(settings, ledger, warehouse_for(settings), asset)
        return _plan(settings, ledger, asset, wanted)


def begun(settings: Settings, ledger: Ledger, asset: Asset, checksum: str) -> Plan | None:
    """What was begun with this checksum and is not finished; to finish it nobody needs to know the person."""
    found = next(
        (one for one in receipts(ledger, asset.dataset) if one.done_at is None and one.checksum == checksum), None
    )
    return found and _begun(ledger, found, sum(window_rows(settings, asset).values()), ())


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
    """Removes what `plan` says, if that still has this checksum; the receipt, and by step what could not be made again.

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


def out_of_reach(settings: Settings, asset: Asset, found: Plan) -> list[str]:
    """What is not removed, in a sentence each, with how it can be."""
    told: list[str] = []
    try:
        bounds = offsets(settings, [asset.topic]).get(asset.topic, {})
        begins = {partition: begin for partition, (begin, _) in bounds.items()}
        held = sum(max(0, r.last + 1 - max(r.first, begins[r.partition])) for r in found.runs if r.partition in begins)
        if held:
            told.append(
                f"Kafka's topic {asset.topic} still holds {held:,} of these events and keeps them as long as its "
                "retention.ms says (-1 is for ever): delete its older records, which raw has, with "
                "kafka-delete-records.sh, which takes the first offset to keep of each partition."
            )
    except Unavailable:
        told.append(f"Kafka does not answer: its topic {asset.topic} may still hold these events.")
    if found.unreadable:
        told.append(
            f"{found.unreadable:,} events that are no JSON object have the value in their text and stay: "
            f"see them with lake quarantine {asset.name}."
        )
    if found.unsearched:
        told.append(
            f"{', '.join(found.unsearched)} of older versions cannot be searched by this where raw has not their "
            "windows any more: name the person by a field that they have too, or drop these tables."
        )
    told += erasure_for(settings).out_of_reach()
    if keeps := _BUCKETS.get(scheme(settings.bucket)):
        told.append(keeps)
    told.append(
        "Metrics have counted these events already, and back-ups, logs and copies of tables may hold them: remove them "
        "there."
    )
    return told


def _decided(
    settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted], checksum: str, force: bool
) -> int:
    # Until the decision names them, nobody may write the files with these rows together with others.
    with ledger.locked(f"dataset:{asset.dataset}"):
        found = plan(settings, ledger, asset, wanted)
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
        hashed = (sealed(_named(asset, wanted), salt), salt)
        fields = [field.name for field, _ in wanted]
        return decide_to_forget(
            ledger, asset.dataset, fields, hashed, checksum, found.sequence, found.files, found.windows, found.runs
        )


def _named(asset: Asset, wanted: Sequence[Wanted]) -> str:
    return json.dumps([asset.dataset, [[field.name, value] for field, value in wanted]])


def _receipt(ledger: Ledger, asset: Asset, number: int) -> Receipt:
    return next(one for one in receipts(ledger, asset.dataset) if one.id == number)


def _plan(settings: Settings, ledger: Ledger, asset: Asset, wanted: Sequence[Wanted]) -> Plan:
    name = _named(asset, wanted)
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
    versions = _versions(ledger, asset)
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
    return Plan(
        asset.name,
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


def _begun(ledger: Ledger, receipt: Receipt, of: int, earlier: tuple[Receipt, ...]) -> Plan:
    listed = tuple(forgotten_runs(ledger, receipt.id))
    return Plan(receipt.dataset, receipt.windows, receipt.files, listed, receipt.sequence, of, 0, (), receipt, earlier)


def _versions(ledger: Ledger, asset: Asset) -> list[Asset]:
    """The asset, and the other versions of its dataset, whose tables stay beside it."""
    others = [one for one in applied_versions(ledger.contracts(), asset.dataset) if one.name != asset.name]
    return [asset, *(replace(one, topic=asset.topic) for one in others)]


def _is_unsearched(
    ledger: Ledger, asset: Asset, version: Asset, wanted: Sequence[Wanted], in_raw: Collection[str]
) -> bool:
    """Whether a version has rows that are not in raw any more, and not all fields to find them by."""
    meant = _meant(version, wanted)
    if len(meant) == len(wanted) and not any(field.protection == "drop" for field, _ in meant):
        return False
    there = set(_windows_of(version, asset, in_raw))
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

    own = _in_windows_of(version, asset, at)
    staged, quarantined = erasure.staged(version, values, own), erasure.quarantined(version, matching, own)
    return _in_windows(version, asset, staged), _in_windows(version, asset, quarantined)


def _windows_of(version: Asset, asset: Asset, windows: Iterable[str]) -> list[str]:
    """The windows of a version, which may be shorter, in these of the asset."""
    if version.window == asset.window:
        return list(windows)
    bounds = [(window_start(window, asset.window), window_end(window, asset.window)) for window in windows]
    return [own for low, high in bounds for own in windows_between(low, high, version.window)]


def _in_windows_of(version: Asset, asset: Asset, at: Positions) -> Positions:
    return {own: positions for window, positions in at.items() for own in _windows_of(version, asset, [window])}


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
    versions = _versions(ledger, asset)
    erasure = erasure_for(settings)
    with ledger.locked(f"dataset:{asset.dataset}"):

        def about_to_write(urls: Sequence[str]) -> None:
            add_leftover_files(ledger, asset.dataset, urls)

        rewrite_without(settings, asset, receipt.files, gone, about_to_write)
        set_rewritten(ledger, receipt.id)
        add_files_deleted(ledger, receipt.id, expire(settings, ledger, asset, datetime.now(UTC)))
        observe(settings, ledger, [asset, *beside], ledger.cursors())
        for version in versions:
            erasure.remove_rows(version, _in_windows_of(version, asset, at))
        if not is_counted(ledger, receipt.id):
            counts = {one: _counts(settings, ledger, erasure, asset, one, receipt, listed) for one in versions}
            set_counts(ledger, receipt.id, {one.name: count for one, count in counts.items()})
        for one in (asset, *beside):
            ledger.request(one, _to_make(settings, ledger, one, receipt))
        queued = ledger.pending([one.name for one in (asset, *beside)])
        pending = [entry for entry in queued if entry.window in receipt.windows]
    failed = make(pending) if pending else {}
    with ledger.locked(f"dataset:{asset.dataset}"):
        for version in versions:
            windows = _windows_of(version, asset, receipt.windows)
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
    windows = {own: window for window in receipt.windows for own in _windows_of(version, asset, [window])}
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
                good, quarantined = tables.get((own, old.partition), (0, 0))
                # One that was made again since the rows were found knows already that they are gone.
                repeats = taken[own, old.partition] - (old.good - good) - (old.quarantined - quarantined)
                duplicates = old.duplicates - max(0, repeats if entry.sequence <= receipt.sequence else 0)
                duplicates = 0 if emptied else max(0, duplicates)
                raw = good + quarantined + duplicates
                found[own].append(replace(old, raw=raw, good=good, quarantined=quarantined, duplicates=duplicates))
    return found
