"""`lake audit`."""

import sys

import click


@click.command()
@click.argument("asset", required=False)
@click.option("--windows", is_flag=True, help="Show every window too, not only those that do not add up.")
@click.option("--json", "as_json", is_flag=True, help="Everything, per asset, window and Kafka partition, as JSON.")
def command(asset: str | None, windows: bool, as_json: bool) -> None:
    """Prove that nothing was lost or doubled, or name the gap by topic, Kafka partition and offset range.

    For every Kafka partition each offset is landed, under way, or shown to hold no record (a transaction marker, say);
    for every window raw rows = good + quarantined + duplicates, as the tables themselves count them. Rows that lake
    forget removed had landed, and are counted apart. Data is read only where the counts do not add up.

    For every metric of the asset, each final window is compared with the same aggregate over staging.

    An asset of which a file is missing or damaged is named with it and not audited; all others are.

    Exit code 0 when all are in balance, 1 when one is not or could not be audited.

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
    audited = chosen(catalog.assets, asset, settings.catalog)
    audits = audit(settings, audited)
    names = {one.name for one in audited}
    metrics = [metric for metric in catalog.metrics.values() if metric.source in names]
    agreements = {metric: agreement(settings, metric, catalog.assets[metric.source]) for metric in metrics}
    if as_json:
        show_json(
            [
                dataclasses.asdict(found)
                | {
                    "in_balance": found.in_balance,
                    "metrics": [
                        dataclasses.asdict(agreed) | {"agrees": agreed.agrees}
                        for metric, agreed in agreements.items()
                        if metric.source == found.asset
                    ],
                }
                for found in audits
            ]
        )
    else:
        show(
            (
                "asset",
                "produced",
                "landed",
                "no record",
                "under way",
                "queued",
                "held back",
                "good",
                "quarantined",
                "duplicates",
                "forgotten",
                "",
            ),
            [
                (
                    found.asset,
                    sum(p.landed + p.no_record + p.under_way + sum(g.count for g in p.gaps) for p in found.partitions),
                    sum(p.landed for p in found.partitions),
                    sum(p.no_record for p in found.partitions),
                    sum(p.under_way for p in found.partitions),
                    sum(w.queued for w in found.windows),
                    sum(w.raw for w in found.windows if w.held_back),
                    sum(w.good for w in found.windows),
                    sum(w.quarantined for w in found.windows),
                    sum(w.duplicates for w in found.windows),
                    sum(w.forgotten for w in found.windows),
                    "NOT AUDITED" if found.failed else "in balance" if found.in_balance else "OUT OF BALANCE",
                )
                for found in audits
            ],
        )
        for found in audits:
            if found.failed:
                click.echo(f"{found.asset} could not be audited: {found.failed}")
            if conflicts := sum(w.conflicts for w in found.windows):
                click.echo(
                    f"{found.asset}: {conflicts:,} of the duplicates differ from the row of their key that stayed, the "
                    "latest: they are in raw only. Unless they are earlier states of the same thing, the key is wrong."
                )
            shown = [window for window in found.windows if windows or window.problems]
            if shown:
                show(
                    ("window", "raw", "good", "quarantined", "duplicates", "queued", "problems"),
                    [
                        (w.window, w.raw, w.good, w.quarantined, w.duplicates, w.queued, "; ".join(w.problems))
                        for w in shown
                    ],
                    title=found.asset,
                )
            for partition in found.partitions:
                for gap in partition.gaps:
                    click.echo(f"MISSING {gap}: {gap.count} records are on the broker but not in raw.")
        for agreed in agreements.values():
            click.echo(f"metric {agreed.metric}: {agreed.sentence}")
            for difference in agreed.differing:
                click.echo(f"  DIFFERS {difference}")
    fine = all(found.in_balance for found in audits) and all(agreed.agrees for agreed in agreements.values())
    sys.exit(0 if fine else 1)
