"""`lake demo`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lake_assets.catalog.model import Asset
    from lake_assets.catalog.texts import Catalog
    from lake_assets.demo.live import Live
    from lake_assets.operations.audit_report import AuditReport
    from lake_assets.settings import Settings
    from lake_assets.warehouse.results import QueryResult, Reason

LIVE_RATE, LIVE_SALES = 200, 800
STREAM_RATE = 500
_FUNNEL = (
    "select origin, sum(leads) as leads, sum(converted_leads) as converted, "
    "round(1.0 * sum(converted_leads) / nullif(sum(leads), 0), 3) as rate, sum(revenue_eur) as revenue_eur "
    "from funnel_data_mart.funnel group by origin order by leads desc"
)
_SALES = (
    "select region, sum(orders) as orders, sum(quantity) as quantity, sum(amount) as amount, max(day) as newest "
    "from sales_data_mart.sales group by region order by region"
)


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from the last event to the metric, and from one more event to the mart."""

    metric: float
    mart: float


@dataclass(frozen=True, slots=True)
class Results:
    """Rows of the example marts, reasons in quarantine, and the audit of all assets."""

    funnel: QueryResult
    sales: QueryResult
    reasons: Sequence[Reason]
    audit: AuditReport


@click.command()
@click.option("--sales", default=50_000, show_default=True, type=click.IntRange(min=100), help="Sales events to send.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 300), help="Days to spread them over.")
@click.option("--stream", is_flag=True, help="Send live sales only, while you kill processes.")
def command(sales: int, days: int, stream: bool) -> None:
    """Send events to the example assets and follow them into the marts.

    Starts the stack when it is down, applies the contracts, and sends leads, contracts and sales, some of them late,
    repeated or invalid. Shows a streaming metric while sales arrive, and waits until Dagster has built the marts. The
    last lines report whether the metric equals staging, and the address of the dashboard. The stack stays up. A second
    demo on the same day sends the same events: they are all duplicates, and the marts do not change.

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
    from lake_assets.landing.connect import ConnectorFailed
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.apply import apply
    from lake_assets.orchestration.dagster_records import DagsterRecords
    from lake_assets.settings import load_settings
    from lake_assets.stack.lifecycle import up

    began = time.monotonic()
    click.echo("1. The stack: Kafka, Kafka Connect, Postgres, Dagster")
    up(_report)
    settings = load_settings()
    click.echo("2. The contracts become topics, tables, connectors and grants")
    outcome = apply(settings, DagsterRecords(settings), _report)
    if outcome.failed:
        raise ConnectorFailed(outcome.failed)
    reload_code(settings, outcome.steps, _report)
    applied = applied_catalog(settings)
    if stream:
        sys.exit(0 if _stream(settings, applied.assets["sales"], sales) else 1)
    latencies = _tour(settings, applied, sales, days)
    results = _collect(settings, applied)
    _print_results(results)
    _print_summary(settings, latencies, time.monotonic() - began)
    _print_parities(results.audit)
    _print_dashboard(settings)


def _report(step: str) -> None:
    click.echo(f"  {step}")


def _tour(settings: Settings, applied: Catalog, sales: int, days: int) -> Latencies:
    """Send the events and follow them into the marts, then live sales and one more."""
    from lake_assets.demo.tour import Volume, follow, one_more, send

    assets = applied.assets
    click.echo("3. Events")
    for sent in send(settings, assets, Volume(sales, days)):
        _report(f"{sent.records:,} to {sent.topic} in {sent.seconds:.1f} s")
    click.echo("4. Kafka Connect lands them, Dagster conforms and publishes them, dbt builds the marts")
    seconds = follow(settings, [assets[name] for name in ("leads", "contracts", "sales")], _report)
    _report(f"done after {seconds:.0f} s")
    click.echo("5. Live sales, counted by region and minute in the database as they arrive")
    counted = _live(settings, assets["sales"], LIVE_RATE, LIVE_SALES)
    click.echo("6. One more sale, seen by an analyst")
    latency = one_more(settings, assets["sales"], _report)
    _report(f"from the event to the mart: {latency:.1f} s")
    return Latencies(counted.seconds, latency)


def _collect(settings: Settings, applied: Catalog) -> Results:
    from lake_assets.operations.adapters import query_marts, warehouse_for
    from lake_assets.operations.audit_report import audit_report

    assets = list(applied.assets.values())
    return Results(
        query_marts(settings, _FUNNEL, 20),
        query_marts(settings, _SALES, 20),
        warehouse_for(settings).reasons(assets),
        audit_report(settings, applied, assets),
    )


def _print_results(results: Results) -> None:
    click.echo("")
    show(results.funnel.columns, results.funnel.rows, "funnel_data_mart.funnel, by origin")
    show(results.sales.columns, results.sales.rows, "sales_data_mart.sales, by region")
    show(
        ("asset", "reason", "field", "rows", "sample value"),
        [(r.asset, r.code, r.field or "", r.rows, r.sample or "") for r in results.reasons],
        "Quarantine: lake quarantine",
    )
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
            for audited in results.audit.audits
        ],
        "Audit: lake audit",
    )


def _print_summary(settings: Settings, latencies: Latencies, seconds: float) -> None:
    postgres = settings.postgres
    click.echo(f"From the last event to the metric {latencies.metric:.2f} s")
    click.echo(f"From the last event to the mart   {latencies.mart:.1f} s")
    click.echo(f"Total time                        {seconds:.0f} s")
    click.echo(
        f"Dagster                           http://127.0.0.1:{settings.dagster_port} (log in: lake open dagster)"
    )
    click.echo(f"Postgres for BI                   {postgres.host}:{postgres.port}/{postgres.dbname}, user analyst")
    click.echo(f"  its password                    in {postgres.passfile_of('analyst')}")
    click.echo('Query as an analyst               lake sql "select * from funnel_data_mart.funnel" --as analyst')
    click.echo("The stack stays up; stop it with  make down")


def _print_dashboard(settings: Settings) -> None:
    from lake_assets.home import Home
    from lake_assets.stack.addresses import read_addresses
    from lake_assets.stack.dashboard import has_dashboard

    if has_dashboard(settings, read_addresses(Home(settings.home))):
        click.echo(f"Dashboard: {settings.dashboard_address} (log in: lake open dashboard)")


def _print_parities(report: AuditReport) -> None:
    for _, parity in report.parities:
        click.echo(f"Speed and batch, {parity.metric}: {parity.sentence}")


def _live(settings: Settings, sales: Asset, rate: int, count: int) -> Live:
    from lake_assets.cli.tables import Moving
    from lake_assets.demo.live import live

    with Moving(("region", "orders", "quantity", "amount")) as moving:
        counted = live(settings, sales, rate, count, moving.update)
    _report(f"{counted.orders:,} sales; the last one was in the database after {counted.seconds:.2f} s")
    return counted


def _stream(settings: Settings, sales: Asset, count: int) -> bool:
    """Run the live demo. Return True when the metric equals the events sent, and staging."""
    from datetime import timedelta

    from lake_assets.demo.tour import follow
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.metric_parity import reconcile_metric
    from lake_assets.stack.lifecycle import status

    click.echo(f"3. {count:,} live sales, {STREAM_RATE} a second. Kill any of these processes: kill -9 PID")
    for part in status():
        _report(f"{part.pid or '':>7} {part.name}")
    counted = _live(settings, sales, STREAM_RATE, count)
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
    follow(settings, [sales], _report)
    metric = applied_catalog(settings).metrics["sales_by_region"]
    parity = reconcile_metric(settings, metric, sales, timedelta(days=1))
    click.echo(f"Events sent and the metric: {'equal' if counted.equal else 'DIFFERENT'}")
    click.echo(f"Speed and batch, {parity.metric}: {parity.sentence}")
    return counted.equal and parity.agrees
