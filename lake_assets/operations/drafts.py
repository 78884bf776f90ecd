"""Contracts that may change in any way, because they are drafts or their tables are empty."""

from collections.abc import Sequence

from lake_assets.catalog.compare import Change
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.compile.raw_table import raw_table
from lake_assets.errors import LakeError
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_tables import compare_raw_tables, drop_raw_table, raw_location
from lake_assets.landing.snapshots import RawTableError
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removed_assets import delete_asset_rows
from lake_assets.ledger.window_states import window_states
from lake_assets.operations.orchestrator import Orchestrator
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse


class NotRebuilt(LakeError):
    """A change of a draft that its tables cannot follow from raw; the message has what to do instead."""


def empty_assets(ledger: Ledger, wanted: Catalog, applied: Catalog) -> set[str]:
    """Return the changed assets whose tables have no row."""
    changed = [
        asset
        for name, asset in wanted.assets.items()
        if name in applied.assets and applied.text(applied.assets[name]) != wanted.text(asset)
    ]
    return {asset.name for asset in changed if _is_empty(ledger, asset)}


def windows_to_rebuild(settings: Settings, ledger: Ledger, old: Asset, new: Asset, change: Change) -> list[str] | None:
    """Return the windows to rebuild from raw, in new tables, after a breaking change of a draft; None after others.

    Raises NotRebuilt for a change that concerns raw itself, or when raw no longer has all events.
    """
    if change.kind != "breaking" or not ("draft" in (old.status, new.status) or _is_empty(ledger, new)):
        return None
    _check(ledger, old, new)
    return _raw_windows(settings, new)


def recut_raw(settings: Settings, asset: Asset) -> None:
    """Drop an empty raw table that is partitioned by other windows, so that it is created again. Raises Unavailable."""
    (report,) = compare_raw_tables(settings, [raw_table(asset)])
    if report.outcome == "differs" and not window_rows(settings, asset):
        drop_raw_table(settings, raw_table(asset))


def rebuild_tables(
    ledger: Ledger,
    orchestrator: Orchestrator,
    warehouse: Warehouse,
    old: Asset,
    wanted: Catalog,
    windows: Sequence[str],
) -> None:
    """Create new, empty tables by the new contract, queue the windows, and record it as applied.

    The caller holds the dataset's lock. Until the contract is recorded, `lake apply` repeats all of it.
    """
    new = wanted.assets[old.name]
    warehouse.drop(old)
    delete_asset_rows(ledger, new)
    warehouse.ensure(new)
    ledger.queue_windows(new, windows)
    if old.window != new.window:
        orchestrator.replace_windows(ledger, new, windows)
    ledger.save_contract(new, wanted.text(new))


def _is_empty(ledger: Ledger, asset: Asset) -> bool:
    return not any(window.good or window.quarantined for window in ledger.windows(asset))


def _check(ledger: Ledger, old: Asset, new: Asset) -> None:
    moved = [
        name
        for name, before, after in (("domain", old.domain, new.domain), ("topic", old.topic, new.topic))
        if before != after
    ]
    if moved:
        raise NotRebuilt(
            f"the {' and the '.join(moved)} of {new.name} cannot change, because its events stay in the topic "
            f"{old.topic} and its raw table: take it out with `lake remove {new.name}`, then run `lake apply`."
        )
    lost = [window for window, state in window_states(ledger, old).items() if state.raw_is_lost]
    if lost:
        raise NotRebuilt(
            f"{new.name} cannot be rebuilt from raw, where retention has removed {len(lost)} windows: undo the "
            f"change, or make it in a copy with a new major version ({new.dataset}_v{max(new.major, 1) + 1}.yaml)."
        )


def _raw_windows(settings: Settings, asset: Asset) -> list[str]:
    try:
        is_missing = raw_location(settings, raw_table(asset)) is None
        return [] if is_missing else list(window_rows(settings, asset))
    except (RawTableError, OSError) as error:
        raise NotRebuilt(
            f"{error} Or let `lake apply` read its topic again after `lake remove {asset.name} --keep topic`."
        ) from error
