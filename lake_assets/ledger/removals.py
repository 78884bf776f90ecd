"""Removals by retention: recorded before they are done, and again when they are done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TABLES, TableName
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.ledger import Ledger

Element = Literal["raw"] | TableName
ELEMENTS: tuple[Element, ...] = ("raw", *TABLES)
# An asset's own removals, and those of the raw table that it shares with the other versions of its dataset.
_OWN = "(asset = %(name)s or dataset = %(dataset)s)"
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
    owner = (None, asset.dataset) if element == "raw" else (asset.name, None)
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        for window, count in rows.items():
            row = cursor.execute(
                'insert into ledger.removal (asset, dataset, element, "window", sequence, rows) '
                "values (%s, %s, %s, %s, %s, %s) returning id",
                (*owner, element, window, sequence, count),
            ).fetchone()
            assert row is not None
            cursor.executemany(
                "insert into ledger.removal_offsets (removal, topic, partition, first, last) "
                "values (%s, %s, %s, %s, %s)",
                [(row[0], *run) for run in offsets.get(window, ())],
            )


def unsettled(ledger: Ledger, assets: Sequence[Asset]) -> list[Asset]:
    """Return those of the assets with a decision, by retention or erasure, that is not recorded as done."""
    rows = ledger.connection.execute(
        "select name from unnest(%(names)s::text[], %(datasets)s::text[]) as n (name, dataset) where exists ("
        "select from ledger.removal as r where (r.asset = n.name or r.dataset = n.dataset) and removed_at is null) "
        "or exists (select from ledger.receipt as r where r.dataset = n.dataset and rewritten_at is null)",
        {"names": [asset.name for asset in assets], "datasets": [asset.dataset for asset in assets]},
    ).fetchall()
    names = {name for (name,) in rows}
    return [asset for asset in assets if asset.name in names]


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
    return removed_offsets_by_asset(ledger, [asset])[asset.name]


def removed_offsets_by_asset(ledger: Ledger, assets: Sequence[Asset]) -> dict[str, dict[str, list[PartitionCount]]]:
    """Return the `removed_offsets` of each of the assets, read in one statement."""
    offsets: dict[str, dict[str, list[PartitionCount]]] = {asset.name: {} for asset in assets}
    for name, window, topic, partition, first, last in ledger.connection.execute(
        'select n.name, r."window", o.topic, o.partition, o.first, o.last '
        "from unnest(%(names)s::text[], %(datasets)s::text[]) as n (name, dataset) "
        "join ledger.removal as r on r.asset = n.name or r.dataset = n.dataset "
        "join ledger.removal_offsets as o on o.removal = r.id "
        "where removed_at is not null order by topic, partition, first",
        {"names": [asset.name for asset in assets], "datasets": [asset.dataset for asset in assets]},
    ).fetchall():
        offsets[name].setdefault(window, []).append(PartitionCount.dense(topic, partition, first, last))
    return offsets


def clear_table_removals(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Delete the removals of windows from staging and quarantine, which have their rows again after a publication."""
    ledger.connection.execute(
        'delete from ledger.removal where asset = %s and "window" = any(%s)', (asset.name, list(windows))
    )


def _names(asset: Asset) -> dict[str, str]:
    return {"name": asset.name, "dataset": asset.dataset}


def orphan_files(ledger: Ledger, dataset: str) -> list[str]:
    """Return files of the dataset's raw table that were to be deleted and may still exist."""
    rows = ledger.connection.execute("select url from ledger.leftover_file where dataset = %s", (dataset,)).fetchall()
    return [url for (url,) in rows]


def add_orphan_files(ledger: Ledger, dataset: str, urls: Sequence[str]) -> None:
    """Record files before the last snapshot that names them expires."""
    with ledger.connection.cursor() as cursor:
        cursor.executemany(
            "insert into ledger.leftover_file (dataset, url) values (%s, %s) on conflict do nothing",
            [(dataset, url) for url in urls],
        )


def clear_orphan_files(ledger: Ledger, dataset: str) -> None:
    """Delete the records of these files: they are deleted, or still needed."""
    ledger.connection.execute("delete from ledger.leftover_file where dataset = %s", (dataset,))
