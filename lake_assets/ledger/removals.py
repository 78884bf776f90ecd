"""What retention has removed: written down before it is done, and again when it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from lake_assets.catalog.accounting import PartitionCount
from lake_assets.ledger.ledger import Ledger

Element = Literal["raw", "staging", "quarantine"]
ELEMENTS: tuple[Element, ...] = ("raw", "staging", "quarantine")
# Topic, Kafka partition, first and last offset (inclusive).
Offsets = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Removed:
    """What retention took of one window: when, by element, and the raw rows with their offsets as dense counts."""

    at: Mapping[Element, datetime] = field(default_factory=dict["Element", "datetime"])
    raw_rows: int = 0
    offsets: tuple[PartitionCount, ...] = ()


NOTHING = Removed()


@dataclass(frozen=True, slots=True)
class Decision:
    """A removal that may or may not have been done: a process died between deciding and writing that it was."""

    id: int
    element: Element
    window: str
    sequence: int


def decide(
    ledger: Ledger,
    asset: str,
    element: Element,
    sequence: int,
    rows: Mapping[str, int],
    offsets: Mapping[str, Sequence[Offsets]],
) -> None:
    """Writes down, in one transaction, that these windows are about to be removed, with their rows by window."""
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        for window, count in rows.items():
            found = cursor.execute(
                'insert into ledger.removal (asset, element, "window", sequence, rows) values (%s, %s, %s, %s, %s) '
                "returning id",
                (asset, element, window, sequence, count),
            ).fetchone()
            assert found is not None
            cursor.executemany(
                "insert into ledger.removal_offsets (removal, topic, partition, first, last) "
                "values (%s, %s, %s, %s, %s)",
                [(found[0], *run) for run in offsets.get(window, ())],
            )


def open_decisions(ledger: Ledger, asset: str) -> list[Decision]:
    """Removals of which nobody has written down that they were done, oldest first."""
    rows = ledger.connection.execute(
        'select id, element, "window", sequence from ledger.removal where asset = %s and removed_at is null '
        "order by id",
        (asset,),
    ).fetchall()
    return [Decision(*row) for row in rows]


def settle(ledger: Ledger, done: Sequence[int], not_done: Sequence[int]) -> None:
    """Writes down by id which removals were done, and forgets the others."""
    with ledger.connection.transaction():
        ledger.connection.execute("update ledger.removal set removed_at = now() where id = any(%s)", (list(done),))
        ledger.connection.execute("delete from ledger.removal where id = any(%s)", (list(not_done),))


def removed(ledger: Ledger, asset: str) -> dict[str, Removed]:
    """What was removed of each window of the asset; the time of an element is that of its last removal."""
    at: dict[str, dict[Element, datetime]] = {}
    raw_rows: dict[str, int] = {}
    offsets: dict[str, list[PartitionCount]] = {}
    for window, element, when, rows in ledger.connection.execute(
        'select "window", element, max(removed_at), sum(rows)::bigint from ledger.removal '
        'where asset = %s and removed_at is not null group by "window", element',
        (asset,),
    ).fetchall():
        at.setdefault(window, {})[element] = when
        if element == "raw":
            raw_rows[window] = rows
    for window, topic, partition, first, last in ledger.connection.execute(
        'select r."window", o.topic, o.partition, o.first, o.last from ledger.removal as r '
        "join ledger.removal_offsets as o on o.removal = r.id "
        "where r.asset = %s and r.removed_at is not null order by topic, partition, first",
        (asset,),
    ).fetchall():
        count = PartitionCount(topic, partition, last - first + 1, 0, 0, 0, 0, first, last)
        offsets.setdefault(window, []).append(count)
    return {w: Removed(when, raw_rows.get(w, 0), tuple(offsets.get(w, ()))) for w, when in at.items()}


def leftover_files(ledger: Ledger, asset: str) -> list[str]:
    """Files of the asset's raw table that were to be removed and may still be there."""
    rows = ledger.connection.execute("select url from ledger.leftover_file where asset = %s", (asset,)).fetchall()
    return [url for (url,) in rows]


def add_leftover_files(ledger: Ledger, asset: str, urls: Sequence[str]) -> None:
    """Remembers files before the last snapshot that names them goes."""
    with ledger.connection.cursor() as cursor:
        cursor.executemany(
            "insert into ledger.leftover_file (asset, url) values (%s, %s) on conflict do nothing",
            [(asset, url) for url in urls],
        )


def forget_leftover_files(ledger: Ledger, asset: str) -> None:
    """Forgets them: they are gone, or needed after all."""
    ledger.connection.execute("delete from ledger.leftover_file where asset = %s", (asset,))
