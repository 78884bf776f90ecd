"""`lake audit`."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show, show_json
from lake_assets.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lake_assets.ledger.audit import AssetAudit, WindowAudit
    from lake_assets.operations.audit_report import AuditReport
    from lake_assets.operations.metric_parity import MetricParity

_COLUMNS = (
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
)


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
    from lake_assets.cli.asset_lookup import chosen
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.audit_report import audit_report
    from lake_assets.settings import load_settings

    settings = load_settings()
    catalog = applied_catalog(settings)
    report = audit_report(settings, catalog, chosen(catalog.assets, asset, settings.catalog))
    if as_json:
        show_json(_as_json(report))
    else:
        _print(report, all_windows=windows)
    sys.exit(0 if report.in_balance else 1)


def _as_json(report: AuditReport) -> list[dict[str, object]]:
    return [
        dataclasses.asdict(audited)
        | {
            "in_balance": audited.in_balance,
            "metrics": [
                dataclasses.asdict(parity) | {"agrees": parity.agrees} for parity in report.parities_of(audited.asset)
            ],
        }
        for audited in report.audits
    ]


def _print(report: AuditReport, *, all_windows: bool) -> None:
    show(_COLUMNS, [_totals(audited) for audited in report.audits])
    for audited in report.audits:
        _print_asset(audited, all_windows=all_windows)
    for _, parity in report.parities:
        _print_parity(parity)


def _totals(audited: AssetAudit) -> Sequence[str | int]:
    partitions, windows = audited.partitions, audited.windows
    return (
        audited.asset,
        sum(p.landed + p.no_record + p.under_way + sum(gap.count for gap in p.gaps) for p in partitions),
        sum(p.landed for p in partitions),
        sum(p.no_record for p in partitions),
        sum(p.under_way for p in partitions),
        sum(w.queued for w in windows),
        sum(w.raw for w in windows if w.held_back),
        sum(w.good for w in windows),
        sum(w.quarantined for w in windows),
        sum(w.duplicates for w in windows),
        sum(w.forgotten for w in windows),
        "NOT AUDITED" if audited.failed else "in balance" if audited.in_balance else "OUT OF BALANCE",
    )


def _print_asset(audited: AssetAudit, *, all_windows: bool) -> None:
    if audited.failed:
        click.echo(f"{audited.asset} could not be audited: {audited.failed}")
    if conflicts := sum(window.conflicts for window in audited.windows):
        click.echo(
            f"{audited.asset}: {conflicts:,} of the duplicates differ from the kept, latest row of their key. "
            "They are in raw only. Unless they are earlier states of the same thing, the key is wrong."
        )
    if shown := [window for window in audited.windows if all_windows or window.problems]:
        show(
            ("window", "raw", "good", "quarantined", "duplicates", "queued", "problems"),
            [_window_row(window) for window in shown],
            title=audited.asset,
        )
    for partition in audited.partitions:
        for gap in partition.gaps:
            click.echo(f"MISSING {gap}: {gap.count} records are on the broker but not in raw.")


def _window_row(window: WindowAudit) -> Sequence[str | int]:
    counts = (window.raw, window.good, window.quarantined, window.duplicates, window.queued)
    return (window.window, *counts, "; ".join(window.problems))


def _print_parity(parity: MetricParity) -> None:
    click.echo(f"metric {parity.metric}: {parity.sentence}")
    for difference in parity.differing:
        click.echo(f"  DIFFERS {printable(str(difference))}")
