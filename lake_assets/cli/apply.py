"""`lake apply`."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per step taken, in a list.")
def command(as_json: bool) -> None:
    """Make topics, raw tables, connectors, staging and quarantine tables, dbt sources and grants match the contracts.

    Dagster loads changed contracts and dbt models; a mart that is new or whose SQL changed is then made by itself.

    A contract, metric or model that cannot be used, or whose change is refused, leaves out itself only, and what is
    applied of it runs on: it is named on stderr with what is wrong, and the exit code is 2 after all else is applied.

    It can be run again at any time; what is there already is left alone, and no event is ever deleted. A contract with
    `status: draft` may change in any way: after a breaking change its tables are made again from raw. One with
    `status: active` is held to compatibility: a breaking change is refused and belongs in a copy with a new major
    version, unless its tables are empty and nothing reads them. What is read does not become a draft again.

    \b
    Examples:
      lake apply
      lake apply --json
    """
    import dataclasses

    from lake_assets.cli.reload import reload_code
    from lake_assets.cli.tables import show, show_json
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.apply import apply
    from lake_assets.operations.unapplied import refuse_left_out
    from lake_assets.orchestration.records import DagsterRecords
    from lake_assets.settings import load_settings

    settings = load_settings()
    steps = apply(settings, DagsterRecords(settings), lambda step: click.echo(f"  {step}", err=True))
    reloaded = reload_code(settings, steps, lambda step: click.echo(f"  {step}", err=True))
    if as_json:
        show_json([dataclasses.asdict(step) for step in steps])
    elif not steps:
        click.echo(
            "Nothing else to apply: Dagster has the changed models."
            if reloaded
            else "Nothing to apply: everything is as the contracts say."
        )
    else:
        show(("what", "name", "action", "detail"), [(s.kind, s.name, s.action, s.detail) for s in steps])
        changed = {step.name for step in steps if step.kind == "contract"}
        for asset in applied_catalog(settings).assets.values():
            if asset.status == "draft" and asset.name in changed:
                click.echo(
                    f"{asset.name} is a draft: any change may be applied, and its tables are then made again from raw. "
                    f"When others rely on it, set `status: active` in its contract and run `lake apply`."
                )
    refuse_left_out(settings)
