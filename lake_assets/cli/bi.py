"""`lake bi`."""

import click


@click.group()
def command() -> None:
    """Bring the boards of marts and metrics into a BI tool that people already use."""


@command.command()
@click.option("--metabase", "url", metavar="URL", required=True, help="Address of a Metabase, v0.58 or newer.")
def apply(url: str) -> None:
    """Make the collections, questions, dashboards and permissions of a Metabase match the boards.

    Each board is a collection with a dashboard, and a question for each chart. The group `Lake readers` sees them, and
    the schemas of marts and metrics. Charts that are no longer described are archived. What the lake has not made stays
    as it is. Safe to repeat: what matches is left alone.

    The API key is read from LAKE_METABASE_KEY_FILE, by default LAKE_HOME/secrets/metabase_key, which only you may read.
    Metabase must be connected to the lake's Postgres as analyst: docs/dashboards.md has both steps.

    \b
    Example:
      lake bi apply --metabase https://metabase.example.com
    """
    from lake_assets.cli.tables import show
    from lake_assets.operations.boards import described_boards, readable_schemas
    from lake_assets.operations.metabase.apply import apply_boards
    from lake_assets.operations.metabase.client import Metabase, read_address
    from lake_assets.settings import load_settings

    settings = load_settings()
    address = read_address(url, settings.home / "secrets")
    boards = described_boards(settings)
    with Metabase(address) as metabase:
        applied = apply_boards(metabase, boards, settings.postgres, readable_schemas(settings))
    if applied.steps:
        show(("kind", "name", "action", "detail"), [(s.kind, s.name, s.action, s.detail) for s in applied.steps])
    else:
        click.echo("Nothing to apply: Metabase matches the boards.")
    for note in applied.notes:
        click.echo(note, err=True)


@command.command()
def superset() -> None:
    """Serve the boards by Apache Superset, on this machine, until Ctrl-C.

    The first call installs Superset, in an environment of its own. Its database is in the lake's Postgres, which must
    run. Each call imports the boards again: charts that are no longer described are removed, and what people have made
    in Superset stays. It reads the lake as analyst. Log in as `admin`, with the password in
    LAKE_HOME/superset/secrets/admin.

    \b
    Example:
      lake bi superset
    """
    from lake_assets.operations.boards import described_boards
    from lake_assets.settings import load_settings
    from lake_assets.stack.superset import prepare_superset, serve

    settings = load_settings()
    prepared = prepare_superset(settings, described_boards(settings), lambda step: click.echo(f"  {step}"))
    click.echo(f"Superset  {prepared.address} (log in as admin; the password is in {prepared.password})")
    click.echo("Stop it with Ctrl-C.")
    serve(prepared)
