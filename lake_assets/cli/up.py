"""`lake up`."""

import click


@click.command()
@click.option(
    "--parts", metavar="NAMES", help="Start only these parts and their dependencies, for example kafka,connect."
)
@click.option(
    "--without",
    type=click.Choice(["dashboard"]),
    multiple=True,
    help="Leave this part out, until the next `lake up` without this option.",
)
def command(parts: str | None, without: tuple[str, ...]) -> None:
    """Start the embedded stack and wait until every part is healthy.

    Safe to repeat: parts that run already are not restarted. A supervisor restarts a part that exits. All state is in
    LAKE_HOME. Free ports are chosen at the first start, and kept.

    \b
    Examples:
      lake up
      lake up --without dashboard
      LAKE_HOME=/tmp/second lake up --parts postgres,kafka
    """
    import time

    from lake_assets.home import Home
    from lake_assets.kafka_security import PRODUCER
    from lake_assets.settings import load_settings
    from lake_assets.stack.addresses import read_addresses
    from lake_assets.stack.dashboard import has_dashboard
    from lake_assets.stack.lifecycle import up

    if parts and without:
        raise click.UsageError("--parts names all parts to start: leave out --without.")
    began = time.monotonic()
    up(lambda step: click.echo(f"  {step}"), parts.split(",") if parts else None, None if parts else without)
    settings = load_settings()
    click.echo(f"The stack is up after {time.monotonic() - began:.0f} s.")
    if has_dashboard(settings, read_addresses(Home(settings.home))):
        click.echo(f"  Dashboard    {settings.dashboard_address} (log in: lake open dashboard)")
    click.echo(f"  Dagster      http://127.0.0.1:{settings.dagster_port} (log in: lake open dagster)")
    postgres = settings.postgres
    click.echo(
        f"  Postgres BI  {postgres.host}:{postgres.port}/{postgres.dbname} as analyst "
        f"(password: {postgres.passfile_of('analyst')})"
    )
    producer = Home(settings.home).kafka_clients(PRODUCER)
    click.echo(f"  Kafka        {settings.kafka} as producer (settings of a client: {producer}/*.properties)")
    click.echo("Check it with `lake status`, stop it with `lake down`.")
