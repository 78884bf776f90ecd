"""`python -m stream_app [METRIC]...`: a process that counts metrics."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import click

from lake_assets.applied_files import catalog_version
from lake_assets.compile.metric_shares import share_of
from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from stream_app.host import Host, HostStatus, Wanted
from stream_app.hosted import Definition
from stream_app.metric_run import MetricRun, write_status
from stream_app.prometheus import serve

Share = tuple[int, int]


class _ShareType(click.ParamType[Share]):
    name = "K/N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Share:
        match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", str(value))
        if not match or int(match[1]) > int(match[2]):
            self.fail(f"'{value}' is not a share such as 1/2.", param, ctx)
        return int(match[1]), int(match[2])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("metrics", metavar="[METRIC]...", nargs=-1)
@click.option("--instance", help="Name of this instance, unique and kept over restarts. Default: host and process.")
@click.option("--share", type=_ShareType(), default="1/1", help="Without METRIC: only this share of all, such as 1/2.")
@click.option("--metrics-port", type=int, help="Serve the application's own metrics for Prometheus on 127.0.0.1.")
def main(metrics: Sequence[str], instance: str | None, share: Share, metrics_port: int | None) -> None:
    """Count the events of each METRIC as they come, exactly once, and write its rows for the database.

    Without METRIC it counts all metrics of the catalog, and follows its changes: a new metric starts, one that changed
    starts from its last commit, one that was removed ends. `lake up` runs one such process.

    One METRIC that fails ends the process with its error. Of several one that fails stops alone, and starts again after
    a pause that grows.

    Any number of instances share the work of a metric, up to the topic's partitions; each may be killed at any moment.
    SIGTERM commits and ends one within seconds.
    """
    settings = load_settings()
    name = instance or f"{socket.gethostname()}-{os.getpid()}"

    def new_run(definition: Definition) -> MetricRun:
        return MetricRun(settings, definition.metric, definition.source, name)

    if len(metrics) == 1:
        run = new_run(_find(settings, metrics)[metrics[0]])
        _on_signals(run.stop)
        if metrics_port is not None:
            serve(lambda: [run.status], metrics_port)
        run.run()
        return
    host = Host(new_run)
    _on_signals(host.stop)
    if metrics_port is not None:
        serve(host.statuses, metrics_port)
    if metrics:
        wanted = Wanted(_find(settings, metrics))
        host.run(lambda: wanted, lambda _: None)
        return
    path = Home(settings.home).host_status(share[0])

    def write(status: HostStatus) -> None:
        write_status(path, status.as_dict())

    try:
        host.run(_WantedMetrics(settings, share), write)
    finally:
        path.unlink(missing_ok=True)


class _WantedMetrics:
    """A share of the catalog's metrics, read again when a file of the catalog was replaced."""

    def __init__(self, settings: Settings, share: Share) -> None:
        self._settings, self._share = settings, share
        self._wanted: Wanted | None = None

    def __call__(self) -> Wanted:
        version = catalog_version(self._settings.catalog)  # before the files: one replaced meanwhile is read again
        if self._wanted is None or self._wanted.version != version:
            catalog = read_files(self._settings)
            definitions = {
                name: Definition(metric, catalog.assets[metric.source])
                for name, metric in share_of(catalog.metrics, *self._share).items()
            }
            self._wanted = Wanted(definitions, tuple(map(str, catalog.problems)), version)
        return self._wanted


def _find(settings: Settings, names: Sequence[str]) -> dict[str, Definition]:
    catalog = read_files(settings)
    metrics = catalog.metrics
    for name in names:
        if name not in metrics:
            known = ", ".join(metrics) or "none"
            broken = "".join(f"\n  {problem}" for problem in catalog.problems)
            raise LakeError(
                f"there is no metric '{name}' in {settings.catalog / 'metrics'}: the metrics are {known}.{broken}"
            )
    return {name: Definition(metrics[name], catalog.assets[metrics[name].source]) for name in names}


def _on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _, __: stop())


if __name__ == "__main__":
    try:
        main()
    except LakeError as error:
        click.echo(f"stream_app: {error}", err=True)
        sys.exit(error.exit_code)
