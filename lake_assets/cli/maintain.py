"""`lake maintain`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake_assets.operations.housekeeping import Cleaned
    from lake_assets.operations.retention import RetentionPlan


@click.command()
@click.option("--confirm", metavar="CHECKSUM", help="Remove what the dry run with this checksum has shown.")
@click.option("--json", "as_json", is_flag=True, help="The plan as one JSON object.")
def command(confirm: str | None, as_json: bool) -> None:
    """Tidy files, show which windows are older than their contract keeps them, and remove them when told the checksum.

    Without --confirm no event is removed. Raw snapshots older than a week expire, with the files that only they name,
    and windows that have ended and are published get their small raw files written together: rows, offsets and what
    was made of them stay. Files of windows that were made again an hour ago and more go; those that an undo of a
    backfill needs stay for a week. Dagster forgets runs of a month ago and more, and not what they made. The leftovers
    asset does the same each hour.

    With --confirm exactly that is removed whose checksum it is: when anything has changed since, nothing is. Windows
    that are not published yet, and all that an asset has, are never removed. The ledger keeps the accounts of what
    was removed, so lake audit stays in balance. Kafka keeps events as long as the topic's own retention says.

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
            raise LakeError("nothing is applied yet: run 'lake apply' first.")
        cleaned = []
        if confirm is None:
            try:
                cleaned = clean(settings, assets, now, lambda sentence: click.echo(sentence, err=True))
            except LakeError as error:
                if isinstance(error, Unavailable):
                    raise
                # It is of some datasets only, and of others there may be something to remove.
                unclean = error
            found = plan_retention(settings, ledger, warehouse, assets, now)
        else:
            found = maintain(settings, ledger, warehouse, assets, now, confirm)
    _show(found, cleaned, confirmed=confirm is not None, as_json=as_json)
    if unclean:
        raise unclean


def _show(found: "RetentionPlan", cleaned: "Sequence[Cleaned]", *, confirmed: bool, as_json: bool) -> None:
    import dataclasses

    from lake_assets.cli.tables import show, show_json

    if as_json:
        done = {"removed": confirmed, "cleaned": [dataclasses.asdict(one) for one in cleaned]}
        show_json(dataclasses.asdict(found) | {"checksum": found.checksum} | done)
        return
    for sentence in found.kept_back:
        click.echo(sentence, err=True)
    if not found.removals:
        click.echo("There is nothing to remove.")
        return
    show(
        ("asset", "element", "kept", "windows", "from", "to", "rows", "files", "bytes"),
        [
            (
                one.asset,
                one.element,
                str(one.kept),
                len(one.rows),
                min(one.rows),
                max(one.rows),
                sum(one.rows.values()),
                one.files,
                one.bytes,
            )
            for one in found.removals
        ],
    )
    if not confirmed:
        click.echo(f"Nothing was removed. To remove this: lake maintain --confirm {found.checksum}")
    else:
        click.echo("Removed. Marts follow at their next build; Kafka keeps its own copy as long as the topic says.")
