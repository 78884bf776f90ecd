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
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 300), help="Days they are spread over.")
@click.option("--stream", is_flag=True, help="Only sales of this moment, while you kill what you like.")
def command(sales: int, days: int, stream: bool) -> None:
    """Fill the example assets with events and follow them into the marts.

    Starts the stack when it is down, applies the contracts, sends leads, contracts and sales (some late, some doubled,
    some broken), shows a streaming metric while sales come in, and waits until Dagster has made the marts by itself.
    The last line says whether the metric and staging agree. The stack stays up. A second demo on the same day sends the
    same events again: they are all duplicates, and the marts stay as they are.

    With --stream it sends sales of this moment, 500 a second, and shows the metric while you kill any part's process:
    the supervisor starts it again. At the end the metric must equal what was sent, and staging; exit code 1 when not.

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

    def say(step: str) -> None:
        click.echo(f"  {step}")

    began = time.monotonic()
    click.echo("1. The stack: Kafka, Kafka Connect, Postgres, Dagster")
    up(say)
    settings = load_settings()
    click.echo("2. The contracts become topics, tables, connectors and grants")
    reload_code(settings, apply(settings, DagsterRecords(settings), say), say)
    applied = applied_catalog(settings)
    assets = applied.assets
    if stream:
        sys.exit(0 if _stream(settings, assets["sales"], sales, say) else 1)
    click.echo("3. Events")
    for report in send(settings, assets, Volume(sales, days)):
        say(f"{report.records:,} to {report.topic} in {report.seconds:.1f} s")
    click.echo("4. Kafka Connect lands them, Dagster conforms and publishes them, dbt builds the marts")
    followed = follow(settings, [assets[name] for name in ("leads", "contracts", "sales")], say)
    say(f"done after {followed:.0f} s")
    click.echo("5. Sales of this moment, counted per region and minute in the database while they come")
    counted = _live(settings, assets["sales"], LIVE_RATE, LIVE_SALES, say)
    click.echo("6. One more sale, seen by an analyst")
    latency = one_more(settings, assets["sales"], say)
    say(f"from the event to the mart: {latency:.1f} s")

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
                found.asset,
                sum(p.landed for p in found.partitions),
                sum(w.good for w in found.windows),
                sum(w.quarantined for w in found.windows),
                sum(w.duplicates for w in found.windows),
                len(found.windows),
                "in balance" if found.in_balance else "OUT OF BALANCE",
            )
            for found in audits
        ],
        "Audit: lake audit",
    )
    agreed = [agreement(settings, metric, assets[metric.source]) for metric in applied.metrics.values()]
    postgres = settings.postgres
    click.echo(f"From the last event to the metric {counted.seconds:.2f} s")
    click.echo(f"From the last event to the mart   {latency:.1f} s")
    click.echo(f"All of it                         {time.monotonic() - began:.0f} s")
    click.echo(f"Dagster                           http://127.0.0.1:{settings.dagster_port}")
    click.echo(f"Postgres for BI                   {postgres.host}:{postgres.port}/{postgres.dbname}, user analyst")
    click.echo(f"  its password                    in {postgres.passfile}")
    click.echo('Ask as an analyst                 lake sql "select * from funnel_data_mart.funnel" --as analyst')
    click.echo("The stack stays up; end it with   make down")
    for found in agreed:
        click.echo(f"Speed and batch, {found.metric}: {found.sentence}")


def _live(settings: Settings, sales: Asset, rate: int, count: int, say: Callable[[str], None]) -> Live:
    from lake_assets.cli.tables import Moving
    from lake_assets.demo.live import live

    with Moving(("region", "orders", "quantity", "amount")) as moving:
        counted = live(settings, sales, rate, count, moving.update)
    say(f"{counted.orders:,} sales; the last one was in the database after {counted.seconds:.2f} s")
    return counted


def _stream(settings: Settings, sales: Asset, count: int, say: Callable[[str], None]) -> bool:
    """Whether the metric equals what was sent, and staging."""
    from datetime import timedelta

    from lake_assets.cli.tables import show
    from lake_assets.demo.tour import follow
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.metric_parity import agreement
    from lake_assets.stack.lifecycle import status

    click.echo(f"3. {count:,} sales of this moment, {STREAM_RATE} a second. Kill what you like: kill -9 PID")
    for part in status():
        say(f"{part.pid or '':>7} {part.name}")
    counted = _live(settings, sales, STREAM_RATE, count, say)
    regions = sorted(counted.sent.keys() | counted.counted.keys())
    show(
        ("region", "sent", "counted", "sent amount", "counted amount"),
        [
            (
                region,
                *(totals.get(region, (0, 0, 0))[at] for at in (0, 2) for totals in (counted.sent, counted.counted)),
            )
            for region in regions
        ],
        "What was sent, and what the metric says",
    )
    click.echo("4. The same sales on the batch path")
    follow(settings, [sales], say)
    metric = applied_catalog(settings).metrics["sales_by_region"]
    found = agreement(settings, metric, sales, timedelta(days=1))
    click.echo(f"What was sent and the metric: {'equal' if counted.equal else 'DIFFERENT'}")
    click.echo(f"Speed and batch, {found.metric}: {found.sentence}")
    return counted.equal and found.agrees
