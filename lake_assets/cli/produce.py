"""`lake produce`."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import click

from lake_assets.errors import LakeError

if TYPE_CHECKING:
    from lake_assets.landing.produce import ProduceReport

_LINE_EVERY_SECONDS = 5.0
_INTERRUPTED = 130
_FLAWS = {
    "not_json": "no JSON object, sent as it is for conform to quarantine",
    "no_event_time": "no event time that can be read, kept in today's window",
    "in_future": "a time in the future, kept in today's window",
    "too_old": "a time of 55 or more years ago, kept in today's window",
}


@click.command()
@click.argument("asset")
@click.argument("file")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second, evenly spread.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="When suffix and first lines do not tell.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(asset: str, file: str, rate: float | None, form: Literal["csv", "jsonl"] | None, as_json: bool) -> None:
    """Send a CSV or JSONL FILE (- is stdin) into the topic of ASSET, one event a line.

    Each event is sent byte for byte, with the contract's key and its event time as Kafka key and timestamp. A CSV row
    becomes a JSON object of strings under the header's names. What is broken is sent too: conform judges it.

    \b
    Examples:
      lake produce leads leads.jsonl
      lake produce orders orders.csv --rate 500
      zcat sales.jsonl.gz | lake produce sales -
    """
    from lake_assets.cli.names import find
    from lake_assets.landing.lines import event_lines
    from lake_assets.landing.produce import produce_lines
    from lake_assets.project import read_catalog
    from lake_assets.settings import load_settings

    settings = load_settings()
    chosen = find(read_catalog(settings), asset)
    with _opened(file) as stream, _progress(stream) as on_progress:
        report = produce_lines(settings, chosen, event_lines(stream, file, form), rate, on_progress)
    _print(report, as_json)
    if report.interrupted:
        sys.exit(_INTERRUPTED)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        raise LakeError(
            f"'{file}' cannot be read ({error.strerror}): name a CSV or JSONL file, or - for stdin."
        ) from None
    with stream:
        yield stream


@contextmanager
def _progress(stream: BinaryIO) -> "Iterator[Callable[[ProduceReport], None]]":
    """A bar on a terminal, a line every few seconds elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        said = time.monotonic()

        def line(report: "ProduceReport") -> None:
            nonlocal said
            if time.monotonic() - said >= _LINE_EVERY_SECONDS:
                said = time.monotonic()
                click.echo(f"  {report.records:,} events, {report.records_per_second:,.0f} a second", err=True)

        yield line
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        found = os.fstat(stream.fileno())
        total = found.st_size if stat.S_ISREG(found.st_mode) else None
        task = progress.add_task("sending", total=total)

        def bar(report: "ProduceReport") -> None:
            read = stream.tell() if total is not None else report.bytes
            text = f"{report.records:,} events, {report.records_per_second:,.0f} a second"
            progress.update(task, completed=read, description=text)

        yield bar


def _print(report: "ProduceReport", as_json: bool) -> None:
    if as_json:
        from lake_assets.cli.tables import show_json

        show_json(
            {
                "topic": report.topic,
                "records": report.records,
                "bytes": report.bytes,
                "seconds": round(report.seconds, 3),
                "records_per_second": round(report.records_per_second),
                "flaws": {flaw: report.flaws[flaw] for flaw in _FLAWS},
                "interrupted": report.interrupted,
            }
        )
        return
    for flaw, meaning in _FLAWS.items():
        if count := report.flaws[flaw]:
            click.echo(f"  {count:,} {'line' if count == 1 else 'lines'}: {meaning}.")
    click.echo(
        f"{'Interrupted: sent' if report.interrupted else 'Sent'} {report.records:,} events "
        f"({report.bytes / 1e6:,.1f} MB) to {report.topic} in {report.seconds:.1f} s, "
        f"{report.records_per_second:,.0f} a second."
    )
