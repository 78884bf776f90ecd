"""The last backfill of each asset: which of its windows are left, and what had been published before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from lake_assets.catalog.json_codec import from_json
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Backfill:
    """The last backfill of an asset, over the windows `first` to `last`; `ended_at` is None while some are left."""

    first: str
    last: str
    contract_version: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Before:
    """A window that the last backfill published at `published_at`, and what had been published before.

    What was then is None when nothing had been; `kept` is None too when the ledger did not keep files at that time.
    `undoing` is for an undo that began and did not end.
    """

    window: str
    undoing: bool
    published_at: datetime
    contract_version: str | None
    run_id: str | None
    engine: str | None
    seconds: float | None
    output: str | None

    @property
    def kept(self) -> WindowOutput | None:
        return None if self.output is None else from_json(WindowOutput, self.output)


def last_backfill(ledger: Ledger, asset: Asset) -> Backfill | None:
    """The asset's last backfill, None when there was none."""
    with ledger.connection.cursor(row_factory=class_row(Backfill)) as cursor:
        return cursor.execute(
            "select first, last, contract_version, began_at, ended_at from ledger.backfill where asset = %s",
            (asset.name,),
        ).fetchone()


def begin(ledger: Ledger, asset: Asset, first: str, last: str, windows: Sequence[str]) -> None:
    """Puts a new backfill in the place of the last one, whose windows can no longer be brought back then."""
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        cursor.execute("delete from ledger.backfill where asset = %s", (asset.name,))
        cursor.execute(
            "insert into ledger.backfill (asset, first, last, contract_version) values (%s, %s, %s, %s)",
            (asset.name, first, last, asset.version),
        )
        cursor.executemany(
            'insert into ledger.backfill_window (asset, "window") values (%s, %s)',
            [(asset.name, window) for window in windows],
        )


def ask(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Queues windows of the backfill; whoever publishes them next makes them for it."""
    with ledger.connection.transaction():
        _move(ledger, asset, windows, "asked")
        ledger.request(asset, windows)


def end(ledger: Ledger, asset: Asset) -> None:
    """Ends the backfill: what is published from now on is no part of it."""
    with ledger.connection.transaction():
        ledger.connection.execute(
            "update ledger.backfill set ended_at = coalesce(ended_at, now()) where asset = %s", (asset.name,)
        )
        ledger.connection.execute(
            "update ledger.backfill_window set state = 'left' where asset = %s and state = 'asked'",
            (asset.name,),
        )


def left(ledger: Ledger, asset: Asset) -> list[str]:
    """The windows that the last backfill has not published, in order."""
    rows = ledger.connection.execute(
        'select "window" from ledger.backfill_window where asset = %s '
        "and state in ('left', 'asked') order by \"window\"",
        (asset.name,),
    ).fetchall()
    return [window for (window,) in rows]


def made(ledger: Ledger, asset: Asset) -> list[Before]:
    """The windows that the last backfill published and no undo has brought back, in order."""
    with ledger.connection.cursor(row_factory=class_row(Before)) as cursor:
        return cursor.execute(
            "select \"window\", state = 'undoing' as undoing, published_at, contract_version, run_id, engine, "
            "seconds, output from ledger.backfill_window "
            "where asset = %s and state in ('made', 'undoing') order by \"window\"",
            (asset.name,),
        ).fetchall()


def begin_undo(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Queues windows that are about to be brought back: if that dies they are made anew, whatever it left."""
    with ledger.connection.transaction():
        _move(ledger, asset, windows, "undoing")
        ledger.request(asset, windows)


def end_undo(ledger: Ledger, asset: Asset, windows: Sequence[str], sequence: int) -> None:
    """Takes windows off the queue that were brought back, as a raw snapshot of that sequence number has them."""
    with ledger.connection.transaction():
        _move(ledger, asset, windows, "undone")
        ledger.dequeue(asset, windows, sequence)


def _move(ledger: Ledger, asset: Asset, windows: Sequence[str], state: str) -> None:
    ledger.connection.execute(
        'update ledger.backfill_window set state = %s where asset = %s and "window" = any(%s)',
        (state, asset.name, list(windows)),
    )
