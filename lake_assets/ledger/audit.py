"""The audit: reconcile broker, raw, ledger and warehouse counts of each asset. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lake_assets.catalog.table_counts import NO_ROWS, TABLES, TableCounts
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.forgotten import NONE, Forgotten
from lake_assets.ledger.ledger import Pending, PublishedWindow
from lake_assets.ledger.removals import NOTHING, Removed


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

    `failed` says why it could not be audited; then nothing is proved of it.
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
    published: Sequence[PublishedWindow],
    pending: Sequence[Pending],
    held_back: Collection[str],
    raw: Mapping[str, int],
    tables: Mapping[str, TableCounts],
    *,
    removed: Mapping[str, Removed],
    forgotten: Mapping[str, Forgotten],
) -> tuple[WindowAudit, ...]:
    """Audit every window that any of the four has, in order.

    `raw` has the rows of each window from the raw table's own metadata, `tables` the good and quarantined rows counted
    by the warehouse. A window that is queued or held back is not compared with raw: readers see its last state. Windows
    in `removed` were deleted by retention, so their rows must be absent. Rows in `forgotten` are missing from raw and,
    once their erasure is done, from the ledger's counts.
    """
    by_window = {entry.window: entry for entry in published}
    queued: dict[str, int] = {}
    for entry in pending:
        queued[entry.window] = queued.get(entry.window, 0) + entry.rows
    audits: list[WindowAudit] = []
    for window in sorted({*by_window, *raw, *tables, *queued, *forgotten}):
        entry = by_window.get(window)
        rows, table_rows = raw.get(window, 0), tables.get(window, NO_ROWS)
        removal = removed.get(window, NOTHING)
        # A version that was added after retention deleted the raw rows has no rows of the window.
        accounted, good, quarantined = (
            (entry.raw_rows, entry.good, entry.quarantined) if entry else (removal.raw_rows, 0, 0)
        )
        problems: list[str] = []
        erasure = forgotten.get(window, NONE)
        late = rows + removal.raw_rows - accounted if "raw" in removal.at else 0
        if late < 0:
            problems.append(
                f"raw holds {rows} rows and retention removed {removal.raw_rows}, "
                f"but the ledger accounts for {accounted}"
            )
        elif "raw" not in removal.at and window not in queued and window not in held_back and rows != accounted:
            problems.append(f"raw holds {rows} rows but the ledger accounts for {accounted}")
        for table in TABLES:
            actual, expected = table_rows.of(table), TableCounts(good, quarantined).of(table)
            if table in removal.at and actual:
                problems.append(f"{table} holds {actual} rows but the ledger has them as removed by retention")
            elif table not in removal.at and actual != expected:
                problems.append(f"{table} holds {actual} rows but the ledger has {expected}")
        if erasure.open:
            problems = []
        duplicates = entry.duplicates if entry else 0
        audits.append(
            WindowAudit(
                window,
                rows,
                good,
                quarantined,
                duplicates,
                queued.get(window, 0),
                window in held_back,
                tuple(problems),
                removal.raw_rows,
                max(late, 0),
                erasure.raw_rows,
                entry.conflicts if entry else 0,
            )
        )
    return tuple(audits)


def stale_windows(published: Sequence[PublishedWindow], pending: Sequence[Pending], raw: Mapping[str, int]) -> set[str]:
    """Return windows whose counts in the ledger differ from raw's metadata, so that raw itself must be counted."""
    ledger_rows = {entry.window: entry.raw_rows for entry in published}
    return {window for window, rows in raw.items() if ledger_rows.get(window) != rows} | {
        entry.window for entry in pending if entry.window in raw
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
