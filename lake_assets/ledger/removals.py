"""Removals by retention: recorded before they are done, and again when they are done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.ledger import Ledger

Element = Literal["raw", "staging", "quarantine"]
ELEMENTS: tuple[Element, ...] = ("raw", "staging", "quarantine")
# An asset's own removals, and those of the raw table that it shares with the other versions of its dataset.
_OWN = "((asset = %(name)s and element <> 'raw') or (asset = %(dataset)s and element = 'raw'))"
# Topic, Kafka partition, first and last offset (inclusive).
Offsets = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Decision:
    """A removal of unknown outcome: a process died between the decision and the record that it was done."""

    id: int
    element: Element
    window: str
    sequence: int


def record_decision(
    ledger: Ledger,
    asset: Asset,
    element: Element,
    sequence: int,
    rows: Mapping[str, int],
    offsets: Mapping[str, Sequence[Offsets]],
) -> None:
    """Record, in one transaction, that these windows are about to be removed, with their rows by window."""
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        for window, count in rows.items():
            row = cursor.execute(
                'insert into ledger.removal (asset, element, "window", sequence, rows) values (%s, %s, %s, %s, %s) '
                "returning id",
                (asset.dataset if element == "raw" else asset.name, element, window, sequence, count),
            ).fetchone()
            assert row is not None
            cursor.executemany(
                "insert into ledger.removal_offsets (removal, topic, partition, first, last) "
                "values (%s, %s, %s, %s, %s)",
                [(row[0], *run) for run in offsets.get(window, ())],
            )


def open_decisions(ledger: Ledger, asset: Asset) -> list[Decision]:
    """Return removals that are not recorded as done, oldest first."""
    rows = ledger.connection.execute(
        f'select id, element, "window", sequence from ledger.removal where {_OWN} and removed_at is null order by id',
        _names(asset),
    ).fetchall()
    return [Decision(*row) for row in rows]


def close_decisions(ledger: Ledger, done: Sequence[int], not_done: Sequence[int]) -> None:
    """Record by id which removals were done, and delete the decisions of the others."""
    with ledger.connection.transaction():
        ledger.connection.execute("update ledger.removal set removed_at = now() where id = any(%s)", (list(done),))
        ledger.connection.execute("delete from ledger.removal where id = any(%s)", (list(not_done),))


def removed_offsets(ledger: Ledger, asset: Asset) -> dict[str, list[PartitionCount]]:
    """Return the offsets of raw rows that were removed, by window, as dense counts."""
    offsets: dict[str, list[PartitionCount]] = {}
    for window, topic, partition, first, last in ledger.connection.execute(
        'select r."window", o.topic, o.partition, o.first, o.last from ledger.removal as r '
        "join ledger.removal_offsets as o on o.removal = r.id "
        f"where {_OWN} and removed_at is not null order by topic, partition, first",
        _names(asset),
    ).fetchall():
        offsets.setdefault(window, []).append(PartitionCount.dense(topic, partition, first, last))
    return offsets


def _names(asset: Asset) -> dict[str, str]:
    return {"name": asset.name, "dataset": asset.dataset}


def orphan_files(ledger: Ledger, dataset: str) -> list[str]:
    """Return files of the dataset's raw table that were to be deleted and may still exist."""
    rows = ledger.connection.execute("select url from ledger.leftover_file where asset = %s", (dataset,)).fetchall()
    return [url for (url,) in rows]


def add_orphan_files(ledger: Ledger, dataset: str, urls: Sequence[str]) -> None:
    """Record files before the last snapshot that names them expires."""
    with ledger.connection.cursor() as cursor:
        cursor.executemany(
            "insert into ledger.leftover_file (asset, url) values (%s, %s) on conflict do nothing",
            [(dataset, url) for url in urls],
        )


def clear_orphan_files(ledger: Ledger, dataset: str) -> None:
    """Delete the records of these files: they are deleted, or still needed."""
    ledger.connection.execute("delete from ledger.leftover_file where asset = %s", (dataset,))
