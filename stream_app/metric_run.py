"""One run of a metric: wait for its topics, then count until it is stopped or fails."""

import json
import time
from contextlib import suppress
from pathlib import Path

import click
from confluent_kafka import KafkaException

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.errors import Unavailable
from lake_assets.home import Home
from lake_assets.landing.topics import partition_counts
from lake_assets.local_files import write_atomically
from lake_assets.settings import Settings
from stream_app.errors import Refusal
from stream_app.loop import Loop
from stream_app.status import Status
from stream_app.transaction import TransactionFailed

_POLL_SECONDS = 1.0


class MetricRun:
    """Run of one metric by one instance; `run` may be called once. Its numbers are in `status` and in a file."""

    def __init__(self, settings: Settings, metric: Metric, source: Asset, instance: str) -> None:
        self.status = Status(metric.table, instance)
        self._settings, self._metric, self._source, self._instance = settings, metric, source, instance
        self._path = Home(settings.home).metric_status(metric.table, instance)
        self._stopping = False
        self._loop: Loop | None = None

    def stop(self) -> None:
        """Ask `run` to commit and return; safe in a signal handler and from any thread."""
        self._stopping = True
        if self._loop is not None:
            self._loop.stop()

    def run(self) -> None:
        """Count until `stop`. Raises Refusal, Unavailable, and whatever loading the metric's function raises."""
        try:
            partitions = self._wait_for_topics()
            if partitions is None:
                return
            loop = Loop(self._settings, self._source, self._metric, self._instance, partitions, self.status)
            self._loop = loop
            if self._stopping:  # `stop` may have come before it could see the loop
                loop.stop()
            loop.run(self._write)
        except (KafkaException, TransactionFailed) as error:
            raise Unavailable(
                f"Kafka at {self._settings.kafka} does not answer as it should ({error}). No data is lost: after a "
                "restart the application continues from the last commit."
            ) from error
        finally:
            self._loop = None
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _wait_for_topics(self) -> int | None:
        """Wait until `lake apply` has created the metric's topics, and return the source's partition count.

        Returns None when stopped meanwhile. Raises Refusal for a changelog with another partition count.
        """
        source, metric = self._source, self._metric
        names = (source.topic, metric.topic, metric.changelog, metric.late, metric.undecodable)
        while missing := [name for name in names if name not in (counts := partition_counts(self._settings, names))]:
            waiting = f"the topics {', '.join(missing)}, which `lake apply` creates"
            if self.status.waiting_for != waiting:
                click.echo(f"{metric.name}: waiting for {waiting}", err=True)
            self.status.waiting_for = waiting
            self._write(self.status)
            time.sleep(_POLL_SECONDS)
            if self._stopping:
                return None
        self.status.waiting_for = ""
        if counts[source.topic] != counts[metric.changelog]:
            raise Refusal(
                f"the topic {source.topic} has {counts[source.topic]} partitions, but the metric '{metric.name}' was "
                f"made for {counts[metric.changelog]}: keys have moved to other partitions, so repeats would be "
                "counted. Raise the metric's major version and run `lake apply`."
            )
        return counts[source.topic]

    def _write(self, status: Status) -> None:
        write_status(self._path, status.as_dict())


def write_status(path: Path, numbers: dict[str, object]) -> None:
    """Replace a status file, so that a reader never sees part of it."""
    write_atomically(path, json.dumps(numbers), durable=False)
