"""Attempts in the ledger: the windows that a run is making, so that one that dies is found and counted as a failure.

There is one for each asset, and while it is made its run holds the lock of the dataset. When the lock is free, the
attempt was abandoned.
"""

from collections.abc import Collection, Mapping

from lake_assets.catalog.model import Asset
from lake_assets.ledger.failures import known_failures, made_since, save_failures
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import causes_of_death


def begin_attempt(ledger: Ledger, asset: Asset, windows: Collection[str]) -> None:
    """Record that these windows, and no others of the asset, are made from now on."""
    ledger.connection.execute(
        "insert into ledger.attempt (asset, windows) values (%s, %s) "
        "on conflict (asset) do update set windows = excluded.windows, began_at = now()",
        (asset.name, list(windows)),
    )


def end_attempt(ledger: Ledger, asset: Asset) -> None:
    """Record that no window of the asset is being made: what came of them is on record."""
    ledger.connection.execute("delete from ledger.attempt where asset = %s", (asset.name,))


def record_abandoned(ledger: Ledger, asset: Asset) -> None:
    """Record an abandoned attempt as a failure of its windows. The caller holds the dataset's lock."""
    with ledger.connection.transaction():
        row = ledger.connection.execute(
            "delete from ledger.attempt where asset = %s returning windows", (asset.name,)
        ).fetchone()
        if row is None:
            return
        known = known_failures(ledger, [asset.name])
        causes = causes_of_death(row[0], made_since(ledger, asset), known)
        # The run that was requested for the others is no more, either.
        ledger.connection.execute("update ledger.failure set requested_at = null where asset = %s", (asset.name,))
        save_failures(ledger, asset, known, causes)


def find_abandoned(ledger: Ledger, assets: Mapping[str, Asset]) -> None:
    """Record the abandoned attempts of these assets; where no run is making anything, this is one query."""
    begun = ledger.connection.execute(
        "select asset from ledger.attempt where asset = any(%s)", (list(assets),)
    ).fetchall()
    for (name,) in begun:
        with ledger.alone(f"dataset:{assets[name].dataset}") as is_abandoned:
            if is_abandoned:
                record_abandoned(ledger, assets[name])
