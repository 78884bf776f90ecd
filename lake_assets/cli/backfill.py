"""`lake backfill`."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lake_assets.catalog.model import Asset
    from lake_assets.catalog.window_results import WindowOutput
    from lake_assets.ledger.ledger import Pending
    from lake_assets.operations.backfill import Backfilled, BackfillPlan, Undo
    from lake_assets.settings import Settings


@click.command()
@click.argument("asset")
@click.option("--from", "first", metavar="WINDOW", help="The first window to make anew, such as 2026-01-01.")
@click.option("--to", "last", metavar="WINDOW", help="The last one, such as 2026-01-31.")
@click.option("--undo", "undoing", is_flag=True, help="Bring back what was published before the last backfill.")
@click.option("--yes", is_flag=True, help="Do not ask before it begins.")
def command(asset: str, first: str | None, last: str | None, undoing: bool, yes: bool) -> None:
    """Make windows of an asset anew from raw, for example after a bug in an entrypoint was mended.

    It shows how many windows, rows and bytes that are and how long it should take, and asks. Each window is written
    aside, checked and swapped like every window: one that fails its checks or is over its budget is held back, and the
    others go on. A few are made at a time, and what has landed meanwhile is made before the next few.

    When it is stopped, the same command goes on with the windows that are left.

    --undo brings the windows of the last backfill back to what was published before. Windows that were made again
    since, or in which events have landed since, keep what they have, and are named.

    Exit code 0 when all windows were made or brought back, 1 when one was held back, failed or kept what it has.

    \b
    Examples:
      lake backfill leads --from 2026-01-01 --to 2026-01-31
      lake backfill leads --from 2026-01-31 --to 2026-01-31 --yes
      lake backfill leads --undo
    """
    from lake_assets.cli.names import find
    from lake_assets.errors import LakeError
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.why import check_window
    from lake_assets.operations.unapplied import edited
    from lake_assets.settings import load_settings

    settings = load_settings()
    applied = applied_catalog(settings)
    assets = applied.assets
    found = find(assets, asset, settings.catalog)
    if sentence := edited(settings, applied, found.name):
        click.echo(sentence, err=True)
    if undoing:
        if first or last:
            raise LakeError("--undo takes the windows of the last backfill: leave out --from and --to.")
        sys.exit(_undo(settings, assets, found, yes))
    if first is None or last is None:
        raise LakeError("say which windows: --from WINDOW --to WINDOW, which may be the same one.")
    check_window(found, first)
    check_window(found, last)
    if first > last:
        raise LakeError(f"--from {first} is after --to {last}: swap them.")
    sys.exit(_backfill(settings, assets, found, first, last, yes))


def _backfill(
    settings: "Settings", assets: "Mapping[str, Asset]", asset: "Asset", first: str, last: str, yes: bool
) -> int:
    from lake_assets.operations.backfill import backfill, plan_backfill
    from lake_assets.orchestration.in_process import make_windows

    found = plan_backfill(settings, asset, first, last)
    _print_plan(asset.name, found)
    if not found.rows:
        return 0
    if not yes:
        click.confirm("Make them anew?", abort=True, err=True)

    def make(pending: "Sequence[Pending]") -> "Mapping[str, str]":
        return make_windows(settings, assets, pending, lambda step: click.echo(f"  {step}", err=True)).failed

    done = backfill(settings, assets, asset, first, last, make, lambda line: click.echo(f"  {line}", err=True))
    _print_done(asset.name, found, done)
    return 1 if done.held_back or done.left or done.failed else 0


def _undo(settings: "Settings", assets: "Mapping[str, Asset]", asset: "Asset", yes: bool) -> int:
    from lake_assets.operations.backfill import plan_undo, undo
    from lake_assets.orchestration.in_process import build_stale_marts, tell_published

    found = plan_undo(settings, asset)
    click.echo(f"{asset.name}: {_windows(found.windows)} can be brought back.")
    if not found.windows:
        _print_kept(asset.name, found)
        return 1
    if not yes:
        _print_kept(asset.name, found)
        click.confirm("Bring them back?", abort=True, err=True)

    def tell(outputs: "Sequence[WindowOutput]") -> None:
        tell_published(settings, asset, outputs)

    done = undo(settings, asset, tell)
    failed = build_stale_marts(settings, assets, lambda step: click.echo(f"  {step}", err=True))
    for step, reason in failed.items():
        click.echo(f"{step} failed: {reason}", err=True)
    _print_kept(asset.name, done)
    click.echo(f"{asset.name}: {_windows(done.windows)} are as they were before the backfill.")
    return 1 if done.kept or failed else 0


def _print_plan(asset: str, plan: "BackfillPlan") -> None:
    if plan.gone:
        click.echo(f"{asset}: raw has no rows any more of {_windows(plan.gone)}: left as they are.", err=True)
    if not plan.rows:
        click.echo(f"{asset}: raw has no windows from {plan.first} to {plan.last} that are to be made.")
        return
    if plan.goes_on:
        click.echo(
            f"{asset}: goes on with the backfill of {plan.goes_on:%Y-%m-%d %H:%M} UTC. "
            f"To begin anew instead: lake backfill {asset} --undo, and then this."
        )
    if plan.forgets:
        click.echo(
            f"{asset}: {plan.forgets:,} windows of the backfill before can no longer be brought back after this."
        )
    rows = sum(plan.rows.values())
    click.echo(f"{asset}: {_windows(tuple(plan.rows))}, {rows:,} rows, {plan.bytes / 1e6:,.1f} MB of raw files.")
    if plan.seconds is None:
        click.echo("Nobody knows how long it takes: none of them was made before.")
    else:
        click.echo(f"It takes about {_span(plan.seconds)} by what they took last, and the time of their marts.")


def _print_done(asset: str, plan: "BackfillPlan", done: "Backfilled") -> None:
    for step, reason in done.failed.items():
        click.echo(f"{step} failed: {reason}", err=True)
    for window, checks in done.held_back.items():
        click.echo(f"{asset} {window} is held back by {', '.join(checks)}: lake why {asset} {window}", err=True)
    if done.left:
        again = f"lake backfill {asset} --from {plan.first} --to {plan.last}"
        click.echo(f"{asset}: {_windows(done.left)} are left: {again}", err=True)
    click.echo(f"{asset}: {len(done.made):,} of {len(plan.rows):,} windows made anew.")


def _print_kept(asset: str, undo: "Undo") -> None:
    for window, reason in undo.kept.items():
        click.echo(f"{asset} {window} keeps what it has: {reason}.", err=True)


def _windows(windows: "Sequence[str]") -> str:
    if len(windows) == 1:
        return f"1 window, {windows[0]}"
    return f"{len(windows):,} windows" + (f", {windows[0]} to {windows[-1]}" if windows else "")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} minutes" if seconds < 5_400 else f"{seconds / 3_600:,.1f} hours"
