"""State of the windows of an asset: published, queued, held back, removed by retention, erased."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import HeldBack, Ledger, PublishedWindow
from lake_assets.ledger.removals import Element


@dataclass(frozen=True, slots=True)
class WindowState:
    """State of one window of an asset.

    `published` describes what readers see. `queued_rows` are landed rows in the queue; None if the window is not
    queued, 0 if only its contract changed. `removed_at` has the time of the last removal by retention of raw and of
    each table, `removed_rows` the raw rows. `erased_rows` are raw rows of erased subjects; None without any erasure.
    """

    published: PublishedWindow | None = None
    queued_rows: int | None = None
    held_back: HeldBack | None = None
    removed_at: Mapping[Element, datetime] = field(default_factory=dict[Element, datetime])
    removed_rows: int = 0
    erased_rows: int | None = None
    is_being_erased: bool = False

    @property
    def is_queued(self) -> bool:
        return self.queued_rows is not None

    @property
    def is_at_rest(self) -> bool:
        """Return True if the window shows all that landed: it is neither queued nor held back."""
        return not self.is_queued and self.held_back is None

    @property
    def raw_is_lost(self) -> bool:
        """Return True if retention removed raw rows, so that raw alone no longer makes the whole window."""
        return "raw" in self.removed_at

    @property
    def can_rebuild(self) -> bool:
        """Return False if retention removed raw rows and rows of a table: nothing makes the whole window then."""
        return not self.raw_is_lost or len(self.removed_at) == 1

    @property
    def raw_rows(self) -> int:
        """Raw rows that the published window was built from."""
        return self.published.raw_rows if self.published else 0

    @property
    def accounted_rows(self) -> int:
        """Raw rows that the ledger knows. A version added after their removal was never built from them."""
        return self.published.raw_rows if self.published else self.removed_rows


NO_STATE = WindowState()

_PUBLISHED = (
    "sequence, contract_version, run_id, engine, raw_rows, good, quarantined, duplicates, raw_bytes, seconds, "
    "published_at, conflicts"
)
# The versions of a dataset share raw, so removals from raw and erasures are those of the dataset.
_STATES = f"""\
with named (asset, dataset) as (select * from unnest(%(assets)s::text[], %(datasets)s::text[])),
published as (
  select asset, "window", {_PUBLISHED} from ledger.window where asset = any(%(assets)s) and {{chosen}}
),
queued as (
  select asset, "window", sum(rows)::bigint as queued_rows
  from ledger.pending where asset = any(%(assets)s) and {{chosen}} group by 1, 2
),
held_back as (
  select asset, "window", run_id as held_by, checks, held_at, sentence
  from ledger.held_back where asset = any(%(assets)s) and {{chosen}}
),
removed as (
  select
    n.asset,
    "window",
    max(removed_at) filter (where element = 'raw') as raw_removed_at,
    max(removed_at) filter (where element = 'staging') as staging_removed_at,
    max(removed_at) filter (where element = 'quarantine') as quarantine_removed_at,
    coalesce(sum(rows) filter (where element = 'raw'), 0)::bigint as removed_rows
  from named as n
  join ledger.removal as r on r.asset = n.asset or r.dataset = n.dataset
  where removed_at is not null and {{chosen}} group by 1, 2
),
erased as (
  select
    n.asset,
    "window",
    coalesce(sum(w.raw) filter (where rewritten_at is not null), 0)::bigint as erased_rows,
    bool_or(done_at is null) as is_being_erased
  from named as n
  join ledger.receipt as r on r.dataset = n.dataset
  join ledger.forgotten_window as w on w.receipt = r.id
  where {{chosen}} group by 1, 2
)
select
  asset, "window", {_PUBLISHED}, queued_rows, held_by, checks, held_at, sentence,
  raw_removed_at, staging_removed_at, quarantine_removed_at, removed_rows, erased_rows, is_being_erased
from published
full join queued using (asset, "window")
full join held_back using (asset, "window")
full join removed using (asset, "window")
full join erased using (asset, "window")
order by asset, "window"
"""


def window_states(ledger: Ledger, asset: Asset, windows: Collection[str] | None = None) -> dict[str, WindowState]:
    """Return the states of the asset's windows, or of these windows, in order; a window without a state is left out."""
    return window_states_by_asset(ledger, [asset], windows)[asset.name]


def window_states_by_asset(
    ledger: Ledger, assets: Sequence[Asset], windows: Collection[str] | None = None
) -> dict[str, dict[str, WindowState]]:
    """Return what `window_states` returns of each asset, by name, with one query for all of them."""
    rows = ledger.connection.execute(
        _STATES.format(chosen="true" if windows is None else '"window" = any(%(windows)s)'),
        {
            "assets": [asset.name for asset in assets],
            "datasets": [asset.dataset for asset in assets],
            "windows": None if windows is None else list(windows),
        },
    ).fetchall()
    states: dict[str, dict[str, WindowState]] = {asset.name: {} for asset in assets}
    for asset, window, *values in rows:
        states[asset][window] = window_state(asset, window, values)
    return states


def window_state(asset: str, window: str, values: Sequence[Any]) -> WindowState:
    """Return the state of one row of the query: twelve values of the publication, then the others in its order."""
    published, (queued_rows, held_by, checks, held_at, sentence, raw, staging, quarantine, removed_rows, *erased) = (
        values[:12],
        values[12:],
    )
    times: dict[Element, datetime | None] = {"raw": raw, "staging": staging, "quarantine": quarantine}
    erased_rows, is_being_erased = erased
    return WindowState(
        published=None if published[0] is None else PublishedWindow(asset, window, *published),
        queued_rows=queued_rows,
        held_back=None if held_by is None else HeldBack(asset, window, held_by, checks, held_at, sentence),
        removed_at={element: time for element, time in times.items() if time is not None},
        removed_rows=removed_rows or 0,
        erased_rows=erased_rows,
        is_being_erased=bool(is_being_erased),
    )
