"""The last backfill of each asset: its remaining windows, and the earlier publications of the others."""

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
    """The last backfill of an asset, over the windows `first` to `last`; `ended_at` is None while some remain."""

    first: str
    last: str
    contract_version: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Before:
    """A window that the last backfill published at `published_at`, and its earlier publication.

    The fields of the earlier publication are None if there was none; `kept` is also None if the ledger did not store
    files at that time. `undoing` marks an undo that began and did not end.
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
    """Return the asset's last backfill, None if there was none."""
    with ledger.connection.cursor(row_factory=class_row(Backfill)) as cursor:
        return cursor.execute(
            "select first, last, contract_version, began_at, ended_at from ledger.backfill where asset = %s",
            (asset.name,),
        ).fetchone()


def start_backfill(ledger: Ledger, asset: Asset, first: str, last: str, windows: Sequence[str]) -> None:
    """Record a new backfill in place of the last one, whose windows can then no longer be restored."""
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


def request_windows(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Queue windows of the backfill; their next publication belongs to it."""
    with ledger.connection.transaction():
        _move(ledger, asset, windows, "asked")
        ledger.queue_windows(asset, windows)


def end_backfill(ledger: Ledger, asset: Asset) -> None:
    """End the backfill: later publications do not belong to it."""
    with ledger.connection.transaction():
        ledger.connection.execute(
            "update ledger.backfill set ended_at = coalesce(ended_at, now()) where asset = %s", (asset.name,)
        )
        ledger.connection.execute(
            "update ledger.backfill_window set state = 'left' where asset = %s and state = 'asked'",
            (asset.name,),
        )


def remaining_windows(ledger: Ledger, asset: Asset) -> list[str]:
    """Return the windows that the last backfill has not published, in order."""
    rows = ledger.connection.execute(
        'select "window" from ledger.backfill_window where asset = %s '
        "and state in ('left', 'asked') order by \"window\"",
        (asset.name,),
    ).fetchall()
    return [window for (window,) in rows]


def published_windows(ledger: Ledger, asset: Asset) -> list[Before]:
    """Return the windows that the last backfill published and no undo has restored, in order."""
    with ledger.connection.cursor(row_factory=class_row(Before)) as cursor:
        return cursor.execute(
            "select \"window\", state = 'undoing' as undoing, published_at, contract_version, run_id, engine, "
            "seconds, output from ledger.backfill_window "
            "where asset = %s and state in ('made', 'undoing') order by \"window\"",
            (asset.name,),
        ).fetchall()


def record_backfill_publication(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Record that windows of a backfill are about to be published, in the transaction of their publication.

    Stores the earlier publication, which an undo restores.
    """
    ledger.connection.execute(
        "update ledger.backfill_window as b set state = 'made', published_at = now(), "
        "contract_version = w.contract_version, run_id = w.run_id, engine = w.engine, seconds = w.seconds, "
        "output = w.output from ledger.backfill_window as own "
        'left join ledger.window as w using (asset, "window") '
        "where own.asset = %s and own.\"window\" = any(%s) and own.state = 'asked' "
        'and (b.asset, b."window") = (own.asset, own."window")',
        (asset.name, list(windows)),
    )
    # Until a backfill or an undo has ended, a window may be built twice: a run died before the window left the queue.
    ledger.connection.execute(
        "update ledger.backfill_window as b set published_at = now() from ledger.backfill as whole "
        'where b.asset = %s and b."window" = any(%s) and whole.asset = b.asset '
        "and (b.state = 'undoing' or (b.state = 'made' and whole.ended_at is null))",
        (asset.name, list(windows)),
    )


def begin_undo(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Queue windows that are about to be restored: if the undo crashes, they are rebuilt."""
    with ledger.connection.transaction():
        _move(ledger, asset, windows, "undoing")
        ledger.queue_windows(asset, windows)


def end_undo(ledger: Ledger, asset: Asset, windows: Sequence[str], sequence: int) -> None:
    """Remove restored windows from the queue, for a raw snapshot of that sequence number."""
    with ledger.connection.transaction():
        _move(ledger, asset, windows, "undone")
        ledger.dequeue_windows(asset, windows, sequence)


def _move(ledger: Ledger, asset: Asset, windows: Sequence[str], state: str) -> None:
    ledger.connection.execute(
        'update ledger.backfill_window set state = %s where asset = %s and "window" = any(%s)',
        (state, asset.name, list(windows)),
    )
