"""`lake why`."""

import click


@click.command()
@click.argument("asset")
@click.argument("window", required=False)
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def command(asset: str, window: str | None, as_json: bool) -> None:
    """Explain where a window's rows came from, or why they are missing. Without WINDOW, one line for each window.

    A window is a day (2026-01-31) or an hour (2026-01-31-13:00) of the event time in UTC.

    \b
    Examples:
      lake why leads
      lake why leads 2026-01-31
    """
    import dataclasses

    from lake_assets.cli.names import find
    from lake_assets.cli.tables import show, show_json
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.attempts import find_abandoned
    from lake_assets.ledger.failures import known_failures
    from lake_assets.ledger.forgotten import unfinished
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.ledger.removals import NOTHING, removed
    from lake_assets.ledger.retries import trouble_of
    from lake_assets.ledger.why import check_window, verdict
    from lake_assets.settings import load_settings

    settings = load_settings()
    found = find(applied_catalog(settings).assets, asset, settings.catalog)
    if window is not None:
        check_window(found, window)
    with Ledger(settings) as ledger:
        find_abandoned(ledger, {found.name: found})
        published = {entry.window: entry for entry in ledger.windows(found, window)}
        pending = [entry for entry in ledger.pending([found.name]) if window in (None, entry.window)]
        held = {entry.window: entry for entry in ledger.held_back(found) if window in (None, entry.window)}
        gone = removed(ledger, found)
        begun = {name: one for one in unfinished(ledger) if one.dataset == found.dataset for name in one.windows}
        counts = [count for _, count in ledger.partitions(found, window)] if window else []
        failures, unreadable = known_failures(ledger, [found.name]), ledger.unreadable_raw(found)
    names = [window] if window else sorted({*published, *held, *(entry.window for entry in pending), *begun})
    verdicts = {
        name: verdict(
            found,
            published.get(name),
            [e for e in pending if e.window == name],
            held.get(name),
            gone.get(name, NOTHING),
            begun.get(name),
            trouble_of(found.name, name, failures),
        )
        for name in names
    }
    if as_json:
        show_json(
            {
                "asset": found.name,
                "unreadable": unreadable,
                "windows": [
                    {
                        "window": name,
                        "state": verdicts[name][0],
                        "next": verdicts[name][1],
                        "published": dataclasses.asdict(published[name]) if name in published else None,
                    }
                    for name in names
                ],
                "partitions": [dataclasses.asdict(count) for count in counts],
            }
        )
        return
    if window is None:
        if unreadable:
            click.echo(f"{found.name}: {unreadable}")
        elif not names:
            click.echo(f"Nothing of {found.name} has landed yet: send some with lake produce {found.name} FILE.")
        if not names:
            return
        show(
            ("window", "raw", "good", "quarantined", "duplicates", "state"),
            [(name, *_numbers(published.get(name)), verdicts[name][0]) for name in names],
        )
        return
    state, next_step = verdicts[window]
    click.echo(f"{found.name} {window} (contract {found.path.name} {found.version}, topic {found.topic})\n")
    click.echo(f"State   {state}\nNext    {next_step}\n")
    if unreadable:
        click.echo(f"Raw     {unreadable}\n")
    if (entry := published.get(window)) is not None:
        click.echo(
            f"Made    {entry.published_at:%Y-%m-%d %H:%M:%S} UTC by run {entry.run_id} with {entry.engine}, "
            f"contract version {entry.contract_version}, raw sequence {entry.sequence}, {entry.seconds:.2f} s"
        )
        click.echo(
            f"Rows    {entry.raw_rows} raw = {entry.good} good + {entry.quarantined} quarantined "
            f"+ {entry.duplicates} duplicates"
            + (f", {entry.conflicts} of which differ from the row of their key that stayed" if entry.conflicts else "")
            + "\n"
        )
        show(
            ("topic", "partition", "offsets", "raw", "good", "quarantined", "duplicates"),
            [
                (c.topic, c.partition, f"{c.min_offset} to {c.max_offset}", c.raw, c.good, c.quarantined, c.duplicates)
                for c in counts
            ],
        )


def _numbers(entry: object) -> tuple[int, int, int, int]:
    from lake_assets.ledger.ledger import PublishedWindow

    if not isinstance(entry, PublishedWindow):
        return 0, 0, 0, 0
    return entry.raw_rows, entry.good, entry.quarantined, entry.duplicates
