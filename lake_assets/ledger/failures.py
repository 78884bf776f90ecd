"""Failures of windows in the ledger: their cause, tries and next try. `retries` decides, this module stores."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from psycopg.rows import class_row

from lake_assets.catalog.failure import Cause
from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import ALL, Failure, next_try, stands_for_all


def known_failures(ledger: Ledger, assets: Sequence[str] | None = None) -> list[Failure]:
    """Return the failures of all assets, or of the named ones, by asset and window."""
    with ledger.connection.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(
            'select asset, "window", cause, tries, failed_at, next_try, requested_at from ledger.failure '
            'where %(assets)s::text[] is null or asset = any(%(assets)s) order by asset, "window"',
            {"assets": None if assets is None else list(assets)},
        ).fetchall()


def record_failures(
    ledger: Ledger, asset: Asset, made: Collection[str], failed: Mapping[str, Cause], probed: bool
) -> None:
    """Record the result of a run for windows of the asset.

    `probed` means that one window was tried for all, and decided for the others. Windows that were built leave with the
    queue, see `Ledger.dequeue_windows`.
    """
    failures = known_failures(ledger, [asset.name])
    cause = next(iter(failed.values()), None) if probed and not made else None
    cause = cause or stands_for_all(failed, bool(made) or made_since(ledger, asset), failures)
    causes = {window: failure for window, failure in failed.items() if failure.tried or cause is None}
    with ledger.connection.transaction():
        if made:
            ledger.connection.execute(
                'delete from ledger.failure where asset = %s and "window" = %s', (asset.name, ALL)
            )
        save_failures(ledger, asset, failures, {**causes, ALL: cause} if cause else causes)


def made_since(ledger: Ledger, asset: Asset) -> bool:
    """Return whether a window of the asset was made since the first of its failures."""
    row = ledger.connection.execute(
        "select exists (select from ledger.window where asset = %(asset)s and published_at > "
        "(select min(failed_at) from ledger.failure where asset = %(asset)s))",
        {"asset": asset.name},
    ).fetchone()
    return bool(row and row[0])


def record_failed_run(ledger: Ledger, asset: Asset, cause: Cause) -> None:
    """Record that a run of the asset failed as a whole, independent of its windows."""
    save_failures(ledger, asset, known_failures(ledger, [asset.name]), {ALL: cause})


def save_failures(ledger: Ledger, asset: Asset, failures: Sequence[Failure], causes: Mapping[str, Cause]) -> None:
    """Record a cause for each of these windows, which have failed once more than in `failures`."""
    now = datetime.now(UTC)
    tries = {failure.window: failure.tries for failure in failures}
    with ledger.connection.cursor() as cursor:
        cursor.executemany(
            'insert into ledger.failure (asset, "window", cause, tries, failed_at, next_try) '
            'values (%s, %s, %s, %s, %s, %s) on conflict (asset, "window") do update set '
            "(cause, tries, failed_at, next_try, requested_at) = "
            "(excluded.cause, excluded.tries, excluded.failed_at, excluded.next_try, null)",
            [
                # Postgres does not store zero bytes in text.
                (asset.name, window, cause.sentence.replace("\0", "\\0"), count, now, next_try(cause, count, now))
                for window, cause in causes.items()
                for count in [tries.get(window, 0) + 1]
            ],
        )


def clear_failures(ledger: Ledger, asset: Asset, windows: Sequence[str]) -> None:
    """Delete the failures of windows that were built."""
    ledger.connection.execute(
        'delete from ledger.failure where asset = %s and "window" = any(%s)', (asset.name, list(windows))
    )


def mark_tries_requested(ledger: Ledger, assets: Collection[str]) -> None:
    """Record that a run was requested now for the asset's due failures."""
    ledger.connection.execute(
        "update ledger.failure set requested_at = %(now)s where asset = any(%(assets)s) and next_try <= %(now)s",
        {"now": datetime.now(UTC), "assets": list(assets)},
    )


def try_now(ledger: Ledger, assets: Collection[str], set_aside: bool) -> None:
    """Make the next try of all failures of the assets due now; with `set_aside` also of those a retry cannot fix."""
    ledger.connection.execute(
        "update ledger.failure set next_try = %s, requested_at = null "
        "where asset = any(%s) and (%s or next_try is not null)",
        (datetime.now(UTC), list(assets), set_aside),
    )
