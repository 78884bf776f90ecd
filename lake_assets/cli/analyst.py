"""`lake analyst`."""

import click


@click.group()
def command() -> None:
    """Give analysts logins of their own: in Postgres and its log they then have names."""


@command.command()
@click.argument("name")
def add(name: str) -> None:
    """Create a login NAME with the rights and limits of role analyst, and a schema dev_NAME for drafts.

    The login reads marts and metrics, and creates tables in its schema only, which no other analyst sees. The
    password is in a file that only you can read. A file `environment` beside it has the settings: after `source`, psql
    uses the login, and `lake-dbt` builds drafts in DuckDB as described in docs/write-a-mart.md.

    Safe to repeat: the password stays, and what is missing is created. The embedded Postgres only.

    \b
    Examples:
      lake analyst add ann
      source .lake/secrets/analysts/ann/environment
    """
    from lake_assets.settings import load_settings
    from lake_assets.stack.analysts import add_analyst

    analyst = add_analyst(load_settings(), name)
    click.echo(f"{name} can log in, and has the schema {analyst.schema}.")
    click.echo(f"  password     {analyst.folder / 'pgpass'}")
    click.echo(f"  environment  {analyst.folder / 'environment'}")


@command.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Delete the analyst's drafts too.")
def remove(name: str, *, force: bool) -> None:
    """End the sessions of NAME, and delete login, schema and files.

    \b
    Example:
      lake analyst remove ann
    """
    from lake_assets.settings import load_settings
    from lake_assets.stack.analysts import remove_analyst

    remove_analyst(load_settings(), name, force=force)
    click.echo(f"{name} can no longer log in.")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_(*, as_json: bool) -> None:
    """Show the analysts with a login, their sessions, and their drafts in Postgres.

    \b
    Example:
      lake analyst list
    """
    import dataclasses

    from lake_assets.cli.tables import show, show_json
    from lake_assets.settings import load_settings
    from lake_assets.stack.analysts import list_analysts

    analysts = list_analysts(load_settings())
    if as_json:
        show_json([{**dataclasses.asdict(analyst), "folder": str(analyst.folder)} for analyst in analysts])
    elif analysts:
        rows = [(a.name, a.schema, a.tables, a.bytes, a.sessions, str(a.folder)) for a in analysts]
        show(("analyst", "schema", "tables", "bytes", "sessions", "files"), rows)
    else:
        click.echo("No analyst has a login: add one with `lake analyst add NAME`.")
