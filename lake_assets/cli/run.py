"""`lake run`."""

import sys

import click


@click.command()
@click.argument("asset", required=False)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def command(asset: str | None, as_json: bool) -> None:
    """Turn everything landed so far into staging tables and marts, once, and return when that is done.

    It first waits until what was produced before it started has landed. With `lake up` the same happens by itself, so
    this is for CI, cron and the impatient. It runs what is applied, and names on stderr what is in files only.

    Windows that failed before are tried again at once, without the pause that the stack would make. What is set aside,
    because trying again cannot help, is tried again for an ASSET that is named; then nothing else is done.

    Exit code 0 when all is up to date, 1 when a window was held back by a check or cannot be made, a step failed, a raw
    table cannot be read, or records that were produced have not landed.

    \b
    Examples:
      lake produce leads leads.jsonl && lake run
      lake run leads
      lake run --json
    """
    import dataclasses

    from lake_assets.cli.names import find
    from lake_assets.cli.tables import show, show_json
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.orchestration.in_process import run_once
    from lake_assets.settings import load_settings

    settings = load_settings()
    only = find(applied_catalog(settings).assets, asset) if asset else None
    report = run_once(settings, lambda step: click.echo(f"  {step}", err=True), only)
    for sentence in report.unapplied.sentences:
        click.echo(sentence, err=True)
    if as_json:
        show_json(dataclasses.asdict(report))
    else:
        rows = [
            (name, len(windows), f"{min(windows)} to {max(windows)}", ", ".join(report.held_back.get(name, [])))
            for name, windows in sorted(report.published.items())
        ]
        if rows:
            show(("asset", "windows made", "span", "held back"), rows)
        if report.marts:
            click.echo(f"Marts built: {', '.join(sorted(set(report.marts)))}.")
            for schema in report.closed:
                click.echo(f"Analysts may not read {schema} yet: open it with 'lake apply'.")
        elif not rows and not report.failed and not report.troubles and not report.unreadable:
            click.echo("Nothing new has landed: staging tables and marts are up to date.")
        for name, sentence in report.unreadable.items():
            click.echo(f"{name}: {sentence}", err=True)
        for trouble in report.troubles:
            click.echo(str(trouble), err=True)
        named = {f"conform_{trouble.asset}" for trouble in report.troubles}
        for step, reason in report.failed.items():
            if step not in named:
                click.echo(f"{step} failed: {reason}", err=True)
        for name, windows in report.held_back.items():
            click.echo(f"{name}: {len(windows)} windows held back by a check: lake why {name} {windows[0]}", err=True)
        if report.under_way:
            click.echo(f"{report.under_way} produced records have not landed: look at 'lake status'.", err=True)
    wrong = (report.failed, report.troubles, report.unreadable, report.held_back, report.under_way)
    sys.exit(1 if any(wrong) else 0)
