"""`lake docs`."""

import click


@click.group()
def command() -> None:
    """Build the catalog page for analysts: one HTML file, and the same facts as `catalog.json`."""


@command.command()
@click.option("--to", metavar="PLACE", help="Folder or bucket URL to write to. [default: LAKE_HOME/docs]")
def build(to: str | None) -> None:
    """Build the page: assets, marts and metrics, with the origin of each mart's columns.

    Writes index.html and catalog.json, each replaced as a whole. The page needs no server, and makes no request. A file
    in a folder that --to names is readable by every user of the machine.

    Runs without a stack. Then rows, quarantine, freshness, applied versions and results of checks are left out, and the
    page has one sentence about that.

    \b
    Examples:
      lake docs build
      lake docs build --to s3://company-docs/lake
    """
    import os
    from datetime import UTC, datetime

    from lake_assets.operations.catalog_page.collect import collect
    from lake_assets.operations.catalog_page.publish import publish
    from lake_assets.settings import load_settings

    settings = load_settings()
    document = collect(settings, datetime.now(UTC).replace(microsecond=0))
    # A lake's own files are its owner's alone, a published page is for others.
    own_umask = os.umask(0o022) if to else None
    try:
        written = publish(document, to or str(settings.home / "docs"))
    finally:
        if own_umask is not None:
            os.umask(own_umask)
    for note in document.notes:
        click.echo(note, err=True)
    for path, size in written.items():
        click.echo(f"{path} ({size:,} bytes)")


@command.command("open")
def open_() -> None:
    """Open the page that `lake docs build` has built in LAKE_HOME/docs, in the browser of this machine.

    \b
    Example:
      lake docs open
    """
    from lake_assets.cli.open import show_page

    show_page("docs")
