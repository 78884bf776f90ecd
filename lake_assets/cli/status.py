"""`lake status`."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import click

from lake_assets.cli.tables import show, show_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lake_assets.operations.backlog import Backlog, MetricBacklog
    from lake_assets.operations.long_runs import LongRun
    from lake_assets.operations.sizes import Size
    from lake_assets.operations.unapplied import Unapplied
    from lake_assets.operations.waiting_marts import WaitingMart
    from lake_assets.stack.lifecycle import PartStatus

WATCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Lag:
    """Backlog of assets and metrics, differences between the files and the applied catalog, unfinished removals.

    `marts` are those that wait for the time of their next build.

    `unknown` is the error of the part that did not answer; what was read before it stays.
    """

    files: Unapplied
    assets: Sequence[Backlog] = ()
    metrics: Sequence[MetricBacklog] = ()
    removals: Sequence[str] = ()
    marts: Sequence[WaitingMart] = ()
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Progress of lineage events to their server, and a sentence about each problem of it."""

    sentences: Sequence[str]
    progress: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Health of the parts, the lag, runs that have not ended for long, and a sentence about a nearly full disk.

    `lineage` is None when no server receives it.
    """

    parts: Sequence[PartStatus]
    disk: str | None
    lag: Lag
    long_runs: Sequence[LongRun] = ()
    lineage: Lineage | None = None

    @property
    def is_healthy(self) -> bool:
        return self.disk is None and all(part.health is None for part in self.parts)


@click.command()
@click.argument("asset", required=False)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object: parts, assets, metrics, unapplied files, removals, waiting marts, cause of an unknown "
    "lag, long runs, lineage events to a server, disk.",
)
@click.option("--sizes", is_flag=True, help="Print the size and the bound of everything that grows, instead.")
@click.option("--watch", is_flag=True, help="Show the status again every two seconds, until Ctrl-C.")
def command(asset: str | None, as_json: bool, sizes: bool, watch: bool) -> None:
    """Show each part's health and last error, and the backlog of each asset and metric.

    With an asset, only its backlog and that of its metrics are shown: with many assets this is faster.

    Sends a real request to each part, which takes 3 s at most. The last error of a healthy part is one of the last
    five minutes; requests that users were denied do not count.

    For each asset: records in flight (produced, not landed), queued windows, and windows that a check holds back. A
    line is added when events are rarer than the contract's frequency, when an erasure is not finished, when the raw
    table cannot be read, or when windows fail: with the cause, the number of tries, the time of the next retry, and
    what to do.

    For each metric: events per second, records not counted yet, the watermark (the event time up to which windows are
    final), windows that are not final, and late and undecodable events.

    Also reports marts that wait for the time of their next build, runs that have not ended for half an hour, unfinished
    removals of assets, lineage events that a server does not take, a nearly full disk, and differences between the
    catalog's files and the applied catalog: invalid contracts, metrics and models with their errors, files that are
    not applied, and applied contracts whose file is missing.

    Exit code 0 when all parts are healthy, 3 when a part is not or the disk is nearly full. With --watch it is that of
    the last status; without a terminal, each status follows the one before.

    \b
    Examples:
      lake status
      lake status leads --watch
      lake status --json
      lake status --sizes
    """
    if sizes:
        if asset:
            raise click.UsageError("--sizes is about the whole lake: leave out the asset.")
        if watch:
            raise click.UsageError("--watch is about health and backlog: leave out --sizes.")
        _print_sizes(_collect_sizes(), as_json=as_json)
        return
    if watch:
        if as_json:
            raise click.UsageError("--watch is for people: leave out --json.")
        _watch(asset)
    report = _collect(asset)
    if as_json:
        show_json(_as_json(report))
    else:
        _print(report)
    sys.exit(0 if report.is_healthy else 3)


def _watch(asset: str | None) -> NoReturn:
    """Show the status until Ctrl-C, then exit. A terminal is redrawn at once, so that it does not flicker."""
    import io
    import time
    from contextlib import redirect_stdout
    from datetime import UTC, datetime

    report: StatusReport | None = None
    try:
        while True:
            report = _collect(asset)
            text = io.StringIO()
            with redirect_stdout(text):
                _print(report)
            time_line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            lines = [time_line, *text.getvalue().splitlines()]
            # Home, then clear what is left of each line and below the last one. Only a terminal gets these codes.
            click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", nl=False)
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        sys.exit(0 if report is None or report.is_healthy else 3)


def _collect(asset: str | None) -> StatusReport:
    from lake_assets.settings import lake_home
    from lake_assets.stack.health import check_disk
    from lake_assets.stack.lifecycle import status

    parts = status()
    lag = _lag_of(asset) if asset else _lag()
    return StatusReport(parts, check_disk(lake_home()), lag, _long_runs(), None if asset else _lineage())


def _lag_of(name: str) -> Lag:
    """Read the lag of one asset and its metrics. When a part does not answer, return its error."""
    from datetime import UTC, datetime

    from lake_assets.cli.asset_lookup import find
    from lake_assets.errors import Unavailable
    from lake_assets.ledger.applied import applied_alone, read_applied
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.backlog import backlog, metric_backlog
    from lake_assets.operations.unapplied import Unapplied
    from lake_assets.operations.waiting_marts import waiting_marts
    from lake_assets.settings import load_settings

    lag = Lag(Unapplied())
    try:
        settings = load_settings()
        with Ledger(settings) as ledger:
            catalog = applied_alone(ledger, name)
            if not catalog.assets:
                catalog = applied_alone(ledger, find(read_applied(ledger).assets, name, settings.catalog).name)
        assets = list(catalog.assets.values())
        lag = dataclasses.replace(lag, marts=waiting_marts(settings, assets, datetime.now(UTC)))
        lag = dataclasses.replace(lag, assets=backlog(settings, assets))
        return dataclasses.replace(lag, metrics=metric_backlog(settings, catalog.metrics, catalog.assets))
    except Unavailable as error:
        return dataclasses.replace(lag, unknown=str(error))


def _long_runs() -> Sequence[LongRun]:
    from datetime import UTC, datetime

    from lake_assets.errors import LakeError
    from lake_assets.operations.long_runs import long_runs
    from lake_assets.settings import load_settings

    try:
        return long_runs(load_settings(), datetime.now(UTC))
    except LakeError:
        return []  # `_lag` reports invalid settings


def _lineage() -> Lineage | None:
    """Read the progress of lineage events; None when no server receives them."""
    from lake_assets.errors import LakeError
    from lake_assets.operations.lineage.destination import read_destination
    from lake_assets.operations.lineage.files import lineage_folder
    from lake_assets.operations.lineage.send import as_json, describe
    from lake_assets.settings import load_settings

    try:
        destination, folder = read_destination(), lineage_folder(load_settings())
    except LakeError as error:
        return Lineage([f"lineage: {error}"], {"error": str(error)})
    if destination is None or not destination.url:
        return None
    return Lineage(describe(folder, destination), as_json(folder, destination))


def _lag() -> Lag:
    """Read the lag. When a part does not answer, return the answers so far with its error."""
    from datetime import UTC, datetime

    from lake_assets.errors import LakeError
    from lake_assets.ledger.applied import read_applied
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.ledger.removed_assets import unfinished_removals
    from lake_assets.operations.backlog import backlog, metric_backlog
    from lake_assets.operations.unapplied import Unapplied, unapplied
    from lake_assets.operations.waiting_marts import waiting_marts
    from lake_assets.settings import load_settings

    lag = Lag(Unapplied())
    try:
        settings = load_settings()
        with Ledger(settings) as ledger:
            applied = read_applied(ledger)
            lag = dataclasses.replace(lag, removals=unfinished_removals(ledger) if ledger.exists() else [])
        lag = dataclasses.replace(lag, files=unapplied(settings, applied))
        assets = list(applied.assets.values())
        lag = dataclasses.replace(lag, marts=waiting_marts(settings, assets, datetime.now(UTC)))
        lag = dataclasses.replace(lag, assets=backlog(settings, assets))
        return dataclasses.replace(lag, metrics=metric_backlog(settings, applied.metrics, applied.assets))
    except LakeError as error:
        # Keep reporting the health of the other parts when one part is down.
        return dataclasses.replace(lag, unknown=str(error))


def _as_json(report: StatusReport) -> dict[str, object]:
    lag = report.lag
    return {
        "parts": [dataclasses.asdict(part) for part in report.parts],
        "assets": [dataclasses.asdict(asset) for asset in lag.assets],
        "metrics": [dataclasses.asdict(metric) for metric in lag.metrics],
        "unapplied": dataclasses.asdict(lag.files),
        "removals": lag.removals,
        "waiting_marts": [dataclasses.asdict(mart) for mart in lag.marts],
        "lag_unknown": lag.unknown,
        "long_runs": [dataclasses.asdict(run) for run in report.long_runs],
        "lineage": report.lineage.progress if report.lineage else None,
        "disk": report.disk,
    }


def _print(report: StatusReport) -> None:
    _print_parts(report.parts)
    if report.lag.assets:
        _print_assets(report.lag.assets)
    for sentence in report.lag.removals:
        click.echo(sentence)
    for mart in report.lag.marts:
        click.echo(str(mart))
    if report.lag.metrics:
        _print_metrics(report.lag.metrics)
    for sentence in report.lag.files.sentences:
        click.echo(sentence)
    if report.lag.unknown:
        click.echo(f"The lag is unknown: {report.lag.unknown}")
    for run in report.long_runs:
        click.echo(str(run))
    for sentence in report.lineage.sentences if report.lineage else ():
        click.echo(sentence)
    if report.disk:
        click.echo(report.disk)


def _print_parts(parts: Sequence[PartStatus]) -> None:
    show(
        ("part", "state", "pid", "up for", "health", "last error"),
        [
            (
                part.name,
                part.state,
                str(part.pid or ""),
                "" if part.uptime is None else f"{part.uptime:.0f} s",
                part.health or "healthy",
                part.last_error or "",
            )
            for part in parts
        ],
    )


def _print_assets(assets: Sequence[Backlog]) -> None:
    show(
        ("asset", "records in flight", "windows queued", "windows held back"),
        [
            (asset.asset, "unknown" if asset.under_way is None else asset.under_way, asset.queued, asset.held_back)
            for asset in assets
        ],
    )
    for asset in assets:
        for sentence in filter(None, (asset.unreadable, asset.silence, asset.forgetting)):
            click.echo(f"{asset.asset}: {sentence}")
        for trouble in asset.troubles:
            click.echo(str(trouble))


def _print_metrics(metrics: Sequence[MetricBacklog]) -> None:
    show(
        ("metric", "events/s", "to count", "watermark", "open windows", "late", "undecodable", "transaction"),
        [
            (
                metric.metric,
                round(metric.events_per_second),
                "" if metric.under_way is None else metric.under_way,
                metric.watermark or metric.state,
                metric.open_windows,
                metric.late,
                metric.undecodable,
                f"{metric.transaction_seconds * 1000:.0f} ms",
            )
            for metric in metrics
        ],
    )


def _collect_sizes() -> Sequence[Size]:
    from lake_assets.operations.sizes import read_sizes
    from lake_assets.settings import load_settings

    return read_sizes(load_settings())


def _print_sizes(sizes: Sequence[Size], *, as_json: bool) -> None:
    if as_json:
        show_json([dataclasses.asdict(size) for size in sizes])
    else:
        show(("what", "bytes", "bound"), [(size.what, size.bytes, size.bound) for size in sizes])
