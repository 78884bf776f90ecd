"""`lake status`."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per part, in a list.")
def command(as_json: bool) -> None:
    """Show each part's health and last error. Each part is asked a real question, which takes 3 s at most.

    Exit code 0 when all parts answer, 3 when one does not.

    \b
    Examples:
      lake status
      lake status --json
    """
    import dataclasses
    import json
    import sys

    from lake_assets.stack.lifecycle import status

    parts = status()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(part) for part in parts], indent=2))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table("part", "state", "pid", "up", "health", "last error")
        for part in parts:
            uptime = "" if part.uptime is None else f"{part.uptime:.0f} s"
            health = "[green]answers[/]" if part.health is None else f"[red]{part.health}[/]"
            table.add_row(part.name, part.state, str(part.pid or ""), uptime, health, part.last_error or "")
        Console().print(table)
    sys.exit(0 if all(part.health is None for part in parts) else 3)
