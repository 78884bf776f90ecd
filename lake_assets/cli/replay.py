"""`lake replay`."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show, show_json
from lake_assets.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lake_assets.catalog.model import Asset
    from lake_assets.operations.replay import Replayed, Selection
    from lake_assets.settings import Settings


@click.command()
@click.argument("asset")
@click.option("--code", metavar="CODE", help="Only windows with rows that break this rule, such as enum.")
@click.option("--window", metavar="WINDOW", help="Only this window, such as 2026-01-31.")
@click.option("--where", metavar="SQL", help="Only windows with rows that match this condition.")
@click.option("--dry-run", is_flag=True, help="Show the rows to replay, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(asset: str, code: str | None, window: str | None, where: str | None, dry_run: bool, as_json: bool) -> None:
    """Conform quarantined events again after the contract was fixed, and publish those that pass.

    Rebuilds each window with matching events as a whole, from raw, by the applied contract. So all quarantined rows of
    these windows are validated again. Safe to repeat, and to run while new events land. After an additive change,
    `lake apply` queues the replay by itself; this command does it now, for the chosen windows, and reports the result.

    --where is evaluated over one row for each broken rule: _window, topic, partition, offset, key, payload, code,
    field, value, message, contract_version, run_id, first_seen.

    Exit code 0 when all windows were rebuilt, even if rows are still in quarantine; 1 when a window was held back or
    failed.

    \b
    Examples:
      lake replay leads --dry-run
      lake replay leads --code enum --window 2026-01-31
      lake replay leads --where "field = 'amount' and value like '%,%'"
    """
    from lake_assets.cli.window_builder import window_builder
    from lake_assets.operations.replay import replay, select
    from lake_assets.settings import load_settings

    settings = load_settings()
    assets, chosen = _choose(settings, asset, window)
    selection = select(settings, chosen, code, window, where)
    if not as_json:
        _print_selection(asset, selection)
    if dry_run or not selection.windows:
        if as_json:
            show_json(dataclasses.asdict(selection))
        return
    replayed = replay(settings, chosen, selection, window_builder(settings, assets))
    _print_replayed(asset, replayed, as_json=as_json)
    sys.exit(1 if replayed.failed or replayed.held_back else 0)


def _choose(settings: Settings, name: str, window: str | None) -> tuple[Mapping[str, Asset], Asset]:
    """Return the applied assets and the named one. Print a warning when its file differs from the applied contract."""
    from lake_assets.cli.asset_lookup import find
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.why import check_window
    from lake_assets.operations.unapplied import edited

    applied = applied_catalog(settings)
    chosen = find(applied.assets, name, settings.catalog)
    if sentence := edited(settings, applied, chosen.name):
        click.echo(sentence, err=True)
    if window is not None:
        check_window(chosen, window)
    return applied.assets, chosen


def _print_selection(asset: str, selection: Selection) -> None:
    windows = selection.windows
    if not windows:
        click.echo(f"{asset}: nothing in quarantine matches.")
        return
    if selection.broken:
        rows = [(broken.code, broken.field or "", broken.rows, broken.windows) for broken in selection.broken]
        show(("reason", "field", "rows", "windows"), rows)
    held_back = f", {len(selection.held_back)} of them held back by a check" if selection.held_back else ""
    span = windows[0] if len(windows) == 1 else f"{windows[0]} to {windows[-1]}"
    click.echo(f"{asset}: {selection.rows:,} rows in quarantine in {len(windows):,} windows, {span}{held_back}.")


def _print_replayed(asset: str, replayed: Replayed, *, as_json: bool) -> None:
    if as_json:
        show_json(dataclasses.asdict(replayed))
        return
    for step, reason in replayed.failed.items():
        click.echo(f"{step} failed: {printable(reason)}", err=True)
    for window, checks in replayed.held_back.items():
        click.echo(f"{asset} {window} is held back by {', '.join(checks)}: `lake why {asset} {window}`", err=True)
    repeats = f", {replayed.repeats:,} repeat an event that staging has" if replayed.repeats else ""
    reasons = ", ".join(f"{b.rows:,} {b.code}" + (f" of {b.field}" if b.field else "") for b in replayed.broken)
    failing = f"{replayed.failing:,} still fail ({reasons})" if replayed.failing else "none still fails"
    click.echo(f"{asset}: {replayed.passed:,} rows passed{repeats}, {failing}.")
