"""`python -m stream_app METRIC`: one instance of a metric's streaming application."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import click
from confluent_kafka import KafkaException

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError, Unavailable
from lake_assets.home import Home
from lake_assets.landing.topics import partition_counts
from lake_assets.local_files import write_atomically
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from stream_app.errors import Refusal
from stream_app.loop import Loop
from stream_app.prometheus import serve
from stream_app.status import Status
from stream_app.transaction import TransactionFailed

_POLL_SECONDS = 1.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("metric")
@click.option("--instance", help="Name of this instance, unique and kept over restarts. Default: host and process.")
@click.option("--metrics-port", type=int, help="Serve the application's own metrics for Prometheus on 127.0.0.1.")
def main(metric: str, instance: str | None, metrics_port: int | None) -> None:
    """Count METRIC's events as they come, exactly once, and write its rows for the database.

    Any number of instances share the work, up to the topic's partitions; each may be killed at any moment. SIGTERM
    commits and ends one within seconds. `lake up` runs one instance of each metric.
    """
    settings = load_settings()
    name = instance or f"{socket.gethostname()}-{os.getpid()}"
    definition, source = _find(settings, metric)
    path = Home(settings.home).metric_status(definition.table, name)
    status = Status(definition.table, name)
    try:
        partitions = _wait_for_topics(settings, definition, source, path, status)
        loop = Loop(settings, source, definition, name, partitions, status)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _, __: loop.stop())
        if metrics_port is not None:
            serve(status, metrics_port)
        loop.run(lambda status: _write(path, status))
    except (KafkaException, TransactionFailed) as error:
        raise Unavailable(
            f"Kafka at {settings.kafka} does not answer as it should ({error}). No data is lost: after a restart the "
            "application continues from the last commit."
        ) from error
    finally:
        path.unlink(missing_ok=True)


def _find(settings: Settings, name: str) -> tuple[Metric, Asset]:
    catalog = read_files(settings)
    metrics = catalog.metrics
    if name not in metrics:
        names = ", ".join(metrics) or "none"
        broken = "".join(f"\n  {problem}" for problem in catalog.problems)
        raise LakeError(
            f"there is no metric '{name}' in {settings.catalog / 'metrics'}: the metrics are {names}.{broken}"
        )
    return metrics[name], catalog.assets[metrics[name].source]


def _wait_for_topics(settings: Settings, metric: Metric, source: Asset, path: Path, status: Status) -> int:
    """Wait until `lake apply` has created the metric's topics, and return the source's partition count.

    Raises Refusal for a changelog with another partition count.
    """
    names = (source.topic, metric.topic, metric.changelog, metric.late, metric.undecodable)
    while missing := [name for name in names if name not in (counts := partition_counts(settings, names))]:
        waiting = f"the topics {', '.join(missing)}, which `lake apply` creates"
        if status.waiting_for != waiting:
            click.echo(f"waiting for {waiting}", err=True)
        status.waiting_for = waiting
        _write(path, status)
        time.sleep(_POLL_SECONDS)
    status.waiting_for = ""
    if counts[source.topic] != counts[metric.changelog]:
        raise Refusal(
            f"the topic {source.topic} has {counts[source.topic]} partitions, but the metric '{metric.name}' was made "
            f"for {counts[metric.changelog]}: keys have moved to other partitions, so repeats would be counted. Raise "
            "the metric's major version and run `lake apply`."
        )
    return counts[source.topic]


def _write(path: Path, status: Status) -> None:
    write_atomically(path, json.dumps(status.as_dict()), durable=False)


if __name__ == "__main__":
    try:
        main()
    except LakeError as error:
        click.echo(f"stream_app: {error}", err=True)
        sys.exit(error.exit_code)
