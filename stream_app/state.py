"""One Kafka partition's partial aggregates: folded, closed and written to its changelog, without any I/O.

A record of the changelog is keyed by a JSON list, and its value is JSON:

    ["row", window, group...]    [revision, measure...]      a partial aggregate
    ["keys", window, number]     [key, ...]                  keys counted in this window, to know an event sent twice
    ["position"]                 [offset, watermark, late]   the input up to which all of the above holds, and how many
                                                             of its events were late

An empty value (a tombstone) ends what its window held. Windows are starts in milliseconds since 1970 UTC.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lake_assets.catalog.metric import Measure, Metric
from stream_app.columns import Columns, GroupKey, measured_fields

Cell = tuple[int, GroupKey]
BEFORE_ALL = -(2**62)
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


class NotOurs(Exception):
    """A record that this version of the changelog does not have."""


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
    """One event that came after its window was final, with what it would have added."""

    window: int
    group: GroupKey
    values: tuple[int, ...]
    offset: int


@dataclass(slots=True)
class Delta:
    """What one transaction has to write for a partition."""

    rows: list[Row] = field(default_factory=list)
    late: list[LateRow] = field(default_factory=list)
    changelog: list[tuple[bytes, bytes | None]] = field(default_factory=list)


class PartitionState:
    """The open windows of one partition. Memory follows open windows, not history."""

    def __init__(self, metric: Metric) -> None:
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
        fields = measured_fields(metric)
        self._fold = [(m, fields.index(m.field) if m.field else -1) for m in metric.measures]

    @property
    def open_rows(self) -> int:
        return sum(len(groups) for groups in self.windows.values())

    @property
    def oldest_window(self) -> int | None:
        return min(self.windows, default=None)

    def closed_through(self) -> int:
        """The start of the latest window that is closed: events of it and of earlier ones are late."""
        return self.watermark - self.metric.lateness_ms - self.metric.window_ms

    def fold(self, columns: Columns, offsets: Sequence[int], now: int) -> None:
        """Adds a batch, whose positions `offsets` knows the offsets of. Late events are kept apart. `now` is in ms.

        An event with a key that one of its window was counted with is a repeat and adds nothing. An event time ahead
        of the clock moves the watermark no further than the clock, else one wrong clock would make all others late.
        """
        newest = min(columns.newest, now)
        closed = self.closed_through()
        if columns.windows and min(columns.windows) <= closed:
            is_late = [window <= closed for window in columns.windows]
            self._take_late(columns.keep(is_late), offsets)
            columns = columns.keep([not flag for flag in is_late])
        if columns.keys is not None:
            columns = self._without_repeats(columns, columns.keys)
        if columns.windows:
            self._add(columns)
        self.watermark = max(self.watermark, newest)

    def _take_late(self, columns: Columns, offsets: Sequence[int]) -> None:
        for at, position in enumerate(columns.positions):
            values = tuple(1 if column < 0 else columns.values[column][at] for _, column in self._fold)
            self._late.append(LateRow(columns.windows[at], columns.groups[at], values, offsets[position]))
        self.late_events += len(columns.positions)

    def _without_repeats(self, columns: Columns, keys: list[Hashable]) -> Columns:
        seen, new = self._seen, self._new_keys
        mask: list[bool] = []
        for window, key in zip(columns.windows, keys, strict=True):
            of_window = seen.get(window)
            if of_window is None:
                of_window = seen[window] = set()
            if key in of_window:
                mask.append(False)
            else:
                of_window.add(key)
                new[window].append(key)
                mask.append(True)
        return columns if len(mask) == sum(mask) else columns.keep(mask)

    def _add(self, columns: Columns) -> None:
        # Cells get numbers, so that each event's cell is looked up once and not once for each measure.
        numbers: defaultdict[Cell, int] = defaultdict(itertools.count().__next__)
        places = [numbers[cell] for cell in zip(columns.windows, columns.groups, strict=True)]
        folded = [
            _FOLDS[measure.function](places, columns.values[column], len(numbers))
            if column >= 0
            else _counts(places, len(numbers))
            for measure, column in self._fold
        ]
        for cell, place in numbers.items():
            window, group = cell
            groups = self.windows.get(window)
            if groups is None:
                groups = self.windows[window] = {}
            row = groups.get(group)
            if row is None:
                groups[group] = [0, *(part[place] for part in folded)]
                continue
            for at, ((measure, _), part) in enumerate(zip(self._fold, folded, strict=True), start=1):
                row[at] = _merge(measure, row[at], part[place])
        self._dirty.update(numbers)

    @property
    def has_news(self) -> bool:
        """Whether `take_delta` would have anything to write besides the position."""
        return bool(self._dirty or self._late or self._new_keys) or (
            bool(self.windows) and min(self.windows) <= self.closed_through()
        )

    def since(self, now: int) -> int:
        """The time (milliseconds) of the oldest changelog record that still counts; `now` when none does."""
        return min(self._written.values(), default=now)

    def take_delta(self, position: int, now: int) -> Delta:
        """Everything that changed since the last call, with the windows that the watermark has closed as final rows.

        `position` is the next offset of the input; the changelog's records are to be written with the time `now`.

        The state counts it as written: when the transaction fails, the state must be thrown away and restored.
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
            delta.changelog.append((_encode(["keys", window, self._key_records[window]]), _encode(keys)))
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
            if revision:  # else the changelog has never heard of it
                delta.changelog.append((_encode(["row", window, *group]), None))

    def _forget_keys(self, window: int, delta: Delta) -> None:
        del self._seen[window]
        self._new_keys.pop(window, None)
        for number in range(self._key_records.pop(window, 0)):
            delta.changelog.append((_encode(["keys", window, number]), None))

    def apply(self, key: bytes, value: bytes | None, time: int) -> None:
        """Takes one record of the changelog, in order; `time` is the record's, in milliseconds. Raises NotOurs."""
        kind, *rest = _read(key)
        match kind, rest:
            case "row", [int(window), *group]:
                self._restore_row(window, tuple(group), value, time)
            case "keys", [int(window), int(number)]:
                self._restore_keys(window, number, value, time)
            case "position", [] if value is not None:
                self.position, self.watermark, self.late_events = _read(value)
            case _:
                raise NotOurs(f"a record with the key {key!r}")

    def _restore_keys(self, window: int, number: int, value: bytes | None, time: int) -> None:
        if value is None:
            self._seen.pop(window, None)
            self._key_records.pop(window, None)
            return
        self._written.setdefault(window, time)
        self._seen.setdefault(window, set()).update(tuple(k) if isinstance(k, list) else k for k in _read(value))
        self._key_records[window] = max(self._key_records[window], number + 1)

    def _restore_row(self, window: int, group: GroupKey, value: bytes | None, time: int) -> None:
        if len(group) != len(self.metric.groups):
            raise NotOurs(f"a row of {len(group)} groups")
        if value is not None:
            row = _read(value)
            if len(row) != 1 + len(self._fold):
                raise NotOurs(f"a row of {len(row) - 1} measures")
            self._written.setdefault(window, time)
            self.windows.setdefault(window, {})[group] = row
        elif window in self.windows:
            self.windows[window].pop(group, None)
            if not self.windows[window]:
                del self.windows[window]
                self._written.pop(window, None)


def _read(text: bytes) -> list[Any]:
    try:
        value = _decode(text)
    except msgspec.MsgspecError:
        value = None
    if not isinstance(value, list):
        raise NotOurs(f"the record {text[:80]!r}")
    return value


def _counts(places: list[int], cells: int) -> list[int]:
    counts = Counter(places)
    return [counts[place] for place in range(cells)]


def _sums(places: list[int], column: list[int], cells: int) -> list[int]:
    totals = [0] * cells
    for place, value in zip(places, column, strict=True):
        totals[place] += value
    return totals


def _lowest(places: list[int], column: list[int], cells: int) -> list[int]:
    found = [max(column)] * cells
    for place, value in zip(places, column, strict=True):
        if value < found[place]:
            found[place] = value
    return found


def _highest(places: list[int], column: list[int], cells: int) -> list[int]:
    found = [min(column)] * cells
    for place, value in zip(places, column, strict=True):
        if value > found[place]:
            found[place] = value
    return found


_FOLDS = {"sum": _sums, "min": _lowest, "max": _highest}


def _merge(measure: Measure, old: int, new: int) -> int:
    match measure.function:
        case "count" | "sum":
            return old + new
        case "min":
            return min(old, new)
        case "max":
            return max(old, new)


def rows_as_json(metric: Metric, shard: int, state: PartitionState, rows: list[Row]) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each row for the metric's topic; the same cell has always the same key.

    `source_offset` is the input position up to which the row counts its shard's events, and `late_before` how many of
    the shard's events were late until then.
    """
    measures = [measure.name for measure in metric.measures]
    for row in rows:
        key = _cell(metric, row.window, row.group, shard)
        value = {**key, **dict(zip(measures, row.values, strict=True)), "source_offset": state.position,
                 "late_before": state.late_events, "revision": row.revision, "is_final": row.is_final}  # fmt: skip
        yield _encode(key), _encode(value)


def late_as_json(metric: Metric, shard: int, rows: list[LateRow]) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each late event for the topic of late events."""
    measures = [measure.name for measure in metric.measures]
    for row in rows:
        cell = _cell(metric, row.window, row.group, shard)
        value = {**cell, "source_offset": row.offset, **dict(zip(measures, row.values, strict=True))}
        yield _encode([shard, row.offset]), _encode(value)


def _cell(metric: Metric, window: int, group: GroupKey, shard: int) -> dict[str, Any]:
    names = (group.name for group in metric.groups)
    return {**dict(zip(names, group, strict=True)), "window_start": window, "shard": shard}
