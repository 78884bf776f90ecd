"""`lake replay`."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lake_assets.ledger.ledger import Pending
    from lake_assets.operations.replay import Replayed, Selection


@click.command()
@click.argument("asset")
@click.option("--code", metavar="CODE", help="Only windows with rows that broke this rule, such as enum.")
@click.option("--window", metavar="WINDOW", help="Only this window, such as 2026-01-31.")
@click.option("--where", metavar="SQL", help="Only windows with rows for which this condition holds.")
@click.option("--dry-run", is_flag=True, help="Show what would be judged again, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def command(asset: str, code: str | None, window: str | None, where: str | None, dry_run: bool, as_json: bool) -> None:
    """Judge the events in quarantine again, after a contract was mended, and let those that pass into their windows.

    The windows that hold matching events are made again as wholes, from raw, by the applied contract: whatever else
    of them is in quarantine is judged too. Calling it twice, or while new events land, changes nothing more.
    An additive change is replayed by itself after lake apply; this command does it at once, for what you name, and says
    what came of it.

    --where sees one row for each broken rule: _window, topic, partition, offset, key, payload, code, field, value,
    message, contract_version, run_id, first_seen.

    Exit code 0 when all windows were made, whatever is still in quarantine; 1 when one was held back or failed.

    \b
    Examples:
      lake replay leads --dry-run
      lake replay leads --code enum --window 2026-01-31
      lake replay leads --where "field = 'amount' and value like '%,%'"
    """
    import dataclasses

    from lake_assets.cli.names import find
    from lake_assets.cli.tables import show_json
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.why import check_window
    from lake_assets.operations.replay import replay, select
    from lake_assets.operations.unapplied import edited
    from lake_assets.orchestration.in_process import make_windows
    from lake_assets.settings import load_settings

    settings = load_settings()
    applied = applied_catalog(settings)
    assets = applied.assets
    found = find(assets, asset, settings.catalog)
    if sentence := edited(settings, applied, found.name):
        click.echo(sentence, err=True)
    if window is not None:
        check_window(found, window)
    selection = select(settings, found, code, window, where)
    if not as_json:
        _print_selection(asset, selection)
    if dry_run or not selection.windows:
        if as_json:
            show_json(dataclasses.asdict(selection))
        return

    def make(pending: "Sequence[Pending]") -> "Mapping[str, str]":
        return make_windows(settings, assets, pending, lambda step: click.echo(f"  {step}", err=True)).failed

    replayed = replay(settings, found, selection, make)
    if as_json:
        show_json(dataclasses.asdict(replayed))
    else:
        _print_replayed(asset, replayed)
    sys.exit(1 if replayed.failed or replayed.held_back else 0)


def _print_selection(asset: str, selection: "Selection") -> None:
    from lake_assets.cli.tables import show

    windows = selection.windows
    if not windows:
        click.echo(f"{asset}: nothing in quarantine matches.")
        return
    if selection.broken:
        rows = [(broken.code, broken.field or "", broken.rows, broken.windows) for broken in selection.broken]
        show(("reason", "field", "rows", "windows"), rows)
    held = f", {len(selection.held_back)} of them held back by a check" if selection.held_back else ""
    span = windows[0] if len(windows) == 1 else f"{windows[0]} to {windows[-1]}"
    click.echo(f"{asset}: {selection.rows:,} rows in quarantine in {len(windows):,} windows, {span}{held}.")


def _print_replayed(asset: str, replayed: "Replayed") -> None:
    for step, reason in replayed.failed.items():
        click.echo(f"{step} failed: {reason}", err=True)
    for window, checks in replayed.held_back.items():
        click.echo(f"{asset} {window} is held back by {', '.join(checks)}: lake why {asset} {window}", err=True)
    repeats = f", {replayed.repeats:,} repeat an event that staging has" if replayed.repeats else ""
    told = ", ".join(f"{b.rows:,} {b.code}" + (f" of {b.field}" if b.field else "") for b in replayed.broken)
    failing = f"{replayed.failing:,} still fail ({told})" if replayed.failing else "none still fails"
    click.echo(f"{asset}: {replayed.passed:,} rows passed{repeats}, {failing}.")
