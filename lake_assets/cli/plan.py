"""`lake plan`."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per step, in a list.")
def command(as_json: bool) -> None:
    """Show what `lake apply` would change: topics, tables, connectors, sources, grants, windows. Changes nothing.

    \b
    Examples:
      lake plan
      lake plan --json
    """
    import dataclasses

    from lake_assets.cli.tables import show, show_json
    from lake_assets.orchestration.apply import plan
    from lake_assets.settings import load_settings

    steps = plan(load_settings())
    if as_json:
        show_json([dataclasses.asdict(step) for step in steps])
    elif not steps:
        click.echo("Nothing to apply: everything is as the contracts say.")
    else:
        show(("what", "name", "action", "detail"), [(s.kind, s.name, s.action, s.detail) for s in steps])
        click.echo("Nothing was changed. Make it so with: lake apply")
