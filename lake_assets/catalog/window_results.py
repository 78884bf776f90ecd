"""Inputs and results of a window: the values that conform, warehouse and ledger exchange."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class WindowInput:
    """The raw files of one window at one snapshot; `rows` is their row count by the snapshot.

    `sizes` are the bytes of each file, in the order of `paths`; empty when they are not known.
    """

    window: str
    paths: tuple[str, ...]
    rows: int
    bytes: int
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionCount:
    """Row counts of one Kafka partition in one window; offsets are inclusive.

    `duplicates` counts both kinds; `redelivered` are those of them whose offset had been seen before.
    """

    topic: str
    partition: int
    raw: int
    good: int
    quarantined: int
    duplicates: int
    redelivered: int
    min_offset: int
    max_offset: int

    @classmethod
    def dense(cls, topic: str, partition: int, first: int, last: int) -> "PartitionCount":
        """Return the count of raw rows that have all offsets from `first` to `last`."""
        return cls(topic, partition, last - first + 1, 0, 0, 0, 0, first, last)


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """Result of one contract check on the good rows of one window before they were published."""

    name: str
    value: Decimal | None
    passed: bool
    blocking: bool


@dataclass(frozen=True, slots=True)
class UnknownField:
    """An undeclared key of the payload in one window. `rows` counts the rows that have it with a value of `type`.

    `type` is a JSON type: string, integer, number, boolean, object, array or null.
    """

    name: str
    type: str
    rows: int


@dataclass(frozen=True, slots=True)
class WindowOutput:
    """Result of conforming one window: unpublished files, and their row counts.

    `conflicts` counts the duplicates by key that differ in another field from the row that was kept.
    """

    window: str
    raw_rows: int
    partitions: tuple[PartitionCount, ...]
    good_files: tuple[str, ...]
    quarantine_files: tuple[str, ...]
    bytes: int
    checks: tuple[CheckOutcome, ...]
    unknown: tuple[UnknownField, ...] = ()
    conflicts: int = 0

    @property
    def good(self) -> int:
        return sum(count.good for count in self.partitions)

    @property
    def quarantined(self) -> int:
        return sum(count.quarantined for count in self.partitions)

    @property
    def duplicates(self) -> int:
        return sum(count.duplicates for count in self.partitions)

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """Names of the blocking checks that failed."""
        return tuple(check.name for check in self.checks if check.blocking and not check.passed)

    def imbalance(self) -> str | None:
        """Return a sentence about the difference between raw and result, or None when every row is accounted for."""
        for count in self.partitions:
            if count.raw != count.good + count.quarantined + count.duplicates:
                return (
                    f"{count.topic}[{count.partition}] has {count.raw} raw rows but {count.good} good, "
                    f"{count.quarantined} quarantined and {count.duplicates} duplicates"
                )
        conformed = sum(count.raw for count in self.partitions)
        if conformed != self.raw_rows:
            return f"the snapshot has {self.raw_rows} rows but {conformed} were conformed"
        return None
