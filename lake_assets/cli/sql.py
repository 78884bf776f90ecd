"""`lake sql`."""

import sys

import click


@click.command()
@click.argument("query")
@click.option(
    "--as",
    "role",
    type=click.Choice(["engineer", "analyst"]),
    default="engineer",
    show_default=True,
    help="Role whose rights apply.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Rows to show. [default: 100 in a table, all as JSON]")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON list of objects.")
def command(query: str, role: str, limit: int | None, as_json: bool) -> None:
    """Run one read-only query, as the engineer or as an analyst; - reads it from stdin.

    The engineer uses the warehouse's SQL dialect: DuckDB (which also reads the lake's whole Postgres), BigQuery or
    Athena. The engineer can read staging, quarantine (leads_staging.leads) and marts (funnel_data_mart.funnel). The
    analyst uses Postgres SQL, logged in as the role of BI tools, and can read marts and metrics only. On a cloud
    target, analysts log in to the cloud themselves.

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
        raise QueryError("the query is empty: give it as an argument, or give - and the query on stdin.")
    shown = limit if limit or as_json else 100
    settings = load_settings()
    answer = query_marts(settings, text, shown) if role == "analyst" else warehouse_for(settings).query(text, shown)
    if as_json:
        show_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    elif answer.columns:
        show(answer.columns, answer.rows, counts=False)
    if answer.more:
        click.echo(f"There are more than {shown} rows: use --limit to show more.", err=True)
