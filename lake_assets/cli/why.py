"""`lake why`."""

import click

from lake_assets.printable import printable


@click.command()
@click.argument("asset")
@click.argument("window", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the same as one JSON object.")
def command(asset: str, window: str | None, as_json: bool) -> None:
    """Explain the state of a window, and where its rows came from. Without WINDOW, list all windows of the asset.

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
    chosen = find(applied_catalog(settings).assets, asset, settings.catalog)
    if window is not None:
        check_window(chosen, window)
    with Ledger(settings) as ledger:
        find_abandoned(ledger, {chosen.name: chosen})
        published = {entry.window: entry for entry in ledger.windows(chosen, window)}
        pending = [entry for entry in ledger.pending([chosen.name]) if window in (None, entry.window)]
        held_back = {entry.window: entry for entry in ledger.held_back(chosen) if window in (None, entry.window)}
        removals = removed(ledger, chosen)
        erasures = {
            name: receipt
            for receipt in unfinished(ledger)
            if receipt.dataset == chosen.dataset
            for name in receipt.windows
        }
        counts = [count for _, count in ledger.partitions(chosen, window)] if window else []
        failures, unreadable = known_failures(ledger, [chosen.name]), ledger.unreadable_raw(chosen)
    names = [window] if window else sorted({*published, *held_back, *(entry.window for entry in pending), *erasures})
    verdicts = {
        name: verdict(
            chosen,
            published.get(name),
            [e for e in pending if e.window == name],
            held_back.get(name),
            removals.get(name, NOTHING),
            erasures.get(name),
            trouble_of(chosen.name, name, failures),
        )
        for name in names
    }
    if as_json:
        show_json(
            {
                "asset": chosen.name,
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
            click.echo(f"{chosen.name}: {printable(unreadable)}")
        elif not names:
            click.echo(f"No events of {chosen.name} have landed yet: send some with `lake produce {chosen.name} FILE`.")
        if not names:
            return
        show(
            ("window", "raw", "good", "quarantined", "duplicates", "state"),
            [(name, *_numbers(published.get(name)), verdicts[name][0]) for name in names],
        )
        return
    state, next_step = verdicts[window]
    click.echo(f"{chosen.name} {window} (contract {chosen.path.name} {chosen.version}, topic {chosen.topic})\n")
    click.echo(f"State   {printable(state)}\nNext    {next_step}\n")
    if unreadable:
        click.echo(f"Raw     {printable(unreadable)}\n")
    if (entry := published.get(window)) is not None:
        click.echo(
            f"Built   {entry.published_at:%Y-%m-%d %H:%M:%S} UTC by run {entry.run_id} with {entry.engine}, "
            f"contract version {entry.contract_version}, raw sequence {entry.sequence}, {entry.seconds:.2f} s"
        )
        click.echo(
            f"Rows    {entry.raw_rows} raw = {entry.good} good + {entry.quarantined} quarantined "
            f"+ {entry.duplicates} duplicates"
            + (f", {entry.conflicts} of which differ from the kept row of their key" if entry.conflicts else "")
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
