"""The audit: what broker, raw, ledger and warehouse say of each asset, told against each other. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

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
    """One window: what raw holds, what became of it, and what is queued. `problems` is empty when all adds up.

    A window that a check holds back is neither published nor lost: `held_back` says so. `removed` are the raw rows
    that retention took, `late` those that landed for the window since. `forgotten` are raw rows of persons
    who were forgotten; while that is under way, the window is not compared. `conflicts` are the duplicates that differ
    from the row of their key that stayed.
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

    Every offset from `begin` to `end` is one of: `landed` (a record in raw), `no_record` (a transaction marker, or
    compacted away), `under_way` (a record above all that has landed) or part of `gaps` (a record that raw lacks).
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
    tables: Mapping[str, tuple[int, int]],
    removed: Mapping[str, Removed],
    forgotten: Mapping[str, Forgotten],
) -> tuple[WindowAudit, ...]:
    """Every window that any of the four knows, in order.

    `raw` holds the rows of each window by the raw table's own metadata, `tables` the good and quarantined rows by the
    warehouse's own count. A window that is queued or held back is not compared with raw: readers see its last state.
    `removed` is what retention took, which must not be there any more; `forgotten` is what raw is without and the
    ledger's numbers too, once it is not under way any more.
    """
    by_window = {entry.window: entry for entry in published}
    queued: dict[str, int] = {}
    for entry in pending:
        queued[entry.window] = queued.get(entry.window, 0) + entry.rows
    audits: list[WindowAudit] = []
    for window in sorted({*by_window, *raw, *tables, *queued, *forgotten}):
        entry = by_window.get(window)
        rows, shown = raw.get(window, 0), tables.get(window, (0, 0))
        gone = removed.get(window, NOTHING)
        # A version that came after retention took the raw rows has nothing of the window.
        known, good, quarantined = (entry.raw_rows, entry.good, entry.quarantined) if entry else (gone.raw_rows, 0, 0)
        problems: list[str] = []
        without = forgotten.get(window, NONE)
        late = rows + gone.raw_rows - known if "raw" in gone.at else 0
        if late < 0:
            problems.append(
                f"raw holds {rows} rows and retention removed {gone.raw_rows}, but the ledger accounts for {known}"
            )
        elif "raw" not in gone.at and window not in queued and window not in held_back and rows != known:
            problems.append(f"raw holds {rows} rows but the ledger accounts for {known}")
        for table, holds, says in (("staging", shown[0], good), ("quarantine", shown[1], quarantined)):
            if table in gone.at and holds:
                problems.append(f"{table} holds {holds} rows but the ledger says that retention removed all")
            elif table not in gone.at and holds != says:
                problems.append(f"{table} holds {holds} rows but the ledger says {says}")
        if without.open:
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
                gone.raw_rows,
                max(late, 0),
                without.raw_rows,
                entry.conflicts if entry else 0,
            )
        )
    return tuple(audits)


def stale_windows(published: Sequence[PublishedWindow], pending: Sequence[Pending], raw: Mapping[str, int]) -> set[str]:
    """Windows whose counts in the ledger are not those of raw as it is now, so that raw itself must be counted."""
    known = {entry.window: entry.raw_rows for entry in published}
    return {window for window, rows in raw.items() if known.get(window) != rows} | {
        entry.window for entry in pending if entry.window in raw
    }


def unexplained_ranges(
    topic: str, partition: int, bounds: tuple[int, int], counts: Sequence[PartitionCount]
) -> list[OffsetRange]:
    """Where in the partition offsets may be missing from raw; empty when the counts alone prove that none is.

    `counts` are those of every window of this partition. A window that holds as many offsets as lie between its lowest
    and its highest holds all of them, so what such windows cover needs no look.
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
    """What is left of a range without the parts (inclusive ranges in any order, which may overlap), in order."""
    left: list[OffsetRange] = []
    position = whole.first
    for first, last in sorted(parts):
        if first > position:
            left.append(OffsetRange(whole.topic, whole.partition, position, min(first - 1, whole.last)))
        position = max(position, last + 1)
        if position > whole.last:
            return left
    left.append(OffsetRange(whole.topic, whole.partition, position, whole.last))
    return left


def runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted offsets as inclusive ranges without holes."""
    found: list[tuple[int, int]] = []
    for offset in offsets:
        if found and offset == found[-1][1] + 1:
            found[-1] = (found[-1][0], offset)
        else:
            found.append((offset, offset))
    return found
