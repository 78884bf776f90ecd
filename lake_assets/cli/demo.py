"""`lake demo`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake_assets.catalog.model import Asset
    from lake_assets.demo.live import Live
    from lake_assets.settings import Settings

LIVE_RATE, LIVE_SALES = 200, 800
STREAM_RATE = 500


@click.command()
@click.option("--sales", default=50_000, show_default=True, type=click.IntRange(min=100), help="Sales events to send.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 300), help="Days to spread them over.")
@click.option("--stream", is_flag=True, help="Send live sales only, while you kill processes.")
def command(sales: int, days: int, stream: bool) -> None:
    """Send events to the example assets and follow them into the marts.

    Starts the stack when it is down, applies the contracts, and sends leads, contracts and sales, some of them late,
    repeated or invalid. Shows a streaming metric while sales arrive, and waits until Dagster has built the marts. The
    last line reports whether the metric equals staging. The stack stays up. A second demo on the same day sends the
    same events: they are all duplicates, and the marts do not change.

    With --stream, sends live sales, 500 a second, and shows the metric while you kill the process of any part: the
    supervisor restarts it. At the end the metric must equal the events sent, and staging. If not, the exit code is 1.

    \b
    Examples:
      lake demo
      lake demo --stream --sales 30000
      lake demo --sales 1000000 --days 90
    """
    import time

    from lake_assets.cli.reload import reload_code
    from lake_assets.cli.tables import show
    from lake_assets.demo.tour import Volume, follow, one_more, send
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.adapters import query_marts, warehouse_for
    from lake_assets.operations.apply import apply
    from lake_assets.operations.audit import audit
    from lake_assets.operations.metric_parity import agreement
    from lake_assets.orchestration.records import DagsterRecords
    from lake_assets.settings import load_settings
    from lake_assets.stack.lifecycle import up

    def report(step: str) -> None:
        click.echo(f"  {step}")

    began = time.monotonic()
    click.echo("1. The stack: Kafka, Kafka Connect, Postgres, Dagster")
    up(report)
    settings = load_settings()
    click.echo("2. The contracts become topics, tables, connectors and grants")
    reload_code(settings, apply(settings, DagsterRecords(settings), report), report)
    applied = applied_catalog(settings)
    assets = applied.assets
    if stream:
        sys.exit(0 if _stream(settings, assets["sales"], sales, report) else 1)
    click.echo("3. Events")
    for sent in send(settings, assets, Volume(sales, days)):
        report(f"{sent.records:,} to {sent.topic} in {sent.seconds:.1f} s")
    click.echo("4. Kafka Connect lands them, Dagster conforms and publishes them, dbt builds the marts")
    seconds = follow(settings, [assets[name] for name in ("leads", "contracts", "sales")], report)
    report(f"done after {seconds:.0f} s")
    click.echo("5. Live sales, counted by region and minute in the database as they arrive")
    counted = _live(settings, assets["sales"], LIVE_RATE, LIVE_SALES, report)
    click.echo("6. One more sale, seen by an analyst")
    latency = one_more(settings, assets["sales"], report)
    report(f"from the event to the mart: {latency:.1f} s")

    click.echo("")
    funnel = query_marts(
        settings,
        "select origin, sum(leads) as leads, sum(converted_leads) as converted, "
        "round(1.0 * sum(converted_leads) / nullif(sum(leads), 0), 3) as rate, sum(revenue_eur) as revenue_eur "
        "from funnel_data_mart.funnel group by origin order by leads desc",
        20,
    )
    show(funnel.columns, funnel.rows, "funnel_data_mart.funnel, by origin")
    mart = query_marts(
        settings,
        "select region, sum(orders) as orders, sum(quantity) as quantity, sum(amount) as amount, max(day) as newest "
        "from sales_data_mart.sales group by region order by region",
        20,
    )
    show(mart.columns, mart.rows, "sales_data_mart.sales, by region")
    reasons = warehouse_for(settings).reasons(list(assets.values()))
    show(
        ("asset", "reason", "field", "rows", "sample value"),
        [(r.asset, r.code, r.field or "", r.rows, r.sample or "") for r in reasons],
        "Quarantine: lake quarantine",
    )
    audits = audit(settings, list(assets.values()))
    show(
        ("asset", "landed", "good", "quarantined", "duplicates", "windows", ""),
        [
            (
                audited.asset,
                sum(p.landed for p in audited.partitions),
                sum(w.good for w in audited.windows),
                sum(w.quarantined for w in audited.windows),
                sum(w.duplicates for w in audited.windows),
                len(audited.windows),
                "in balance" if audited.in_balance else "OUT OF BALANCE",
            )
            for audited in audits
        ],
        "Audit: lake audit",
    )
    parities = [agreement(settings, metric, assets[metric.source]) for metric in applied.metrics.values()]
    postgres = settings.postgres
    click.echo(f"From the last event to the metric {counted.seconds:.2f} s")
    click.echo(f"From the last event to the mart   {latency:.1f} s")
    click.echo(f"Total time                        {time.monotonic() - began:.0f} s")
    click.echo(f"Dagster                           http://127.0.0.1:{settings.dagster_port}")
    click.echo(f"Postgres for BI                   {postgres.host}:{postgres.port}/{postgres.dbname}, user analyst")
    click.echo(f"  its password                    in {postgres.passfile_of('analyst')}")
    click.echo('Query as an analyst               lake sql "select * from funnel_data_mart.funnel" --as analyst')
    click.echo("The stack stays up; stop it with  make down")
    for parity in parities:
        click.echo(f"Speed and batch, {parity.metric}: {parity.sentence}")


def _live(settings: Settings, sales: Asset, rate: int, count: int, report: Callable[[str], None]) -> Live:
    from lake_assets.cli.tables import Moving
    from lake_assets.demo.live import live

    with Moving(("region", "orders", "quantity", "amount")) as moving:
        counted = live(settings, sales, rate, count, moving.update)
    report(f"{counted.orders:,} sales; the last one was in the database after {counted.seconds:.2f} s")
    return counted


def _stream(settings: Settings, sales: Asset, count: int, report: Callable[[str], None]) -> bool:
    """Run the live demo. Return True when the metric equals the events sent, and staging."""
    from datetime import timedelta

    from lake_assets.cli.tables import show
    from lake_assets.demo.tour import follow
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.metric_parity import agreement
    from lake_assets.stack.lifecycle import status

    click.echo(f"3. {count:,} live sales, {STREAM_RATE} a second. Kill any of these processes: kill -9 PID")
    for part in status():
        report(f"{part.pid or '':>7} {part.name}")
    counted = _live(settings, sales, STREAM_RATE, count, report)
    regions = sorted(counted.sent.keys() | counted.counted.keys())
    show(
        ("region", "sent", "counted", "sent amount", "counted amount"),
        [
            (
                region,
                *(totals.get(region, (0, 0, 0))[i] for i in (0, 2) for totals in (counted.sent, counted.counted)),
            )
            for region in regions
        ],
        "Events sent and events counted",
    )
    click.echo("4. The same sales on the batch path")
    follow(settings, [sales], report)
    metric = applied_catalog(settings).metrics["sales_by_region"]
    parity = agreement(settings, metric, sales, timedelta(days=1))
    click.echo(f"Events sent and the metric: {'equal' if counted.equal else 'DIFFERENT'}")
    click.echo(f"Speed and batch, {parity.metric}: {parity.sentence}")
    return counted.equal and parity.agrees
