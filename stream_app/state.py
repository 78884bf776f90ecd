"""Partial aggregates of one Kafka partition: fold, close, and write to the changelog, without any I/O.

A record of the changelog is keyed by a JSON list, and its value is JSON:

    ["row", window, group...]    [revision, measure...]      a partial aggregate
    ["keys", window, number]     [key, ...]                  keys counted in this window, to drop repeated events
    ["position"]                 [offset, watermark, late]   the input offset of all of the above, and how many
                                                             of its events were late

An empty value (a tombstone) deletes the entry. Windows are given by their start in milliseconds since 1970 UTC.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import pyarrow as pa

from lake_assets.catalog.metric import Measure, Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.topic import MAX_AHEAD_MS
from stream_app.events import (
    POSITION,
    WINDOW,
    Events,
    GroupKey,
    group_columns,
    hidden_key,
    key_columns,
    measured_fields,
    short_key,
    value_columns,
)

Cell = tuple[int, GroupKey]
BEFORE_ALL = -(2**62)
# Largest record of keys, in bytes of JSON: the keys of a burst of events exceed the size of a message.
_RECORD_BYTES = 256 << 10
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


class UnknownRecord(Exception):
    """A record that this version of the changelog does not know."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row for the sink: the partial aggregate of a group and window on one shard (the Kafka partition)."""

    window: int
    group: GroupKey
    values: tuple[int, ...]
    revision: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class LateRow:
    """One event that came after its window was final, with the values it would have added."""

    window: int
    group: GroupKey
    values: tuple[int, ...]
    offset: int


class Offsets(Protocol):
    """Offsets of a batch, by position in it."""

    def __getitem__(self, position: int, /) -> int: ...


@dataclass(slots=True)
class Delta:
    """The records of one transaction for a partition."""

    rows: list[Row] = field(default_factory=list[Row])
    late: list[LateRow] = field(default_factory=list[LateRow])
    changelog: list[tuple[bytes, bytes | None]] = field(default_factory=list["tuple[bytes, bytes | None]"])


class PartitionState:
    """The open windows of one partition. Memory grows with open windows, not with history."""

    def __init__(self, asset: Asset, metric: Metric) -> None:
        self.metric = metric
        self.watermark = BEFORE_ALL
        self.position = -1
        self.late_events = 0
        self.windows: dict[int, dict[GroupKey, list[int]]] = {}
        self._seen: dict[int, set[Hashable]] = {}
        self._new_keys: dict[int, list[Hashable]] = defaultdict(list)
        self._key_records: Counter[int] = Counter()
        self._dirty: set[Cell] = set()
        self._late: list[LateRow] = []
        self._written: dict[int, int] = {}
        self._groups, self._keys = group_columns(metric), key_columns(asset)
        self._hidden = [asset.field(key).is_confidential for key in asset.key]
        column_of = dict(zip(measured_fields(metric), value_columns(metric), strict=True))
        self._fold = [(measure, column_of[measure.field] if measure.field else "") for measure in metric.measures]
        # Columns and functions as pyarrow takes them.
        self._folds: list[Any] = list(
            dict.fromkeys((column, m.function) if column else ((), "count_all") for m, column in self._fold)
        )
        self._folded = [f"{column}_{m.function}" if column else "count_all" for m, column in self._fold]

    @property
    def open_rows(self) -> int:
        return sum(len(groups) for groups in self.windows.values())

    def closed_through(self) -> int:
        """Return the start of the latest closed window: events of it and of earlier ones are late."""
        return self.watermark - self.metric.lateness_ms - self.metric.window_ms

    def fold(self, events: Events, offsets: Offsets, now: int) -> None:
        """Add a batch; `offsets` maps batch positions to offsets. `now` is in ms.

        Late events are kept apart, and so are those of windows that begin more than an hour from now: these would stay
        open that long.

        An event whose key was already counted in its window is a repeat and adds nothing. An event time ahead of the
        clock moves the watermark no further than the clock. One further in the future does not move it at all:
        otherwise one wrong clock would make all other events late.
        """
        table, closed = events.table, self.closed_through()
        windows = table[WINDOW].to_numpy()
        latest, newest = now + MAX_AHEAD_MS, events.newest
        if newest > latest + self.metric.window_ms:
            newest = int(windows.max(initial=BEFORE_ALL, where=windows <= latest))
        if len(windows) and (windows.min() <= closed or windows.max() > latest):
            is_late = (windows <= closed) | (windows > latest)
            self._take_late(table.filter(pa.array(is_late)), offsets)
            table, windows = table.filter(pa.array(~is_late)), windows[~is_late]
        if self._keys:
            table = self._without_repeats(table, windows)
        if len(table):
            self._add(table)
        self.watermark = max(self.watermark, min(newest, now))

    def _take_late(self, table: pa.Table, offsets: Offsets) -> None:
        groups = zip(*(table[name].to_pylist() for name in self._groups), strict=True)
        values = zip(*(_whole(table[name]) if name else [1] * len(table) for _, name in self._fold), strict=True)
        for window, group, row, position in zip(
            _list(table, WINDOW), groups, values, _list(table, POSITION), strict=True
        ):
            self._late.append(LateRow(window, group, row, offsets[position]))
        self.late_events += len(table)

    def _without_repeats(self, table: pa.Table, windows: "np.ndarray[Any, np.dtype[np.int64]]") -> pa.Table:
        columns = [_list(table, name) for name in self._keys]
        keys: list[Hashable] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        mask: list[bool] | None = None
        # Events come nearly in the order of time: in runs of one window, most keys prove new in one step.
        starts = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(keys)]
        for start, end in itertools.pairwise(starts):
            if start == end:
                continue
            window = int(windows[start])
            seen, run = self._seen.setdefault(window, set()), keys[start:end]
            new = set(run)
            if len(new) < len(run) or not seen.isdisjoint(new):
                mask = mask or [True] * len(keys)
                run = _take_new(run, seen, mask, start)
            seen.update(run)
            if run:
                self._new_keys[window].extend(run)
        return table if mask is None else table.filter(pa.array(mask))

    def _add(self, table: pa.Table) -> None:
        cells = table.group_by([WINDOW, *self._groups], use_threads=False).aggregate(self._folds)
        groups_of = zip(*(_list(cells, name) for name in self._groups), strict=True)
        folded_of = zip(*(_whole(cells[name]) for name in self._folded), strict=True)
        for window, group, folded in zip(_list(cells, WINDOW), groups_of, folded_of, strict=True):
            groups = self.windows.setdefault(window, {})
            self._dirty.add((window, group))
            row = groups.get(group)
            if row is None:
                groups[group] = [0, *folded]
                continue
            for index, ((measure, _), part) in enumerate(zip(self._fold, folded, strict=True), start=1):
                row[index] = _merge(measure, row[index], part)

    def since(self, now: int) -> int:
        """Return the time (milliseconds) of the oldest changelog record that still counts; `now` when none does."""
        return min(self._written.values(), default=now)

    def take_delta(self, position: int, now: int) -> Delta:
        """Return all changes since the last call, with the windows closed by the watermark as final rows.

        `position` is the next offset of the input; the changelog's records must be written with the time `now`.

        The state counts them as written: when the transaction fails, it must be discarded and restored.
        """
        delta = Delta(late=self._late)
        closed = self.closed_through()
        for window in sorted(window for window in self.windows if window <= closed):
            self._close(window, delta)
        for window in [window for window in self._seen if window <= closed]:
            self._forget_keys(window, delta)
        for window, group in self._dirty:
            row = self.windows[window][group]
            row[0] += 1
            self._written.setdefault(window, now)
            delta.rows.append(Row(window, group, tuple(row[1:]), row[0], False))
            delta.changelog.append((_encode(["row", window, *group]), _encode(row)))
        for window, keys in self._new_keys.items():
            for piece in _pieces(keys):
                delta.changelog.append((_encode(["keys", window, self._key_records[window]]), piece))
                self._key_records[window] += 1
        delta.changelog.append((_encode(["position"]), _encode([position, self.watermark, self.late_events])))
        self.position = position
        self._dirty, self._late, self._new_keys = set(), [], defaultdict(list)
        return delta

    def _close(self, window: int, delta: Delta) -> None:
        self._written.pop(window, None)
        for group, (revision, *values) in self.windows.pop(window).items():
            self._dirty.discard((window, group))
            delta.rows.append(Row(window, group, tuple(values), revision + 1, True))
            if revision:  # else the changelog has no row to delete
                delta.changelog.append((_encode(["row", window, *group]), None))

    def _forget_keys(self, window: int, delta: Delta) -> None:
        del self._seen[window]
        self._new_keys.pop(window, None)
        for number in range(self._key_records.pop(window, 0)):
            delta.changelog.append((_encode(["keys", window, number]), None))

    def apply(self, key: bytes, value: bytes | None, time: int) -> None:
        """Apply one record of the changelog, in order; `time` is its own, in milliseconds. Raises UnknownRecord."""
        kind, *rest = _read(key)
        match kind, rest:
            case "row", [int(window), *group]:
                self._restore_row(window, tuple(group), value, time)
            case "keys", [int(window), int(number)]:
                self._restore_keys(window, number, value, time)
            case "position", [] if value is not None:
                self.position, self.watermark, self.late_events = _read(value)
            case _:
                raise UnknownRecord(f"a record with the key {key!r}")

    def _restore_keys(self, window: int, number: int, value: bytes | None, time: int) -> None:
        if value is None:
            self._seen.pop(window, None)
            self._key_records.pop(window, None)
            return
        self._written.setdefault(window, time)
        self._seen.setdefault(window, set()).update(map(self._as_counted, _read(value)))
        self._key_records[window] = max(self._key_records[window], number + 1)

    def _as_counted(self, key: Any) -> Hashable:
        """Return a key in the form events have it. Records of earlier versions contain long and confidential keys."""
        if isinstance(key, list):
            return tuple(map(_part_as_counted, cast("list[Any]", key), self._hidden))
        return _part_as_counted(key, self._hidden[0])

    def _restore_row(self, window: int, group: GroupKey, value: bytes | None, time: int) -> None:
        if len(group) != len(self.metric.groups):
            raise UnknownRecord(f"a row of {len(group)} groups")
        if value is not None:
            row = _read(value)
            if len(row) != 1 + len(self._fold):
                raise UnknownRecord(f"a row of {len(row) - 1} measures")
            self._written.setdefault(window, time)
            self.windows.setdefault(window, {})[group] = row
        elif window in self.windows:
            self.windows[window].pop(group, None)
            if not self.windows[window]:
                del self.windows[window]
                self._written.pop(window, None)


def _part_as_counted(part: Any, hidden: bool) -> Hashable:
    if hidden and part is not None:
        return hidden_key(part)
    return short_key(part) if isinstance(part, str) else part


def _pieces(keys: list[Hashable]) -> Iterator[bytes]:
    """Split the keys into JSON lists, none longer than a record may be."""
    text = _encode(keys)
    if len(text) <= _RECORD_BYTES or len(keys) == 1:
        yield text
        return
    step = max(1, len(keys) * _RECORD_BYTES // (len(text) + len(text) // 8))
    for first in range(0, len(keys), step):
        yield from _pieces(keys[first : first + step])


def _read(text: bytes) -> list[Any]:
    try:
        value = _decode(text)
    except msgspec.MsgspecError:
        value = None
    if not isinstance(value, list):
        raise UnknownRecord(f"the record {text[:80]!r}")
    return cast("list[Any]", value)


def _take_new(run: list[Hashable], seen: set[Hashable], mask: list[bool], start: int) -> list[Hashable]:
    """Return the keys that are neither in `seen` nor earlier in `run`; clear the others in `mask`, from `start` on."""
    new: dict[Hashable, None] = {}
    for index, key in enumerate(run, start):
        if key in seen or key in new:
            mask[index] = False
        else:
            new[key] = None
    return list(new)


def _list(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist()


def _whole(column: "pa.ChunkedArray[Any]") -> list[int]:
    return list(map(int, cast("list[Any]", column.to_pylist())))


def _merge(measure: Measure, old: int, new: int) -> int:
    match measure.function:
        case "count" | "sum":
            return old + new
        case "min":
            return min(old, new)
        case "max":
            return max(old, new)


def rows_as_json(metric: Metric, shard: int, state: PartitionState, rows: list[Row]) -> Iterator[tuple[bytes, bytes]]:
    """Return key and value of each row for the metric's topic; a cell always has the same key.

    `source_offset` is the input position up to which the row counts its shard's events, and `late_before` the number of
    the shard's late events until then.
    """
    measures = [measure.name for measure in metric.measures]
    for row in rows:
        key = _cell(metric, row.window, row.group, shard)
        value = {**key, **dict(zip(measures, row.values, strict=True)), "source_offset": state.position,
                 "late_before": state.late_events, "revision": row.revision, "is_final": row.is_final}  # fmt: skip
        yield _encode(key), _encode(value)


def late_as_json(metric: Metric, shard: int, rows: list[LateRow]) -> Iterator[tuple[bytes, bytes]]:
    """Return key and value of each late event for the topic of late events."""
    measures = [measure.name for measure in metric.measures]
    for row in rows:
        cell = _cell(metric, row.window, row.group, shard)
        value = {**cell, "source_offset": row.offset, **dict(zip(measures, row.values, strict=True))}
        yield _encode([shard, row.offset]), _encode(value)


def _cell(metric: Metric, window: int, group: GroupKey, shard: int) -> dict[str, Any]:
    names = (group.name for group in metric.groups)
    return {**dict(zip(names, group, strict=True)), "window_start": window, "shard": shard}
