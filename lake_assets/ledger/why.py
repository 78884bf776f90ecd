"""The state of a window in words. Pure: the sentences follow from the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_form, window_start
from lake_assets.errors import LakeError
from lake_assets.ledger.forgotten import Unfinished
from lake_assets.ledger.ledger import HeldBack, Pending, PublishedWindow
from lake_assets.ledger.removals import Element
from lake_assets.ledger.retries import Trouble
from lake_assets.ledger.window_states import NO_STATE


def check_window(asset: Asset, window: str) -> None:
    """Raise LakeError when the text is not a window of the asset."""
    try:
        window_start(window, asset.window)
    except ValueError:
        form = datetime(2026, 1, 31, 13).strftime(window_form(asset.window))
        raise LakeError(
            f"'{window}' is not a window of {asset.name}, whose windows are a {asset.window} long: write it as {form}."
        ) from None


def verdict(
    asset: Asset,
    published: PublishedWindow | None,
    pending: Sequence[Pending],
    held_back: HeldBack | None,
    *,
    removed_at: Mapping[Element, datetime] = NO_STATE.removed_at,
    erasure: Unfinished | None = None,
    trouble: Trouble | None = None,
) -> tuple[str, str]:
    """Return the state of one window, and what to do next.

    `removed_at` has the times of removals by retention. `erasure` is an open one with rows in the window, `trouble` the
    reason it cannot be built.
    """
    state, following = _verdict(asset, published, pending, held_back, trouble)
    if erasure:
        text = str(erasure)
        return f"{text[0].upper()}{text[1:]}. {state}", f"Unless a process is running it: `{erasure.command}`"
    if not removed_at:
        return state, following
    removals = " and ".join(f"{element} on {time:%Y-%m-%d %H:%M} UTC" for element, time in sorted(removed_at.items()))
    if "raw" in removed_at:
        state = "Events that land for it now are accounted for, but not shown."
        following = "Nothing."
    return f"Removed by retention: {removals}. {state}", following


def _verdict(
    asset: Asset,
    published: PublishedWindow | None,
    pending: Sequence[Pending],
    held_back: HeldBack | None,
    trouble: Trouble | None,
) -> tuple[str, str]:
    rows = sum(entry.rows for entry in pending)
    if trouble is not None and pending:
        subject = "this window" if trouble.windows else "all windows of the asset"
        visible = "what was published before" if published else "nothing"
        state = f"Failed, for {subject}: {trouble.cause.rstrip('.')}. {trouble.history} Readers still see {visible}."
        return state, trouble.remedy
    if held_back is not None:
        state = (
            f"Held back on {held_back.held_at:%Y-%m-%d %H:%M} UTC: {', '.join(held_back.checks)} failed, "
            f"so readers still see {'what was published before' if published else 'nothing'}."
        )
        if held_back.sentence:
            remedy = "Fix the contract, its budget or the producer, then run `lake apply`."
            return f"{state} {held_back.sentence}", remedy
        return (
            state,
            f"Check the rows (`lake quarantine {asset.name}`), fix the data or the check, then run `lake apply`.",
        )
    if published is None and not pending:
        return "Nothing has landed in this window.", f"Check that its events were produced: `lake audit {asset.name}`."
    if pending:
        contract = any(entry.reason == "contract" for entry in pending)
        cause = "the contract changed" if contract and not rows else f"{rows} rows landed since"
        state = f"Out of date: {cause}."
        return state, "It is rebuilt automatically while the stack is up, or at once with `lake run`."
    assert published is not None
    if published.quarantined:
        return (
            f"Up to date, with {published.quarantined} of {published.raw_rows} rows in quarantine.",
            f"See the reasons: `lake quarantine {asset.name}`.",
        )
    return "Up to date: every row is accounted for.", "Nothing."
