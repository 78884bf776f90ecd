"""`lake down`."""

import click


@click.command()
def command() -> None:
    """Stop the embedded stack of this LAKE_HOME, and only this one. The data stays.

    \b
    Example:
      lake down
    """
    from lake_assets.stack.lifecycle import down

    down()
    click.echo("The stack is down. Its data stays in LAKE_HOME; `lake up` resumes from it.")
