"""`lake maintain`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lake_assets.catalog.model import Asset
    from lake_assets.errors import LakeError
    from lake_assets.operations.housekeeping import Cleaned
    from lake_assets.operations.retention import RetentionPlan
    from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """Expired windows (`deleted` after a confirmation), and the housekeeping. `unclean` is the error that ended it."""

    plan: RetentionPlan
    deleted: bool
    cleaned: Sequence[Cleaned] = ()
    unclean: LakeError | None = None


@click.command()
@click.option("--confirm", metavar="CHECKSUM", help="Delete the windows that were listed with this checksum.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
def command(confirm: str | None, as_json: bool) -> None:
    """Run housekeeping, list the windows that are past their contract's retention, and delete them with --confirm.

    Without --confirm no event is deleted. Housekeeping expires raw snapshots older than a week, with the files that
    only they reference. It compacts small raw files of closed, published windows; rows and offsets do not change. It
    deletes orphan files of windows rebuilt more than an hour ago; files that `lake backfill --undo` needs are kept for
    a week. It deletes Dagster's runs older than a month, and keeps materializations. The Dagster asset `leftovers`
    does the same every hour.

    With --confirm, deletes exactly the windows listed with this checksum. If anything has changed since, nothing is
    deleted. Windows that are not published yet, and the last windows of an asset, are never deleted. The ledger
    keeps the counts of deleted windows, so `lake audit` stays in balance. Kafka keeps events by the topic's retention.

    \b
    Examples:
      lake maintain
      lake maintain --confirm 3f1c0a9be2d4
    """
    from lake_assets.settings import load_settings

    report = _collect(load_settings(), confirm)
    if as_json:
        show_json(_as_json(report))
    else:
        _print(report)
    if report.unclean:
        raise report.unclean


def _collect(settings: Settings, confirm: str | None) -> MaintenanceReport:
    """Run housekeeping and plan the deletions, or with a checksum delete what was planned with it."""
    from datetime import UTC, datetime

    from lake_assets.errors import LakeError
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.adapters import warehouse_for
    from lake_assets.operations.retention import maintain, plan_retention

    assets, now = list(applied_catalog(settings).assets.values()), datetime.now(UTC)
    warehouse = warehouse_for(settings)
    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet: run `lake apply` first.")
        if confirm is not None:
            return MaintenanceReport(maintain(settings, ledger, warehouse, assets, now, confirm), deleted=True)
        cleaned, unclean = _clean(settings, assets, now)
        planned = plan_retention(settings, ledger, warehouse, assets, now)
        return MaintenanceReport(planned, deleted=False, cleaned=cleaned, unclean=unclean)


def _clean(settings: Settings, assets: Sequence[Asset], now: datetime) -> tuple[Sequence[Cleaned], LakeError | None]:
    from lake_assets.errors import LakeError, Unavailable
    from lake_assets.operations.housekeeping import clean

    try:
        return clean(settings, assets, now, lambda sentence: click.echo(sentence, err=True)), None
    except Unavailable:
        raise
    except LakeError as error:
        # It affects some datasets only, and others may have something to delete.
        return (), error


def _as_json(report: MaintenanceReport) -> dict[str, object]:
    done = {"removed": report.deleted, "cleaned": [dataclasses.asdict(entry) for entry in report.cleaned]}
    return dataclasses.asdict(report.plan) | {"checksum": report.plan.checksum} | done


def _print(report: MaintenanceReport) -> None:
    planned = report.plan
    for sentence in planned.kept_back:
        click.echo(sentence, err=True)
    if not planned.removals:
        click.echo("No windows have expired.")
        return
    show(
        ("asset", "element", "retention", "windows", "from", "to", "rows", "files", "bytes"),
        [
            (
                removal.asset,
                removal.element,
                str(removal.kept),
                len(removal.rows),
                min(removal.rows),
                max(removal.rows),
                sum(removal.rows.values()),
                removal.files,
                removal.bytes,
            )
            for removal in planned.removals
        ],
    )
    if not report.deleted:
        click.echo(f"Nothing was deleted. To delete these windows: `lake maintain --confirm {planned.checksum}`")
    else:
        click.echo("Deleted. Marts follow at their next build; Kafka keeps its copy by the topic's retention.")
