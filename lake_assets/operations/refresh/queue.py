"""Queue of windows: fill it with what raw tables received, and choose a run's windows from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lake_assets.catalog.model import Asset
from lake_assets.conform.isolate import sample
from lake_assets.landing.changes import Limit, changes
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.ledger.retries import Lane, select_entries
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Observed:
    """Windows that raw tables received, and new cursors, by asset; `unreadable` has the causes of unreadable tables.

    `postponed` are the assets with changes that a limit left for the next call.
    """

    landed: dict[str, list[Landed]]
    cursors: dict[str, str]
    unreadable: dict[str, str]
    postponed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RequestedWindows:
    """Windows that a run is to bring up to date. The `probe` is tried first, and the others only when it succeeds."""

    windows: Collection[str]
    probe: str | None = None


def observe(
    settings: Settings,
    ledger: Ledger,
    assets: Sequence[Asset],
    since: Mapping[str, str],
    limit: Limit | None = None,
) -> Observed:
    """Queue the windows that raw tables received since the cursors; with a limit, the rest is left for the next call.

    The cost depends on the changes only. Queueing is idempotent, so reading twice from the same cursors is harmless. An
    unreadable table is recorded and does not affect the others.
    """
    raw = changes(settings, assets, since, limit)
    landed = {
        name: [Landed(w.window, w.sequence, w.rows, w.bytes, w.files, w.min_offset, w.max_offset) for w in windows]
        for name, windows in raw.windows.items()
    }
    moved = {name: cursor for name, cursor in raw.cursors.items() if since.get(name) != cursor}
    readable = raw.cursors.keys() - raw.unreadable.keys() - {*raw.postponed}
    ledger.record_landed(moved, landed, raw.unreadable, readable)
    return Observed(landed, raw.cursors, raw.unreadable, raw.postponed)


def queued_windows(ledger: Ledger, asset: Asset) -> list[str]:
    """Return the asset's queued windows, in window order."""
    return sorted({entry.window for entry in ledger.pending([asset.name])})


def windows_of_lane(ledger: Ledger, asset: Asset, lane: Lane) -> RequestedWindows:
    """Return the asset's queued windows for a run of this lane.

    When all windows of the asset failed, one is the probe: a random one, because a fixed one may be the only bad one.
    """
    entries, failing = select_entries(
        lane, ledger.pending([asset.name]), known_failures(ledger, [asset.name]), datetime.now(UTC)
    )
    windows = {entry.window for entry in entries}
    probes = sample(sorted(windows))[:1] if failing.get(asset.name) else []
    return RequestedWindows(windows, next(iter(probes), None))
