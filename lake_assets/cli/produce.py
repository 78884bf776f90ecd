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
_SAMPLED_EVENTS = 100
_FLAWS = {
    "not_json": "not a JSON object: sent unchanged, will be quarantined",
    "no_event_time": "no valid event time: assigned to today's window",
    "in_future": "event time in the future: assigned to today's window",
}


@click.command()
@click.argument("asset")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records per second, evenly spread.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Format, if not clear from the file.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    asset: str, files: tuple[str, ...], rate: float | None, form: Literal["csv", "jsonl"] | None, as_json: bool
) -> None:
    """Send FILEs (- is stdin) to the topic of ASSET, one event per line.

    Reads CSV with a header, JSONL, a JSON array, Parquet or Arrow, optionally compressed (gzip, zip with one file,
    bzip2, xz, zstd). Sends each event byte for byte, with the contract's key as Kafka key and the event time as Kafka
    timestamp. A CSV row becomes a JSON object of strings with the header's names. Each row of Parquet or Arrow is an
    event. Invalid events are sent too: conform quarantines them.

    \b
    Examples:
      lake produce leads leads.jsonl
      lake produce orders orders.csv --rate 500
      lake produce sales 'exports/2026-*.jsonl.gz'
    """
    from lake_assets.applied_files import read_copy
    from lake_assets.cli.asset_lookup import find
    from lake_assets.landing.inputs import expanded, opened
    from lake_assets.landing.produce import produce_lines
    from lake_assets.settings import load_settings

    settings = load_settings()
    chosen = find(read_copy(settings).assets, asset, settings.catalog)
    named = expanded(files)
    for file in named:
        if file != "-":
            # Refuse unreadable files before the first event is sent.
            with opened(file, form):
                pass
    reading = _Reading(named)
    events = _warn_of_wrong_file(_events(reading, chosen, form), chosen)
    with _progress(reading) as on_progress:
        report = produce_lines(settings, chosen, events, rate, on_progress)
    if not report.records and not report.interrupted:
        raise LakeError(f"nothing was sent: {', '.join(named)} {'has' if len(named) == 1 else 'have'} no events.")
    _print(report, as_json)
    if report.interrupted:
        sys.exit(_INTERRUPTED)


class _Reading:
    """Bytes read of the files, for the progress bar."""

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


def _warn_of_wrong_file(events: Iterator[bytes], asset: "Asset") -> Iterator[bytes]:
    """Yield the events. Print a warning before the first when none of the first 100 has a field of the contract."""
    first = list(islice(events, _SAMPLED_EVENTS))
    keys = dict.fromkeys(key for event in first for key in _keys(event))
    declared = {key.lower() for field in asset.fields for key in field.payload_keys}
    if keys and not any(key.lower() in declared for key in keys):
        shown = ", ".join(list(keys)[:5])
        click.echo(
            f"  None of the first {len(first)} events has a field of the contract of {asset.name} (they have {shown}): "
            "check that this is the right file. If the contract has required fields, all events will be quarantined.",
            err=True,
        )
    yield from first
    yield from events


def _keys(event: bytes) -> list[str]:
    try:
        payload = json.loads(event)
    except (ValueError, RecursionError):
        return []
    return list(payload) if isinstance(payload, dict) else []


@contextmanager
def _progress(reading: _Reading) -> "Iterator[Callable[[ProduceReport], None]]":
    """Show progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        printed_at = time.monotonic()

        def line(report: "ProduceReport") -> None:
            nonlocal printed_at
            if time.monotonic() - printed_at >= _LINE_EVERY_SECONDS:
                printed_at = time.monotonic()
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
