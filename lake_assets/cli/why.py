"""`lake why`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show, show_json
from lake_assets.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lake_assets.catalog.window_results import PartitionCount
    from lake_assets.ledger.ledger import PublishedWindow
    from lake_assets.operations.explain import AssetReport


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
    from lake_assets.cli.asset_lookup import find
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.why import check_window
    from lake_assets.operations.explain import explain
    from lake_assets.settings import load_settings

    settings = load_settings()
    chosen = find(applied_catalog(settings).assets, asset, settings.catalog)
    if window is not None:
        check_window(chosen, window)
    report = explain(settings, chosen, window)
    if as_json:
        show_json(_as_json(report))
    elif window is None:
        _print_windows(report)
    else:
        _print_window(report)
    if not as_json:
        for mart in report.marts:
            click.echo(str(mart))


def _as_json(report: AssetReport) -> dict[str, object]:
    return {
        "asset": report.asset.name,
        "unreadable": report.unreadable,
        "windows": [
            {
                "window": each.window,
                "state": each.state,
                "next": each.next_step,
                "published": dataclasses.asdict(each.published) if each.published else None,
            }
            for each in report.windows
        ],
        "waiting_marts": [dataclasses.asdict(mart) for mart in report.marts],
        "partitions": [dataclasses.asdict(count) for count in report.partitions],
    }


def _print_windows(report: AssetReport) -> None:
    name = report.asset.name
    if report.unreadable:
        click.echo(f"{name}: {printable(report.unreadable)}")
    elif not report.windows:
        click.echo(f"No events of {name} have landed yet: send some with `lake produce {name} FILE`.")
    if report.windows:
        show(
            ("window", "raw", "good", "quarantined", "duplicates", "state"),
            [(each.window, *_counts(each.published), each.state) for each in report.windows],
        )


def _print_window(report: AssetReport) -> None:
    asset, (window,) = report.asset, report.windows
    click.echo(f"{asset.name} {window.window} (contract {asset.path.name} {asset.version}, topic {asset.topic})\n")
    click.echo(f"State   {printable(window.state)}\nNext    {window.next_step}\n")
    if report.unreadable:
        click.echo(f"Raw     {printable(report.unreadable)}\n")
    if window.published is not None:
        _print_publication(window.published, report.partitions)


def _print_publication(entry: PublishedWindow, partitions: Sequence[PartitionCount]) -> None:
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
            for c in partitions
        ],
    )


def _counts(entry: PublishedWindow | None) -> tuple[int, int, int, int]:
    return (entry.raw_rows, entry.good, entry.quarantined, entry.duplicates) if entry else (0, 0, 0, 0)
