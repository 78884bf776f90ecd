"""`lake produce`."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import click

from lake_assets.errors import LakeError

if TYPE_CHECKING:
    from lake_assets.catalog.model import Asset
    from lake_assets.landing.lines import Format
    from lake_assets.landing.produce import ProduceReport

_LINE_EVERY_SECONDS = 5.0
_INTERRUPTED = 130
_LOOKED_AT = 100
_FLAWS = {
    "not_json": "no JSON object, sent as it is for conform to quarantine",
    "no_event_time": "no event time that can be read, kept in today's window",
    "in_future": "a time in the future, kept in today's window",
}


@click.command()
@click.argument("asset")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second, evenly spread.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="When suffix and first lines do not tell.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    asset: str, files: tuple[str, ...], rate: float | None, form: Literal["csv", "jsonl"] | None, as_json: bool
) -> None:
    """Send FILEs (- is stdin) into the topic of ASSET, one event a line.

    CSV with a header and JSONL, also packed (gzip, zip with one file, bzip2, xz, zstd); a JSON array, Parquet or Arrow,
    each row of which is an event. Each event is sent byte for byte, with the contract's key and its event time as Kafka
    key and timestamp. A CSV row becomes a JSON object of strings under the header's names. What is broken is sent too:
    conform judges it.

    \b
    Examples:
      lake produce leads leads.jsonl
      lake produce orders orders.csv --rate 500
      lake produce sales 'exports/2026-*.jsonl.gz'
    """
    from lake_assets.applied_files import read_copy
    from lake_assets.cli.names import find
    from lake_assets.landing.inputs import expanded, opened
    from lake_assets.landing.produce import produce_lines
    from lake_assets.settings import load_settings

    settings = load_settings()
    chosen = find(read_copy(settings).assets, asset, settings.catalog)
    named = expanded(files)
    for file in named:
        if file != "-":
            # What cannot be read is refused before the first event is sent.
            with opened(file, form):
                pass
    reading = _Reading(named)
    events = _with_a_word(_events(reading, chosen, form), chosen)
    with _progress(reading) as on_progress:
        report = produce_lines(settings, chosen, events, rate, on_progress)
    if not report.records and not report.interrupted:
        raise LakeError(f"nothing was sent: {', '.join(named)} {'holds' if len(named) == 1 else 'hold'} no events.")
    _print(report, as_json)
    if report.interrupted:
        sys.exit(_INTERRUPTED)


class _Reading:
    """How far the files are read."""

    def __init__(self, files: list[str]) -> None:
        self.files = files
        sizes = [path.stat().st_size if (path := Path(file)).is_file() else None for file in files]
        self.total = None if None in sizes else sum(size or 0 for size in sizes)
        self._done = 0
        self._current: IO[bytes] | None = None

    def begin(self, stream: "IO[bytes]") -> None:
        self._current = stream

    def end(self, file: str) -> None:
        self._current = None
        self._done += Path(file).stat().st_size if self.total is not None else 0

    def position(self) -> int:
        return self._done + (self._current.tell() if self._current and not self._current.closed else 0)


def _events(reading: _Reading, asset: "Asset", form: "Format | None") -> Iterator[bytes]:
    from lake_assets.landing.inputs import opened
    from lake_assets.landing.lines import event_lines

    for file in reading.files:
        with opened(file, form) as (source, stream):
            reading.begin(stream)
            yield from event_lines(source.lines, source.name, source.form, asset.encoding)
        reading.end(file)


def _with_a_word(events: Iterator[bytes], asset: "Asset") -> Iterator[bytes]:
    """The events; when none of the first ones has a field of the contract, that is said before they are sent."""
    first = list(islice(events, _LOOKED_AT))
    found = dict.fromkeys(key for event in first for key in _keys(event))
    declared = {key.lower() for field in asset.fields for key in field.payload_keys}
    if found and not any(key.lower() in declared for key in found):
        shown = ", ".join(list(found)[:5])
        click.echo(
            f"  None of the first {len(first)} events has a field of the contract of {asset.name} (they have {shown}): "
            "is this its file? All go to quarantine when a field is required.",
            err=True,
        )
    yield from first
    yield from events


def _keys(event: bytes) -> list[str]:
    try:
        found = json.loads(event)
    except (ValueError, RecursionError):
        return []
    return list(found) if isinstance(found, dict) else []


@contextmanager
def _progress(reading: _Reading) -> "Iterator[Callable[[ProduceReport], None]]":
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
        task = progress.add_task("sending", total=reading.total)

        def bar(report: "ProduceReport") -> None:
            read = reading.position() if reading.total is not None else report.bytes
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
