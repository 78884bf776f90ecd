"""What goes into a window and what came of it: the values that conform, warehouse and ledger hand to each other."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class WindowInput:
    """The raw files of one window at one snapshot; `rows` is what the snapshot says they hold."""

    window: str
    paths: tuple[str, ...]
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PartitionCount:
    """What became of one Kafka partition's records in one window; offsets are inclusive.

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


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """One contract check, judged on the good rows of one window before they were published."""

    name: str
    value: Decimal | None
    passed: bool
    blocking: bool


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A key of the payload that the contract does not declare, in one window: `type` is JSON's word for its values
    (string, integer, number, boolean, object, array, null), `rows` those that had it with a value of that type."""

    name: str
    type: str
    rows: int


@dataclass(frozen=True, slots=True)
class WindowOutput:
    """What conform made of one window: files that nothing reads yet, and the numbers to judge them by.

    `conflicts` counts the duplicates by key that differ in another field from the row that stayed.
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
        """The sentence that says how raw and outcome differ, or None when every row is accounted for."""
        for count in self.partitions:
            if count.raw != count.good + count.quarantined + count.duplicates:
                return (
                    f"{count.topic}[{count.partition}] has {count.raw} raw rows but {count.good} good, "
                    f"{count.quarantined} quarantined and {count.duplicates} duplicates"
                )
        judged = sum(count.raw for count in self.partitions)
        if judged != self.raw_rows:
            return f"the snapshot holds {self.raw_rows} rows but {judged} were judged"
        return None
