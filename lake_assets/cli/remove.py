"""`lake remove`."""

import click


@click.command()
@click.argument("asset")
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(["topic", "raw", "tables", "files"]),
    help="Leave this part in place; may be given more than once. raw keeps the topic, too.",
)
@click.option("--confirm", metavar="CHECKSUM", help="Remove what was shown with this checksum.")
@click.option("--json", "as_json", is_flag=True, help="The plan as one JSON object.")
def command(asset: str, keep: tuple[str, ...], confirm: str | None, as_json: bool) -> None:
    """Show what there is of an asset and who reads it, and remove it when told the checksum.

    These go: the connector's subscription, the Kafka topic, the raw table, staging and quarantine with their files, the
    ledger's rows (queue, windows, receipts), the generated dbt files, and the asset's history and partitions in
    Dagster. --keep leaves a part: with --keep topic the next `lake apply` reads the topic from its beginning, with
    --keep raw it makes the tables again from raw. What was kept is removed by `lake remove ASSET` later.

    Nothing is removed while a model or a metric reads the asset: they are named. The topic, the raw table and their
    connector stay as long as another version of the asset needs them. The contract's file is yours and stays: delete
    it, or the next `lake apply` makes the asset anew, from nothing.

    Without --confirm nothing is removed. A removal that died is finished by the same command. The connector of the
    domain starts again without the topic, so that its other assets land a few seconds later. Old snapshots of the
    embedded warehouse go with the housekeeping of an hour later.

    \b
    Examples:
      lake remove orders
      lake remove orders --confirm 3f1c0a9be2d4
      lake remove orders --keep topic --keep raw
    """
    import dataclasses

    from lake_assets.cli.names import find
    from lake_assets.cli.reload import reload_code
    from lake_assets.cli.tables import show, show_json
    from lake_assets.errors import LakeError
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.apply import Step
    from lake_assets.operations.remove import plan_removal, removable, remove_asset
    from lake_assets.orchestration.records import DagsterRecords
    from lake_assets.settings import load_settings

    def log(step: str) -> None:
        click.echo(f"  {step}", err=True)

    settings = load_settings()
    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet, so there is nothing to remove.")
        found = find(removable(ledger), asset)
        if confirm is None:
            planned = plan_removal(settings, ledger, found, keep)
        else:
            planned = remove_asset(settings, ledger, DagsterRecords(settings), found, keep, confirm, log)
    name = planned.asset.name
    file = settings.catalog / "assets" / f"{name}.yaml"
    if confirm is not None:
        reload_code(settings, [Step("contract", name, "remove")], log)
    if as_json:
        show_json(
            {
                "asset": name,
                "parts": [dataclasses.asdict(part) for part in planned.parts],
                "readers": planned.readers,
                "checksum": planned.checksum,
                "removed": confirm is not None,
            }
        )
        return
    show(("what", "name", "action", "detail"), [(p.kind, p.name, p.action, p.detail) for p in planned.parts])
    if confirm is not None:
        left = f" Its contract {file} stays: delete it, or `lake apply` makes it anew." if file.exists() else ""
        click.echo(f"{name} is removed.{left}")
    elif planned.readers:
        click.echo(f"It cannot be removed while it is read by {', '.join(planned.readers)}.")
    elif planned.begun:
        click.echo(f"This was begun and is unfinished. To finish it: lake remove {name} --confirm {planned.checksum}")
    else:
        kept = "".join(f" --keep {part}" for part in keep)
        click.echo(f"Nothing was removed. To remove this: lake remove {name}{kept} --confirm {planned.checksum}")
