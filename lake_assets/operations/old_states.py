"""Removes what is left of a window as it was before it was made again, which may be every few seconds."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from lake_assets.bucket import remove
from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.unreferenced_files import forget_superseded, superseded, undo_spans
from lake_assets.warehouse.protocol import Warehouse

# Whoever began to read the rows before has so much time.
_READERS = timedelta(hours=1)
_UNDO = timedelta(days=7)


def remove_old_states(ledger: Ledger, warehouse: Warehouse, now: datetime) -> int:
    """Lets the warehouse remove what only its older states need; how many files. Raises Unavailable.

    Nobody has to wait for it: what is replaced meanwhile was there within the last hour, and stays.
    """
    spans = [(began, ended or now) for began, ended in undo_spans(ledger, now - _UNDO)]
    return warehouse.remove_old_states(now - _READERS, spans)


def remove_superseded(ledger: Ledger, versions: Sequence[Asset], now: datetime) -> int:
    """Removes conformed files of the versions that no table shows any more; how many. The caller holds the dataset's
    lock. Raises OSError."""
    found = [url for asset in versions for url in superseded(ledger, asset, now - _READERS, now - _UNDO)]
    for url in found:
        remove(url)
    forget_superseded(ledger, found)
    return len(found)
