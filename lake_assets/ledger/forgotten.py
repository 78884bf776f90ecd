"""Erasures of `lake forget`: receipts, and by window the erased rows and offsets, which the audit must not miss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lake_assets.catalog.json_codec import from_json
from lake_assets.catalog.window_results import PartitionCount, WindowOutput
from lake_assets.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Rows:
    """Row counts of one window, by place."""

    raw: int
    staging: int
    quarantine: int


@dataclass(frozen=True, slots=True)
class OffsetRun:
    """Offsets `first` to `last` (inclusive) of one window; `in_raw` if raw had them."""

    window: str
    topic: str
    partition: int
    first: int
    last: int
    in_raw: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """One erasure of a subject, whose hash can later prove which subject it was.

    `done_at` is None during the erasure. `sequence` is that of the raw snapshot in which the rows were found, `files`
    the raw files that contained them.
    """

    id: int
    dataset: str
    fields: tuple[str, ...]
    hash: str
    salt: str | None
    checksum: str
    sequence: int
    files: tuple[str, ...]
    files_deleted: int
    decided_at: datetime
    done_at: datetime | None
    windows: Mapping[str, Rows]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An erasure of a subject that was started and is not done: it is running, or its process died."""

    dataset: str
    checksum: str
    decided_at: datetime
    windows: tuple[str, ...]

    def __str__(self) -> str:
        return f"the erasure of a subject that was started on {self.decided_at:%Y-%m-%d %H:%M} UTC is not finished"

    @property
    def command(self) -> str:
        """Return the command that finishes it; it needs no key of the subject."""
        return f"lake forget {self.dataset} --confirm {self.checksum}"


def decide_to_forget(
    ledger: Ledger,
    dataset: str,
    fields: Sequence[str],
    hashed: tuple[str, str | None],
    *,
    checksum: str,
    sequence: int,
    files: Sequence[str],
    windows: Mapping[str, Rows],
    runs: Sequence[OffsetRun],
) -> int:
    """Record, in one transaction, the rows about to be erased; return the receipt's id. `hashed` is hash and salt."""
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        row = cursor.execute(
            "insert into ledger.receipt (dataset, fields, hash, salt, checksum, sequence, files) "
            "values (%s, %s, %s, %s, %s, %s, %s) returning id",
            (dataset, list(fields), *hashed, checksum, sequence, list(files)),
        ).fetchone()
        assert row is not None
        cursor.executemany(
            'insert into ledger.forgotten_window (receipt, "window", raw, staging, quarantine) '
            "values (%s, %s, %s, %s, %s)",
            [(row[0], window, rows.raw, rows.staging, rows.quarantine) for window, rows in windows.items()],
        )
        cursor.executemany(
            'insert into ledger.forgotten_offsets (receipt, "window", topic, partition, first, last, in_raw) '
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [(row[0], r.window, r.topic, r.partition, r.first, r.last, r.in_raw) for r in runs],
        )
    return row[0]


def receipts(ledger: Ledger, dataset: str) -> list[Receipt]:
    """Return the dataset's receipts, oldest first."""
    windows: dict[int, dict[str, Rows]] = {}
    for receipt, window, *numbers in ledger.connection.execute(
        'select receipt, "window", w.raw, w.staging, w.quarantine from ledger.forgotten_window as w '
        'join ledger.receipt as r on r.id = receipt where dataset = %s order by "window"',
        (dataset,),
    ).fetchall():
        windows.setdefault(receipt, {})[window] = Rows(*numbers)
    rows = ledger.connection.execute(
        "select id, dataset, fields, hash, salt, checksum, sequence, files, files_deleted, decided_at, done_at "
        "from ledger.receipt where dataset = %s order by id",
        (dataset,),
    ).fetchall()
    return [
        Receipt(
            number,
            name,
            tuple(fields),
            hashed,
            salt,
            checksum,
            sequence,
            tuple(files),
            deleted,
            decided,
            done,
            windows.get(number, {}),
        )
        for number, name, fields, hashed, salt, checksum, sequence, files, deleted, decided, done in rows
    ]


def unfinished(ledger: Ledger) -> list[Unfinished]:
    """Return the erasures of all datasets that are not done, oldest first."""
    rows = ledger.connection.execute(
        'select dataset, checksum, decided_at, array_agg("window" order by "window") from ledger.receipt as r '
        "join ledger.forgotten_window on receipt = r.id where done_at is null group by r.id order by r.id"
    ).fetchall()
    return [Unfinished(dataset, checksum, decided, tuple(windows)) for dataset, checksum, decided, windows in rows]


def forgotten_runs(ledger: Ledger, receipt: int) -> list[OffsetRun]:
    """Return the offsets of one receipt."""
    rows = ledger.connection.execute(
        'select "window", topic, partition, first, last, in_raw from ledger.forgotten_offsets where receipt = %s '
        "order by topic, partition, first",
        (receipt,),
    ).fetchall()
    return [OffsetRun(*row) for row in rows]


def not_rewritten(ledger: Ledger, dataset: str) -> list[tuple[int, list[str]]]:
    """Return receipts whose raw rewrite is not yet recorded, with the files that contained the rows."""
    return ledger.connection.execute(
        "select id, files from ledger.receipt where dataset = %s and rewritten_at is null order by id", (dataset,)
    ).fetchall()


def set_rewritten(ledger: Ledger, receipt: int) -> None:
    """Record that raw is rewritten without the rows."""
    ledger.connection.execute(
        "update ledger.receipt set rewritten_at = now() where id = %s and rewritten_at is null", (receipt,)
    )


def add_files_deleted(ledger: Ledger, receipt: int, files: int) -> None:
    """Add to the count of deleted files."""
    ledger.connection.execute(
        "update ledger.receipt set files_deleted = files_deleted + %s where id = %s", (files, receipt)
    )


def set_done(ledger: Ledger, receipt: int) -> None:
    """Record that the erasure is done."""
    ledger.connection.execute("update ledger.receipt set done_at = now() where id = %s", (receipt,))


def set_counts(
    ledger: Ledger,
    receipt: int,
    counts: Mapping[str, Mapping[str, Sequence[PartitionCount]]],
) -> None:
    """Set windows' row counts, by asset, to those without the erased rows; in one transaction."""
    listed = [
        ((asset, window), partitions) for asset, windows in counts.items() for window, partitions in windows.items()
    ]
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        for key, partitions in listed:
            cursor.executemany(
                "update ledger.window_partition set raw = %s, good = %s, quarantined = %s, duplicates = %s "
                'where asset = %s and "window" = %s and topic = %s and partition = %s',
                [(p.raw, p.good, p.quarantined, p.duplicates, *key, p.topic, p.partition) for p in partitions],
            )
            cursor.execute(
                "update ledger.window as w set (raw_rows, good, quarantined, duplicates) = ("
                "select coalesce(sum(raw), 0), coalesce(sum(good), 0), coalesce(sum(quarantined), 0), "
                'coalesce(sum(duplicates), 0) from ledger.window_partition as p where (p.asset, p."window") = '
                '(w.asset, w."window")) where asset = %s and "window" = %s',
                key,
            )
        cursor.execute("update ledger.receipt set counted_at = now() where id = %s", (receipt,))


def is_counted(ledger: Ledger, receipt: int) -> bool:
    """Return True if the windows' counts are already without the rows."""
    row = ledger.connection.execute(
        "select counted_at is not null from ledger.receipt where id = %s", (receipt,)
    ).fetchone()
    return bool(row and row[0])


def files_made_since(ledger: Ledger, receipt: int, asset: str, windows: Sequence[str]) -> set[str]:
    """Return the files of these windows that were written after the rows were erased from the tables."""
    rows = ledger.connection.execute(
        "select output from ledger.window as w join ledger.receipt as r on w.published_at > r.counted_at "
        'where r.id = %s and w.asset = %s and "window" = any(%s) and output is not null',
        (receipt, asset, list(windows)),
    ).fetchall()
    outputs = [from_json(WindowOutput, text) for (text,) in rows]
    return {path for output in outputs for path in (*output.good_files, *output.quarantine_files)}


def erased_offsets(ledger: Ledger, datasets: Sequence[str]) -> dict[str, dict[str, list[PartitionCount]]]:
    """Return the offsets of erased raw rows of each dataset, by window, as dense counts, read in one statement."""
    offsets: dict[str, dict[str, list[PartitionCount]]] = {dataset: {} for dataset in datasets}
    for dataset, window, topic, partition, first, last in ledger.connection.execute(
        'select dataset, "window", topic, partition, first, last from ledger.forgotten_offsets '
        "join ledger.receipt as r on r.id = receipt "
        "where dataset = any(%s) and in_raw and rewritten_at is not null order by topic, partition, first",
        (list(datasets),),
    ).fetchall():
        offsets[dataset].setdefault(window, []).append(PartitionCount.dense(topic, partition, first, last))
    return offsets
