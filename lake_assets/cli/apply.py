"""`lake apply`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import print_step, show, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lake_assets.operations.apply_steps import Step
    from lake_assets.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the steps as a JSON list.")
def command(as_json: bool) -> None:
    """Make topics, raw tables, connectors, staging and quarantine tables, dbt sources and grants match the contracts.

    Reloads changed contracts and dbt models in Dagster, which then builds marts that are new or whose SQL changed.

    A contract, metric or model that is invalid, or whose change is refused, is skipped: it is reported on stderr, and
    its applied version stays in use. Everything else is applied, and the exit code is 2. The same holds for a connector
    that fails: run `lake apply` again to restart it.

    Safe to repeat: existing objects are kept, and no event is ever deleted. A contract with `status: draft` may change
    in any way: after a breaking change its tables are rebuilt from raw. A contract with `status: active` must stay
    compatible: a breaking change is refused, unless its tables are empty and nothing reads them. Make the change in a
    copy with a new major version instead. An active contract that has readers cannot become a draft again.

    \b
    Examples:
      lake apply
      lake apply --json
    """
    from lake_assets.cli.reload import reload_code
    from lake_assets.landing.connect import ConnectorFailed
    from lake_assets.operations.apply import apply
    from lake_assets.operations.unapplied import refuse_left_out
    from lake_assets.orchestration.dagster_records import DagsterRecords
    from lake_assets.settings import load_settings

    settings = load_settings()
    applied = apply(settings, DagsterRecords(settings), print_step)
    steps = applied.steps
    reloaded = reload_code(settings, steps, print_step)
    if as_json:
        show_json([dataclasses.asdict(step) for step in steps])
    elif steps:
        _print_steps(settings, steps)
    elif reloaded:
        click.echo("Nothing else to apply: Dagster has the changed models.")
    else:
        click.echo("Nothing to apply: everything matches the contracts.")
    if applied.failed:
        raise ConnectorFailed(f"{applied.failed} All else is applied; run `lake apply` again to restart what failed.")
    refuse_left_out(settings)


def _print_steps(settings: Settings, steps: Sequence[Step]) -> None:
    from lake_assets.ledger.applied import applied_catalog

    show(("kind", "name", "action", "detail"), [(s.kind, s.name, s.action, s.detail) for s in steps])
    changed = {step.name for step in steps if step.kind == "contract"}
    for asset in applied_catalog(settings).assets.values():
        if asset.status == "draft" and asset.name in changed:
            click.echo(
                f"{asset.name} is a draft: any change can be applied, and its tables are then rebuilt from raw. "
                f"When others rely on it, set `status: active` in its contract and run `lake apply`."
            )
