"""`lake status`."""

import sys

import click


@click.command()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: parts, assets, metrics, unapplied files, removals, why a lag is unknown, disk.",
)
def command(as_json: bool) -> None:
    """Show each part's health and last error, and how far each asset is behind.

    Each part is asked a real question, which takes 3 s at most. Errors of a part that answers are those of the last
    five minutes; what a user was refused is none. For each asset: records that are produced and have not
    landed, windows that are queued, windows that a check holds back, and a sentence when events do not come as often as
    its contract says, when a removal of a person is not finished, when its raw table cannot be read, or when windows
    cannot be made: why, how often that was tried, when it is tried next and what to do. For each metric: events per
    second, records that are not counted yet, the watermark (how far its event time is), windows that are not final, and
    events set aside.
    Names removals of assets that are unfinished. Says so when the disk of the lake's folder is nearly full.

    It also names what is in files only and therefore changes nothing: contracts, metrics and models that cannot be
    used, with what is wrong, those that are not applied, and those that are applied and whose file is missing.

    Exit code 0 when all parts answer, 3 when one does not or the disk is nearly full.

    \b
    Examples:
      lake status
      lake status --json
    """
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
        # A part that is down must not hide the health of the others.
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
                    part.health or "answers",
                    part.last_error or "",
                )
                for part in parts
            ],
        )
        if assets:
            show(
                ("asset", "records under way", "windows queued", "windows held back"),
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
