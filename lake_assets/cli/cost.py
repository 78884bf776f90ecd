"""`lake cost`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show
from lake_assets.target_profiles import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lake_assets.catalog.model import WindowSize
    from lake_assets.compile.cost import Line
    from lake_assets.operations.cost import CostReport
    from lake_assets.target_profiles import Target

_KINDS = {
    "bucket bytes": "storage",
    "table bytes": "storage",
    "write requests": "requests",
    "read requests": "requests",
    "catalog calls": "catalog",
    "query bytes": "queries",
    "vCPU hours": "Spark",
    "memory GB hours": "Spark",
}
_COLUMNS = ("storage", "requests", "catalog", "queries", "Spark")
_NOT_COUNTED = (
    "Not counted: Kafka, Postgres, and the machines of Kafka Connect, Dagster and metrics, which are often the larger "
    "part; what marts store, what analysts query, backfills, audits and housekeeping."
)


@click.command()
@click.argument("asset", required=False)
@click.option("--month", metavar="YYYY-MM", help="The month of the windows, in UTC.  [default: this month]")
@click.option("--target", type=click.Choice(TARGETS), help="Price another target.  [default: the lake's own]")
@click.option("--commit-seconds", type=click.IntRange(min=1), help="Compute with this LAKE_COMMIT_SECONDS.")
@click.option("--mart-minutes", type=click.IntRange(min=0), help="Compute with this LAKE_MART_MINUTES.")
@click.option("--window", type=click.Choice(("hour", "day", "month")), help="Compute with windows of this size.")
def command(
    asset: str | None,
    month: str | None,
    target: Target | None,
    *,
    commit_seconds: int | None,
    mart_minutes: int | None,
    window: WindowSize | None,
) -> None:
    """Estimate what assets cost in a month, by service and by mart, also with other settings.

    The ledger has rows, bytes and windows. The calls of each commit were counted on test doubles, and the prices are
    list prices with a date: docs/targets.md has both, and the arithmetic. No data is read, and no bucket is asked.

    On another target than the lake's own, its default settings are used.

    \b
    Examples:
      lake cost
      lake cost sales --month 2026-11
      lake cost sales --target gcp --commit-seconds 900 --window hour
    """
    from datetime import UTC, datetime

    from lake_assets.cli.asset_lookup import chosen
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.cost import Changes, check_month, current_month, read_cost
    from lake_assets.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    checked = check_month(month or current_month(now))
    known = applied_catalog(settings).assets
    report = read_cost(
        settings,
        known,
        chosen(known, asset, settings.catalog),
        checked,
        target=target or settings.target,
        changes=Changes(commit_seconds=commit_seconds, mart_minutes=mart_minutes, window=window),
        now=now,
    )
    print_cost(report, alone=asset is not None)


def print_cost(report: CostReport, *, alone: bool) -> None:
    """Print the lines of one asset that is `alone`, or a row for each asset; then the total and what it leaves out."""
    if alone:
        _print_asset(report)
    else:
        _print_lake(report)
    _print_sentences(report)


def _print_asset(report: CostReport) -> None:
    """Print each line of the asset."""
    (usage,) = report.usages
    amounts = _padded([f"{line.amount:,.0f}" if line.amount >= 10 else f"{line.amount:.2f}" for line in report.lines])
    costs = _padded([_dollars(line.usd) for line in report.lines])
    show(
        ("part", "service", "amount", "unit", "USD"),
        [
            (line.what, line.service, amount, line.unit, usd)
            for line, amount, usd in zip(report.lines, amounts, costs, strict=True)
        ],
        title=f"{usage.asset} in {report.month}: {usage.rows:,.0f} events in windows of {_a(usage.window)}",
    )


def _print_lake(report: CostReport) -> None:
    """Print an asset a row, the most expensive first, and then the queries of each mart."""
    of_asset: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    of_mart: defaultdict[str, list[Line]] = defaultdict(list)
    for line in report.lines:
        of_asset[line.asset][_KINDS.get(line.unit, "requests")] += line.usd
        if line.part == "marts":
            of_mart[line.what].append(line)
    events = {usage.asset: int(usage.rows) for usage in report.usages}
    rows = sorted(of_asset.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    columns = [_padded([_dollars(kinds[kind]) for _, kinds in rows]) for kind in _COLUMNS]
    totals = _padded([_dollars(sum(kinds.values())) for _, kinds in rows])
    show(
        ("asset", "events", *_COLUMNS, "USD"),
        [(name, events[name], *cells, whole) for (name, _), *cells, whole in zip(rows, *columns, totals, strict=True)],
        title=f"{report.month} on {report.cost.target}",
    )
    if of_mart:
        marts = sorted(of_mart.items(), key=lambda item: (-_sum(item[1]), item[0]))
        read = _padded([f"{sum(line.amount for line in lines) / 1e9:,.1f}" for _, lines in marts])
        costs = _padded([_dollars(_sum(lines)) for _, lines in marts])
        names = [name.removeprefix("mart ") for name, _ in marts]
        show(("mart", "GB queried", "USD"), list(zip(names, read, costs, strict=True)))


def _print_sentences(report: CostReport) -> None:
    from lake_assets.compile.cost import dominant
    from lake_assets.compile.prices import NOTED

    cost = report.cost
    stored = sum(line.amount for line in report.lines if line.unit == "bucket bytes")
    window = f", windows of {_a(cost.window)}" if cost.window else ""
    click.echo(
        f"Total {_dollars(_sum(report.lines))} $ on {cost.target}, with LAKE_COMMIT_SECONDS={cost.commit_seconds}, "
        f"LAKE_MART_MINUTES={cost.mart_minutes}{window}; {stored / 1e9:,.3f} GB stored."
    )
    if report.unchanged is not None:
        click.echo(f"With the settings as they are: {_dollars(_sum(report.unchanged))} $.")
    if leader := dominant(report.lines):
        click.echo(f"The largest part is {leader[0]}: {100 * leader[1]:.0f} %.")
    for problem in report.problems:
        click.echo(problem[:1].upper() + problem[1:])
    if cost.target == "local":
        click.echo("This machine charges nothing; for a cloud add `--target aws` or `--target gcp`.")
        return
    if not report.marts_are_known:
        click.echo("Marts are not counted, because the dbt project was never parsed: run `lake run` once.")
    click.echo(_NOT_COUNTED)
    click.echo(f"List prices of US regions as of {NOTED}, without free tiers and discounts: docs/targets.md.")


def _a(window: WindowSize) -> str:
    return "an hour" if window == "hour" else f"a {window}"


def _sum(lines: Iterable[Line]) -> float:
    return sum(line.usd for line in lines)


def _dollars(amount: float) -> str:
    return "< 0.01" if 0 < amount < 0.01 else f"{amount:,.2f}"


def _padded(texts: Sequence[str]) -> list[str]:
    """Return the texts with blanks before them, so that they end below each other."""
    width = max((len(text) for text in texts), default=0)
    return [text.rjust(width) for text in texts]
