"""`lake quarantine`."""

import click


@click.command()
@click.argument("asset", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the reasons as a JSON list.")
def command(asset: str | None, as_json: bool) -> None:
    """Show quarantined rows by reason: rule, field, number of rows and windows, and one sample.

    A row that breaks two rules is counted under both.

    \b
    Examples:
      lake quarantine
      lake quarantine leads --json
    """
    from lake_assets.cli.asset_lookup import chosen
    from lake_assets.cli.tables import show, show_json
    from lake_assets.errors import Unreadable
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.operations.adapters import warehouse_for
    from lake_assets.operations.quarantine import read_quarantine
    from lake_assets.settings import load_settings

    settings = load_settings()
    assets = chosen(applied_catalog(settings).assets, asset, settings.catalog)
    report = read_quarantine(warehouse_for(settings), assets)
    reasons = report.reasons
    if as_json:
        import dataclasses

        show_json([dataclasses.asdict(reason) for reason in reasons])
    elif reasons:
        show(
            ("asset", "reason", "field", "rows", "windows", "sample value", "message"),
            [(r.asset, r.code, r.field or "", r.rows, r.windows, r.sample or "", r.message) for r in reasons],
        )
    elif not report.failed:
        click.echo("The quarantine is empty.")
    if report.failed:
        raise Unreadable(
            "; ".join(f"the quarantine of {name} is not shown: {why}" for name, why in report.failed.items())
        )
