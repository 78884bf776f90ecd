"""Tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def show(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Prints a table to stdout; numbers stand to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    listed = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for place, column in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[place], int | float) for row in listed)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(
            *("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in row)
        )
    # A file or a pipe has no width: fold nothing there, so that lines can be searched.
    wide = None if sys.stdout.isatty() else 10_000
    Console(markup=False, highlight=False, width=wide).print(table, crop=False)


def show_json(value: Any) -> None:
    """Prints JSON to stdout; dates and decimals become text."""
    click.echo(json.dumps(value, indent=2, default=str))
