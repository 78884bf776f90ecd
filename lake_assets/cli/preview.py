"""`lake preview`."""

import click

MOST_ROWS = 1_000


@click.command()
@click.argument("model")
@click.option("--as", "analyst", required=True, metavar="ANALYST", help="Analyst for whom the model runs.")
@click.option("--limit", type=click.IntRange(1, MOST_ROWS), default=20, show_default=True, help="Rows to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON list of objects.")
def command(model: str, *, analyst: str, limit: int, as_json: bool) -> None:
    """Show rows of MODEL as it is in the working tree, computed from real rows, and build nothing.

    The model runs in the lake's server, which reads staging tables without confidential columns, and marts. Nothing
    else can be read, and no file. LAKE_PREVIEW_ANALYSTS names the analysts who may; by default none. Each use is in
    the ledger, in the table ledger.preview.

    \b
    Examples:
      lake preview funnel --as ann
      lake preview stg_leads --as ann --limit 5 --json
    """
    from lake_assets.cli.tables import show, show_json
    from lake_assets.operations.previews import preview_model
    from lake_assets.settings import load_settings

    answer = preview_model(load_settings(), model, analyst, limit)
    if as_json:
        show_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    else:
        show(answer.columns, answer.rows, counts=False)
    if answer.more:
        click.echo(f"There are more than {limit} rows: use --limit to show more.", err=True)
