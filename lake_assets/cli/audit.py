"""`lake audit`."""

import sys

import click

from lake_assets.printable import printable


@click.command()
@click.argument("asset", required=False)
@click.option("--windows", is_flag=True, help="Show all windows, not only those with problems.")
@click.option("--json", "as_json", is_flag=True, help="Print all counts by asset, window and Kafka partition as JSON.")
def command(asset: str | None, windows: bool, as_json: bool) -> None:
    """Prove that nothing was lost or doubled, or report the gap by topic, Kafka partition and offset range.

    Each offset of a Kafka partition must be landed, in flight, or without a record (such as a transaction marker).
    In each window, raw rows = good + quarantined + duplicates, by the counts of the tables themselves. Rows that
    `lake forget` erased are counted separately. Data is read only where the counts do not add up.

    Each final window of the asset's metrics is compared with the same aggregate over staging.

    An asset with a missing or damaged file is reported with that file and not audited; all others are audited.

    Exit code 0 when all assets are in balance, 1 when one is not or could not be audited.

    \b
    Examples:
      lake audit
      lake audit leads --windows
      lake audit --json
    """
    import dataclasses

    from lake_assets.cli.names import chosen
    from lake_assets.cli.tables import show, show_json
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.audit import audit
    from lake_assets.operations.metric_parity import agreement
    from lake_assets.settings import load_settings

    settings = load_settings()
    catalog = applied_catalog(settings)
    assets = chosen(catalog.assets, asset, settings.catalog)
    audits = audit(settings, assets)
    names = {each.name for each in assets}
    metrics = [metric for metric in catalog.metrics.values() if metric.source in names]
    parities = {metric: agreement(settings, metric, catalog.assets[metric.source]) for metric in metrics}
    if as_json:
        show_json(
            [
                dataclasses.asdict(report)
                | {
                    "in_balance": report.in_balance,
                    "metrics": [
                        dataclasses.asdict(parity) | {"agrees": parity.agrees}
                        for metric, parity in parities.items()
                        if metric.source == report.asset
                    ],
                }
                for report in audits
            ]
        )
    else:
        show(
            (
                "asset",
                "produced",
                "landed",
                "no record",
                "in flight",
                "queued",
                "held back",
                "good",
                "quarantined",
                "duplicates",
                "erased",
                "",
            ),
            [
                (
                    report.asset,
                    sum(p.landed + p.no_record + p.under_way + sum(g.count for g in p.gaps) for p in report.partitions),
                    sum(p.landed for p in report.partitions),
                    sum(p.no_record for p in report.partitions),
                    sum(p.under_way for p in report.partitions),
                    sum(w.queued for w in report.windows),
                    sum(w.raw for w in report.windows if w.held_back),
                    sum(w.good for w in report.windows),
                    sum(w.quarantined for w in report.windows),
                    sum(w.duplicates for w in report.windows),
                    sum(w.forgotten for w in report.windows),
                    "NOT AUDITED" if report.failed else "in balance" if report.in_balance else "OUT OF BALANCE",
                )
                for report in audits
            ],
        )
        for report in audits:
            if report.failed:
                click.echo(f"{report.asset} could not be audited: {report.failed}")
            if conflicts := sum(w.conflicts for w in report.windows):
                click.echo(
                    f"{report.asset}: {conflicts:,} of the duplicates differ from the kept, latest row of their key. "
                    "They are in raw only. Unless they are earlier states of the same thing, the key is wrong."
                )
            shown = [window for window in report.windows if windows or window.problems]
            if shown:
                show(
                    ("window", "raw", "good", "quarantined", "duplicates", "queued", "problems"),
                    [
                        (w.window, w.raw, w.good, w.quarantined, w.duplicates, w.queued, "; ".join(w.problems))
                        for w in shown
                    ],
                    title=report.asset,
                )
            for partition in report.partitions:
                for gap in partition.gaps:
                    click.echo(f"MISSING {gap}: {gap.count} records are on the broker but not in raw.")
        for parity in parities.values():
            click.echo(f"metric {parity.metric}: {parity.sentence}")
            for difference in parity.differing:
                click.echo(f"  DIFFERS {printable(str(difference))}")
    balanced = all(report.in_balance for report in audits) and all(parity.agrees for parity in parities.values())
    sys.exit(0 if balanced else 1)
