"""`lake run`."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import print_step, show, show_json
from lake_assets.printable import printable

if TYPE_CHECKING:
    from lake_assets.orchestration.in_process import RunReport


@click.command()
@click.argument("asset", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(asset: str | None, as_json: bool) -> None:
    """Build staging tables and marts from everything landed so far, once, and return when they are up to date.

    First waits until the records produced before its start have landed. The running stack (`lake up`) does the same
    continuously, so this command is for CI, cron and manual runs. It runs the applied contracts, metrics and models,
    and reports on stderr the files that are not applied.

    Failed windows are retried at once, without back-off. With ASSET, only that asset is built, and failures that are
    set aside because a retry cannot help are retried too.

    Exit code 0 when everything is up to date, 1 when a check holds back a window, a window cannot be built, a step
    failed, a raw table cannot be read, or produced records have not landed.

    \b
    Examples:
      lake produce leads leads.jsonl && lake run
      lake run leads
      lake run --json
    """
    from lake_assets.cli.asset_lookup import find
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.orchestration.in_process import run_once
    from lake_assets.settings import load_settings

    settings = load_settings()
    only = find(applied_catalog(settings).assets, asset) if asset else None
    report = run_once(settings, print_step, only)
    for sentence in report.unapplied.sentences:
        click.echo(sentence, err=True)
    if as_json:
        show_json(dataclasses.asdict(report))
    else:
        _print_results(report)
        _print_failures(report)
    failures = (report.failed, report.troubles, report.unreadable, report.held_back, report.under_way)
    sys.exit(1 if any(failures) else 0)


def _print_results(report: RunReport) -> None:
    rows = [
        (name, len(windows), f"{min(windows)} to {max(windows)}", ", ".join(report.held_back.get(name, [])))
        for name, windows in sorted(report.published.items())
    ]
    if rows:
        show(("asset", "windows built", "span", "held back"), rows)
    if report.marts:
        click.echo(f"Marts built: {', '.join(sorted(set(report.marts)))}.")
        for schema in report.closed:
            click.echo(f"Analysts cannot read {schema} yet: grant access with `lake apply`.")
    elif not rows and not report.failed and not report.troubles and not report.unreadable:
        click.echo("Nothing new has landed: staging tables and marts are up to date.")


def _print_failures(report: RunReport) -> None:
    for name, sentence in report.unreadable.items():
        click.echo(f"{name}: {sentence}", err=True)
    for trouble in report.troubles:
        click.echo(str(trouble), err=True)
    named = {f"conform_{trouble.asset}" for trouble in report.troubles}
    for step, reason in report.failed.items():
        if step not in named:
            click.echo(f"{step} failed: {printable(reason)}", err=True)
    for name, windows in report.held_back.items():
        click.echo(f"{name}: {len(windows)} windows held back by a check: `lake why {name} {windows[0]}`", err=True)
    if report.under_way:
        click.echo(f"{report.under_way} produced records have not landed: check `lake status`.", err=True)
