"""`lake plan`."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per step, in a list.")
@click.option(
    "--permissions", is_flag=True, help="List what each role of the lake needs in this cloud, and nothing else."
)
def command(as_json: bool, permissions: bool) -> None:
    """Show what `lake apply` would change: topics, tables, connectors, sources, grants, windows. Changes nothing.

    A contract, metric or model that cannot be used, or whose change is refused, leaves out itself only: it is named on
    stderr with what is wrong, and the exit code is 2.

    In a cloud it first names, on stderr, each action that the credentials at hand lack, with where it is needed.

    \b
    Examples:
      lake plan
      lake plan --json
      lake plan --permissions
    """
    import dataclasses

    from lake_assets.cli.tables import show, show_json
    from lake_assets.errors import LakeError
    from lake_assets.operations.apply import plan_apply
    from lake_assets.operations.permissions import lacking, role_needs
    from lake_assets.operations.unapplied import refuse_left_out
    from lake_assets.project import read_files
    from lake_assets.settings import load_settings
    from lake_assets.warehouse.marts import mart_schemas

    settings = load_settings()
    if permissions:
        needs = [
            (role, action, need.on)
            for role, own in role_needs(settings).items()
            for need in own
            for action in need.actions
        ]
        if as_json:
            show_json([{"role": role, "action": action, "on": on} for role, action, on in needs])
        elif needs:
            show(("role", "action", "on"), needs)
        else:
            click.echo("The target local needs no permissions of a cloud.")
        return
    try:
        # Before Postgres is needed, so of the files alone.
        assets = read_files(settings).assets.values() if settings.target != "local" else ()
        for missing in lacking(settings, assets, mart_schemas(settings)):
            click.echo(f"These credentials lack {missing}.", err=True)
    except LakeError as error:
        click.echo(f"What these credentials lack could not be asked: {error}", err=True)
    steps = plan_apply(settings)
    if as_json:
        show_json([dataclasses.asdict(step) for step in steps])
    elif not steps:
        click.echo("Nothing to apply: everything is as the contracts say.")
    else:
        show(("what", "name", "action", "detail"), [(s.kind, s.name, s.action, s.detail) for s in steps])
        click.echo("Nothing was changed. Make it so with: lake apply")
    refuse_left_out(settings)
