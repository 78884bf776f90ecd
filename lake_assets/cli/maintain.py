"""`lake maintain`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake_assets.operations.housekeeping import Cleaned
    from lake_assets.operations.retention import RetentionPlan


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
    from datetime import UTC, datetime

    from lake_assets.errors import LakeError, Unavailable
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.adapters import warehouse_for
    from lake_assets.operations.housekeeping import clean
    from lake_assets.operations.retention import maintain, plan_retention
    from lake_assets.settings import load_settings

    settings = load_settings()
    unclean: LakeError | None = None
    assets, now = list(applied_catalog(settings).assets.values()), datetime.now(UTC)
    warehouse = warehouse_for(settings)
    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet: run `lake apply` first.")
        cleaned = []
        if confirm is None:
            try:
                cleaned = clean(settings, assets, now, lambda sentence: click.echo(sentence, err=True))
            except LakeError as error:
                if isinstance(error, Unavailable):
                    raise
                # It affects some datasets only, and others may have something to delete.
                unclean = error
            planned = plan_retention(settings, ledger, warehouse, assets, now)
        else:
            planned = maintain(settings, ledger, warehouse, assets, now, confirm)
    _show(planned, cleaned, confirmed=confirm is not None, as_json=as_json)
    if unclean:
        raise unclean


def _show(planned: "RetentionPlan", cleaned: "Sequence[Cleaned]", *, confirmed: bool, as_json: bool) -> None:
    import dataclasses

    from lake_assets.cli.tables import show, show_json

    if as_json:
        done = {"removed": confirmed, "cleaned": [dataclasses.asdict(entry) for entry in cleaned]}
        show_json(dataclasses.asdict(planned) | {"checksum": planned.checksum} | done)
        return
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
    if not confirmed:
        click.echo(f"Nothing was deleted. To delete these windows: `lake maintain --confirm {planned.checksum}`")
    else:
        click.echo("Deleted. Marts follow at their next build; Kafka keeps its copy by the topic's retention.")
