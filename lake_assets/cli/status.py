"""`lake status`."""

import sys

import click


@click.command()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object: parts, assets, metrics, unapplied files, removals, cause of an unknown lag, disk.",
)
@click.option("--sizes", is_flag=True, help="Print the size and the bound of everything that grows, instead.")
def command(as_json: bool, sizes: bool) -> None:
    """Show each part's health and last error, and the backlog of each asset and metric.

    Sends a real request to each part, which takes 3 s at most. The last error of a healthy part is one of the last
    five minutes; requests that users were denied do not count.

    For each asset: records in flight (produced, not landed), queued windows, and windows that a check holds back. A
    line is added when events are rarer than the contract's frequency, when an erasure is not finished, when the raw
    table cannot be read, or when windows fail: with the cause, the number of tries, the time of the next retry, and
    what to do.

    For each metric: events per second, records not counted yet, the watermark (the event time up to which windows are
    final), windows that are not final, and late and undecodable events.

    Also reports unfinished removals of assets, a nearly full disk, and differences between the catalog's files and the
    applied catalog: invalid contracts, metrics and models with their errors, files that are not applied, and applied
    contracts whose file is missing.

    Exit code 0 when all parts are healthy, 3 when a part is not or the disk is nearly full.

    \b
    Examples:
      lake status
      lake status --json
      lake status --sizes
    """
    if sizes:
        _show_sizes(as_json)
        return
    import dataclasses

    from lake_assets.cli.tables import show, show_json
    from lake_assets.errors import LakeError
    from lake_assets.ledger.applied import read_applied
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.ledger.removed_assets import unfinished_removals
    from lake_assets.operations.backlog import Backlog, MetricBacklog, backlog, metric_backlog
    from lake_assets.operations.unapplied import Unapplied, unapplied
    from lake_assets.settings import lake_home, load_settings
    from lake_assets.stack.health import check_disk
    from lake_assets.stack.lifecycle import status

    parts = status()
    disk = check_disk(lake_home())
    assets: list[Backlog] = []
    metrics: list[MetricBacklog] = []
    files = Unapplied()
    unknown: str | None = None
    removals: list[str] = []
    try:
        settings = load_settings()
        with Ledger(settings) as ledger:
            applied = read_applied(ledger)
            removals = unfinished_removals(ledger) if ledger.exists() else []
        files = unapplied(settings, applied)
        assets = backlog(settings, list(applied.assets.values()))
        metrics = metric_backlog(settings, applied.metrics, applied.assets)
    except LakeError as error:
        # Keep reporting the health of the other parts when one part is down.
        unknown = str(error)
    if as_json:
        show_json(
            {
                "parts": [dataclasses.asdict(part) for part in parts],
                "assets": [dataclasses.asdict(asset) for asset in assets],
                "metrics": [dataclasses.asdict(metric) for metric in metrics],
                "unapplied": dataclasses.asdict(files),
                "removals": removals,
                "lag_unknown": unknown,
                "disk": disk,
            }
        )
    else:
        show(
            ("part", "state", "pid", "up for", "health", "last error"),
            [
                (
                    part.name,
                    part.state,
                    str(part.pid or ""),
                    "" if part.uptime is None else f"{part.uptime:.0f} s",
                    part.health or "healthy",
                    part.last_error or "",
                )
                for part in parts
            ],
        )
        if assets:
            show(
                ("asset", "records in flight", "windows queued", "windows held back"),
                [
                    (
                        asset.asset,
                        "unknown" if asset.under_way is None else asset.under_way,
                        asset.queued,
                        asset.held_back,
                    )
                    for asset in assets
                ],
            )
            for asset in assets:
                for sentence in filter(None, (asset.unreadable, asset.silence, asset.forgetting)):
                    click.echo(f"{asset.asset}: {sentence}")
                for trouble in asset.troubles:
                    click.echo(str(trouble))
        for sentence in removals:
            click.echo(sentence)
        if metrics:
            show(
                ("metric", "events/s", "to count", "watermark", "open windows", "late", "undecodable", "transaction"),
                [
                    (
                        metric.metric,
                        round(metric.events_per_second),
                        "" if metric.under_way is None else metric.under_way,
                        metric.watermark or metric.state,
                        metric.open_windows,
                        metric.late,
                        metric.undecodable,
                        f"{metric.transaction_seconds * 1000:.0f} ms",
                    )
                    for metric in metrics
                ],
            )
        for sentence in files.sentences:
            click.echo(sentence)
        if unknown:
            click.echo(f"The lag is unknown: {unknown}")
        if disk:
            click.echo(disk)
    sys.exit(0 if disk is None and all(part.health is None for part in parts) else 3)


def _show_sizes(as_json: bool) -> None:
    import dataclasses

    from lake_assets.cli.tables import show, show_json
    from lake_assets.operations.sizes import read_sizes
    from lake_assets.settings import load_settings

    entries = read_sizes(load_settings())
    if as_json:
        show_json([dataclasses.asdict(size) for size in entries])
    else:
        show(("what", "bytes", "bound"), [(size.what, size.bytes, size.bound) for size in entries])
