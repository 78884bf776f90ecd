"""The audit: reconcile broker, raw, ledger and warehouse counts of each asset. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lake_assets.catalog.table_counts import NO_ROWS, TABLES, TableCounts
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.window_states import NO_STATE, WindowState


@dataclass(frozen=True, slots=True, order=True)
class OffsetRange:
    """Offsets `first` to `last`, inclusive, of one Kafka partition."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] offsets {self.first} to {self.last}"

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class WindowAudit:
    """One window: its raw rows, their outcome, and the queue. `problems` is empty when all adds up.

    A window that a check holds back (`held_back`) is neither published nor lost. `removed` are the raw rows deleted by
    retention, `late` those that landed for the window since. `forgotten` are erased raw rows of subjects; during an
    erasure the window is not compared. `conflicts` are the duplicates that differ from the remaining row of their key.
    """

    window: str
    raw: int
    good: int
    quarantined: int
    duplicates: int
    queued: int
    held_back: bool
    problems: tuple[str, ...]
    removed: int = 0
    late: int = 0
    forgotten: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class PartitionAudit:
    """One Kafka partition. `begin` and `end` are the broker's (`end` exclusive).

    Every offset from `begin` to `end` belongs to one group. `landed` is a record in raw, `no_record` a transaction
    marker or compacted away. `under_way` is a record in flight, above all that has landed; `gaps` are records missing
    from raw.
    """

    topic: str
    partition: int
    begin: int
    end: int
    landed: int
    no_record: int
    under_way: int
    gaps: tuple[OffsetRange, ...]


@dataclass(frozen=True, slots=True)
class AssetAudit:
    """The audit of one asset, window by window and Kafka partition by Kafka partition.

    `failed` is the reason it could not be audited; then nothing is proved of it.
    """

    asset: str
    windows: tuple[WindowAudit, ...]
    partitions: tuple[PartitionAudit, ...]
    failed: str | None = None

    @property
    def in_balance(self) -> bool:
        return (
            self.failed is None
            and not any(p.gaps for p in self.partitions)
            and not any(w.problems for w in self.windows)
        )


def audit_windows(
    states: Mapping[str, WindowState], raw: Mapping[str, int], tables: Mapping[str, TableCounts]
) -> tuple[WindowAudit, ...]:
    """Audit every window that ledger, raw or warehouse has, in order.

    `raw` has the rows of each window from the raw table's own metadata, `tables` the good and quarantined rows counted
    by the warehouse. A window that is queued or held back is not compared with raw: readers see its last state. Rows
    removed by retention must be absent. Erased rows are missing from raw and, once their erasure is done, from the
    ledger's counts.
    """
    known = [w for w, state in states.items() if state.published or state.is_queued or state.erased_rows is not None]
    return tuple(
        _audit_window(window, states.get(window, NO_STATE), raw.get(window, 0), tables.get(window, NO_ROWS))
        for window in sorted({*known, *raw, *tables})
    )


def _audit_window(window: str, state: WindowState, rows: int, table_rows: TableCounts) -> WindowAudit:
    entry = state.published
    late = rows + state.removed_rows - state.accounted_rows if state.raw_is_lost else 0
    return WindowAudit(
        window,
        rows,
        entry.good if entry else 0,
        entry.quarantined if entry else 0,
        entry.duplicates if entry else 0,
        state.queued_rows or 0,
        state.held_back is not None,
        () if state.is_being_erased else (*_raw_problems(state, rows, late), *_table_problems(state, table_rows)),
        state.removed_rows,
        max(late, 0),
        state.erased_rows or 0,
        entry.conflicts if entry else 0,
    )


def _raw_problems(state: WindowState, rows: int, late: int) -> Iterable[str]:
    accounted = state.accounted_rows
    if late < 0:
        yield (
            f"raw holds {rows} rows and retention removed {state.removed_rows}, but the ledger accounts for {accounted}"
        )
    elif not state.raw_is_lost and state.is_at_rest and rows != accounted:
        yield f"raw holds {rows} rows but the ledger accounts for {accounted}"


def _table_problems(state: WindowState, table_rows: TableCounts) -> Iterable[str]:
    entry = state.published
    expected_rows = TableCounts(entry.good, entry.quarantined) if entry else NO_ROWS
    for table in TABLES:
        actual, expected = table_rows.of(table), expected_rows.of(table)
        if table in state.removed_at and actual:
            yield f"{table} holds {actual} rows but the ledger has them as removed by retention"
        elif table not in state.removed_at and actual != expected:
            yield f"{table} holds {actual} rows but the ledger has {expected}"


def stale_windows(states: Mapping[str, WindowState], raw: Mapping[str, int]) -> set[str]:
    """Return windows whose counts in the ledger differ from raw's metadata, so that raw itself must be counted."""
    by_window = {window: states.get(window, NO_STATE) for window in raw}
    return {
        window
        for window, state in by_window.items()
        if state.is_queued or state.published is None or state.raw_rows != raw[window]
    }


def unexplained_ranges(
    topic: str, partition: int, bounds: tuple[int, int], counts: Sequence[PartitionCount]
) -> list[OffsetRange]:
    """Return the ranges of offsets that may be missing from raw; none when the counts alone prove completeness.

    `counts` are those of every window of this partition. A window with as many offsets as lie between its lowest and
    its highest has all of them, so the ranges of such windows need no check.
    """
    first = min([bounds[0], *(count.min_offset for count in counts)])
    if sum(count.raw - count.redelivered for count in counts) == bounds[1] - first:
        return []
    dense = [
        (count.min_offset, count.max_offset)
        for count in counts
        if count.raw - count.redelivered == count.max_offset - count.min_offset + 1
    ]
    return subtract(OffsetRange(topic, partition, first, bounds[1] - 1), dense)


def subtract(whole: OffsetRange, parts: Iterable[tuple[int, int]]) -> list[OffsetRange]:
    """Return the rest of a range without the parts (inclusive ranges in any order, which may overlap), in order."""
    remaining: list[OffsetRange] = []
    position = whole.first
    for first, last in sorted(parts):
        if first > position:
            remaining.append(OffsetRange(whole.topic, whole.partition, position, min(first - 1, whole.last)))
        position = max(position, last + 1)
        if position > whole.last:
            return remaining
    remaining.append(OffsetRange(whole.topic, whole.partition, position, whole.last))
    return remaining


def runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Return sorted offsets as inclusive ranges without holes."""
    ranges: list[tuple[int, int]] = []
    for offset in offsets:
        if ranges and offset == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], offset)
        else:
            ranges.append((offset, offset))
    return ranges
