"""`lake sql`."""

import sys

import click


@click.command()
@click.argument("query")
@click.option("--as", "role", type=click.Choice(["engineer", "analyst"]), default="engineer", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Rows to show. [default: 100 in a table, all as JSON]")
@click.option("--json", "as_json", is_flag=True, help="A list of rows, one JSON object each.")
def command(query: str, role: str, limit: int | None, as_json: bool) -> None:
    """Run one query, as the engineer or as an analyst; - reads it from stdin. Nothing can be changed with it.

    The engineer asks in the warehouse's SQL: DuckDB's (which also sees all of the lake's Postgres), BigQuery's or
    Athena's, and sees staging, quarantine (leads_staging.leads) and marts (funnel_data_mart.funnel). The analyst asks
    in Postgres' SQL, logged in as the role that BI tools use, and sees the marts only; in a cloud, analysts log in
    there by themselves.

    \b
    Examples:
      lake sql "select origin, count(*) from leads_staging.leads group by origin"
      lake sql "select * from funnel_data_mart.funnel order by month" --as analyst
      lake sql - --json < report.sql
    """
    from lake_assets.cli.tables import show, show_json
    from lake_assets.operations.adapters import query_marts, warehouse_for
    from lake_assets.settings import load_settings
    from lake_assets.warehouse.results import QueryError

    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise QueryError("there is no query: give one as an argument, or - and the query on stdin.")
    shown = limit if limit or as_json else 100
    settings = load_settings()
    answer = query_marts(settings, text, shown) if role == "analyst" else warehouse_for(settings).query(text, shown)
    if as_json:
        show_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    elif answer.columns:
        show(answer.columns, answer.rows)
    if answer.more:
        click.echo(f"There are more than {shown} rows: --limit shows more.", err=True)
