"""`lake remove`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import print_step, show, show_json

if TYPE_CHECKING:
    from pathlib import Path

    from lake_assets.operations.left_marts import LeftMart
    from lake_assets.operations.remove import RemovalPlan
    from lake_assets.settings import Settings


@click.command()
@click.argument("name")
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(["topic", "raw", "tables", "files"]),
    help="Keep this part; can be given more than once. raw keeps the topic, too.",
)
@click.option("--confirm", metavar="CHECKSUM", help="Remove the parts that were listed with this checksum.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
def command(name: str, keep: tuple[str, ...], confirm: str | None, as_json: bool) -> None:
    """Show the parts of an asset and its readers, and remove the asset with --confirm.

    NAME is an asset, or SCHEMA.TABLE: a table of a mart whose model was deleted or renamed, which `lake plan` names.

    Of an asset it removes the connector's subscription, the Kafka topic, the raw table, staging and quarantine with
    their files, the ledger's rows (queue, windows, receipts), the generated dbt files, and the asset's history and
    partitions in Dagster. --keep keeps a part: after --keep topic the next `lake apply` reads the topic from its
    beginning, after --keep raw it rebuilds the tables from raw. A later `lake remove ASSET` removes the kept parts.

    Nothing is removed while models or metrics read the asset: the output lists them. The topic, the raw table and
    their connector are kept while another version of the asset needs them. The contract's file is kept, too: delete
    it, or the next `lake apply` creates the asset again, without data.

    Without --confirm nothing is removed. To resume an interrupted removal, run the same command. The connector of the
    domain restarts without the topic, which delays its other assets by a few seconds. The housekeeping an hour later
    deletes old snapshots of the embedded warehouse.

    \b
    Examples:
      lake remove orders
      lake remove orders --confirm 3f1c0a9be2d4
      lake remove orders --keep topic --keep raw
      lake remove sales_data_mart.old_sales
    """
    from lake_assets.settings import load_settings

    settings = load_settings()
    if "." in name:
        _remove_mart(settings, name, keep, confirm, as_json=as_json)
        return
    planned = _plan_or_remove(settings, name, keep, confirm)
    removed = confirm is not None
    if as_json:
        show_json(_as_json(planned, removed=removed))
        return
    show(("kind", "name", "action", "detail"), [(p.kind, p.name, p.action, p.detail) for p in planned.parts])
    if removed:
        _print_removed(planned, settings.catalog)
    else:
        _print_next_step(planned, keep)


def _plan_or_remove(settings: Settings, name: str, keep: tuple[str, ...], confirm: str | None) -> RemovalPlan:
    """Plan the removal, or with a checksum remove what was planned with it, and reload the running stack."""
    from lake_assets.cli.asset_lookup import find
    from lake_assets.cli.reload import reload_code
    from lake_assets.errors import LakeError
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.apply_steps import Step
    from lake_assets.operations.remove import plan_removal, removable, remove_asset
    from lake_assets.orchestration.dagster_records import DagsterRecords

    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet, so there is nothing to remove.")
        chosen = find(removable(ledger), name)
        if confirm is None:
            return plan_removal(settings, ledger, chosen, keep)
        planned = remove_asset(
            settings, ledger, DagsterRecords(settings), chosen, keep, confirm, on_progress=print_step
        )
    reload_code(settings, [Step("contract", planned.asset.name, "remove")], print_step)
    return planned


def _remove_mart(settings: Settings, table: str, keep: tuple[str, ...], confirm: str | None, *, as_json: bool) -> None:
    """Show a mart that has lost its model, or with a checksum drop its table."""
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.left_marts import plan_left_mart, remove_left_mart
    from lake_assets.orchestration.dagster_records import DagsterRecords

    if keep:
        raise click.UsageError("a table of a mart has one part: --keep is for assets.")
    if confirm is None:
        planned = plan_left_mart(settings, table)
    else:
        with Ledger(settings) as ledger:
            planned = remove_left_mart(
                settings, ledger, DagsterRecords(settings), table, confirm, on_progress=print_step
            )
    removed = confirm is not None
    if as_json:
        show_json({**dataclasses.asdict(planned), "checksum": planned.checksum, "removed": removed})
        return
    show(("kind", "name", "action", "detail"), [("table", planned.table, "delete", f"{planned.rows:,} rows")])
    click.echo(f"{table} is removed." if removed else _mart_step(planned))


def _mart_step(planned: LeftMart) -> str:
    if planned.readers:
        return f"It cannot be removed while it is read by {', '.join(planned.readers)}."
    return f"Nothing was removed. To remove this: `lake remove {planned.table} --confirm {planned.checksum}`"


def _as_json(planned: RemovalPlan, *, removed: bool) -> dict[str, object]:
    return {
        "asset": planned.asset.name,
        "parts": [dataclasses.asdict(part) for part in planned.parts],
        "readers": planned.readers,
        "checksum": planned.checksum,
        "removed": removed,
    }


def _print_removed(planned: RemovalPlan, catalog: Path) -> None:
    name = planned.asset.name
    file = catalog / "assets" / f"{name}.yaml"
    hint = f" Its contract {file} is kept: delete it, or `lake apply` creates it again." if file.exists() else ""
    click.echo(f"{name} is removed.{hint}")


def _print_next_step(planned: RemovalPlan, keep: tuple[str, ...]) -> None:
    name, checksum = planned.asset.name, planned.checksum
    if planned.readers:
        click.echo(f"It cannot be removed while it is read by {', '.join(planned.readers)}.")
    elif planned.begun:
        click.echo(f"This removal is not finished. To resume it: `lake remove {name} --confirm {checksum}`")
    else:
        options = "".join(f" --keep {part}" for part in keep)
        click.echo(f"Nothing was removed. To remove this: `lake remove {name}{options} --confirm {checksum}`")
