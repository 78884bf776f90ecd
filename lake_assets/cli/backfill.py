"""`lake backfill`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import print_step
from lake_assets.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lake_assets.catalog.model import Asset
    from lake_assets.catalog.window_results import WindowOutput
    from lake_assets.operations.backfill import Backfilled, BackfillPlan, Undo
    from lake_assets.settings import Settings


@click.command()
@click.argument("asset")
@click.option("--from", "first", metavar="WINDOW", help="First window to rebuild, such as 2026-01-01.")
@click.option("--to", "last", metavar="WINDOW", help="Last window to rebuild, such as 2026-01-31.")
@click.option("--undo", "undoing", is_flag=True, help="Restore the windows as they were before the last backfill.")
@click.option("--yes", is_flag=True, help="Start without asking for confirmation.")
def command(asset: str, first: str | None, last: str | None, undoing: bool, yes: bool) -> None:
    """Rebuild windows of an asset from raw, for example after a bug in an entrypoint was fixed.

    Shows the number of windows, rows and bytes and an estimate of the time, and asks for confirmation. Each window is
    written to new files, checked and swapped as usual. A window that fails its checks or is over its quarantine budget
    is held back; the others continue. Windows are rebuilt in batches; newly landed events are processed in between.

    A stopped backfill is resumed by the same command.

    --undo restores the windows of the last backfill as they were published before it. Windows that were rebuilt or
    received events since then are not changed, and are reported.

    Exit code 0 when all windows were rebuilt or restored, 1 when a window was held back, failed or was not restored.

    \b
    Examples:
      lake backfill leads --from 2026-01-01 --to 2026-01-31
      lake backfill leads --from 2026-01-31 --to 2026-01-31 --yes
      lake backfill leads --undo
    """
    from lake_assets.cli.asset_lookup import find
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.unapplied import edited
    from lake_assets.settings import load_settings

    settings = load_settings()
    applied = applied_catalog(settings)
    chosen = find(applied.assets, asset, settings.catalog)
    if sentence := edited(settings, applied, chosen.name):
        click.echo(sentence, err=True)
    span = _span_of(chosen, first, last, undoing=undoing)
    if span is None:
        sys.exit(_undo(settings, applied.assets, chosen, yes))
    sys.exit(_backfill(settings, applied.assets, chosen, *span, yes))


def _span_of(asset: Asset, first: str | None, last: str | None, *, undoing: bool) -> tuple[str, str] | None:
    """Return the first and the last window to rebuild, None to undo. Raises LakeError when the options do not fit."""
    from lake_assets.errors import LakeError
    from lake_assets.ledger.why import check_window

    if undoing:
        if first or last:
            raise LakeError("--undo restores the windows of the last backfill: leave out --from and --to.")
        return None
    if first is None or last is None:
        raise LakeError("no windows were given: name the first and the last with --from WINDOW --to WINDOW.")
    check_window(asset, first)
    check_window(asset, last)
    if first > last:
        raise LakeError(f"--from {first} is after --to {last}: swap them.")
    return first, last


def _backfill(settings: Settings, assets: Mapping[str, Asset], asset: Asset, first: str, last: str, yes: bool) -> int:
    from lake_assets.cli.window_builder import window_builder
    from lake_assets.operations.backfill import backfill, plan_backfill

    planned = plan_backfill(settings, asset, first, last)
    _print_plan(asset.name, planned)
    if not planned.rows:
        return 0
    if not yes:
        click.confirm("Rebuild them?", abort=True, err=True)

    build = window_builder(settings, assets)
    done = backfill(settings, assets, asset, first, last, build, log=print_step)
    _print_done(asset.name, planned, done)
    return 1 if done.held_back or done.left or done.failed else 0


def _undo(settings: Settings, assets: Mapping[str, Asset], asset: Asset, yes: bool) -> int:
    from lake_assets.operations.backfill import plan_undo, undo
    from lake_assets.orchestration.in_process import build_stale_marts, report_published

    planned = plan_undo(settings, asset)
    click.echo(f"{asset.name}: {_windows(planned.windows)} can be restored.")
    if not planned.windows:
        _print_kept(asset.name, planned)
        return 1
    if not yes:
        _print_kept(asset.name, planned)
        click.confirm("Restore them?", abort=True, err=True)

    def report(outputs: Sequence[WindowOutput]) -> None:
        report_published(settings, asset, outputs)

    done = undo(settings, asset, report)
    failed = build_stale_marts(settings, assets, print_step)
    for step, reason in failed.items():
        click.echo(f"{step} failed: {printable(reason)}", err=True)
    _print_kept(asset.name, done)
    click.echo(f"{asset.name}: {_windows(done.windows)} restored.")
    return 1 if done.kept or failed else 0


def _print_plan(asset: str, plan: BackfillPlan) -> None:
    if plan.missing_raw:
        click.echo(f"{asset}: not rebuilt, because raw has no rows left: {_windows(plan.missing_raw)}.", err=True)
    if not plan.rows:
        click.echo(f"{asset}: raw has no windows to rebuild from {plan.first} to {plan.last}.")
        return
    if plan.unfinished_since:
        click.echo(
            f"{asset}: resumes the backfill of {plan.unfinished_since:%Y-%m-%d %H:%M} UTC. "
            f"To start over instead, run `lake backfill {asset} --undo` first."
        )
    if plan.unrestorable:
        click.echo(f"{asset}: {plan.unrestorable:,} windows of the previous backfill cannot be restored after this.")
    rows = sum(plan.rows.values())
    click.echo(f"{asset}: {_windows(tuple(plan.rows))}, {rows:,} rows, {plan.bytes / 1e6:,.1f} MB of raw files.")
    if plan.seconds is None:
        click.echo("No estimate: these windows were never built.")
    else:
        click.echo(f"Estimate: {_span(plan.seconds)} as in their last builds, plus the time of their marts.")


def _print_done(asset: str, plan: BackfillPlan, done: Backfilled) -> None:
    for step, reason in done.failed.items():
        click.echo(f"{step} failed: {printable(reason)}", err=True)
    for window, checks in done.held_back.items():
        click.echo(f"{asset} {window} is held back by {', '.join(checks)}: `lake why {asset} {window}`", err=True)
    if done.left:
        resume = f"`lake backfill {asset} --from {plan.first} --to {plan.last}`"
        click.echo(f"{asset}: not rebuilt: {_windows(done.left)}. To resume: {resume}", err=True)
    click.echo(f"{asset}: {len(done.made):,} of {len(plan.rows):,} windows rebuilt.")


def _print_kept(asset: str, undo: Undo) -> None:
    for window, reason in undo.kept.items():
        click.echo(f"{asset} {window} is not restored: {reason}.", err=True)


def _windows(windows: Sequence[str]) -> str:
    if len(windows) == 1:
        return f"1 window, {windows[0]}"
    return f"{len(windows):,} windows" + (f", {windows[0]} to {windows[-1]}" if windows else "")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} minutes" if seconds < 5_400 else f"{seconds / 3_600:,.1f} hours"
