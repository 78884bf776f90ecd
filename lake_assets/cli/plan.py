"""`lake plan`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lake_assets.operations.apply_steps import Step
    from lake_assets.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the steps as a JSON list.")
@click.option(
    "--permissions", is_flag=True, help="List only the permissions that each role of the lake needs in this cloud."
)
def command(as_json: bool, permissions: bool) -> None:
    """Show what `lake apply` would change: topics, tables, connectors, sources, grants, windows. Changes nothing.

    A contract, metric or model that is invalid, or whose change is refused, is skipped: it is reported on stderr, and
    the exit code is 2.

    On a cloud target it first reports, on stderr, each missing permission of the current credentials.

    \b
    Examples:
      lake plan
      lake plan --json
      lake plan --permissions
    """
    from lake_assets.operations.apply_plan import plan_apply
    from lake_assets.operations.unapplied import refuse_left_out
    from lake_assets.settings import load_settings

    settings = load_settings()
    if permissions:
        _print_permissions(_permissions(settings), as_json=as_json)
        return
    _warn_of_missing_permissions(settings)
    steps = plan_apply(settings).steps
    if as_json:
        show_json([dataclasses.asdict(step) for step in steps])
    else:
        _print_steps(steps)
    refuse_left_out(settings)


def _permissions(settings: Settings) -> Sequence[tuple[str, str, str]]:
    """Return role, action and resource of each permission."""
    from lake_assets.operations.permissions import role_needs

    return [
        (role, action, need.on) for role, own in role_needs(settings).items() for need in own for action in need.actions
    ]


def _print_permissions(needs: Sequence[tuple[str, str, str]], *, as_json: bool) -> None:
    if as_json:
        show_json([{"role": role, "action": action, "on": on} for role, action, on in needs])
    elif needs:
        show(("role", "action", "on"), needs)
    else:
        click.echo("The target `local` needs no cloud permissions.")


def _warn_of_missing_permissions(settings: Settings) -> None:
    from lake_assets.errors import LakeError
    from lake_assets.operations.permissions import lacking
    from lake_assets.project import read_files
    from lake_assets.warehouse.marts import mart_schemas

    try:
        # Read the files only: this runs before Postgres is needed.
        assets = read_files(settings).assets.values() if settings.target != "local" else ()
        for missing in lacking(settings, assets, mart_schemas(settings)):
            click.echo(f"These credentials lack {missing}.", err=True)
    except LakeError as error:
        click.echo(f"The permissions of these credentials could not be checked: {error}", err=True)


def _print_steps(steps: Sequence[Step]) -> None:
    if not steps:
        click.echo("Nothing to apply: everything matches the contracts.")
        return
    show(("kind", "name", "action", "detail"), [(s.kind, s.name, s.action, s.detail) for s in steps])
    if any(step.changes_something for step in steps):
        click.echo("Nothing was changed. To apply these steps: `lake apply`")
    else:
        click.echo("Nothing to apply: everything else matches the contracts.")
