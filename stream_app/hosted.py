"""One metric of a host: a thread that counts it, and starts again after a failure, with growing pauses."""

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import click

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from stream_app.metric_run import MetricRun

LONGEST_PAUSE_SECONDS = 60.0
# A run that lasted so long was no failed start: the pauses are short once more.
_LASTING_SECONDS = 60.0
# A run that lasted so long has its partitions: what made the one before fail is over.
_SETTLED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric and the asset it counts: what a run is made of."""

    metric: Metric
    source: Asset


class Hosted:
    """One metric in a thread of its own. What it raises ends its run and no other metric's."""

    def __init__(
        self, definition: Definition, new_run: Callable[[Definition], MetricRun], pause_seconds: float = 1.0
    ) -> None:
        self.definition = definition
        self._failure = ""
        self._began = time.monotonic()
        self.run: MetricRun | None = None
        self._new_run = new_run
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._count, name=definition.metric.name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def failure(self) -> str:
        """Return why the metric is stopped, or was until a moment ago; empty for one that counts."""
        is_settled = self.run is not None and time.monotonic() - self._began >= _SETTLED_SECONDS
        return "" if is_settled else self._failure

    def stop(self) -> None:
        """Ask the metric to commit and end; returns at once."""
        self._stopping.set()
        if run := self.run:
            run.stop()

    def join(self, seconds: float) -> None:
        """Wait until the metric has ended, at most so long."""
        self._thread.join(seconds)

    def _count(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._began = time.monotonic()
            self._run_once()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - self._began >= _LASTING_SECONDS else failures + 1
            self._stopping.wait(min(failures * self._pause_seconds, LONGEST_PAUSE_SECONDS))

    def _run_once(self) -> None:
        try:
            self.run = self._new_run(self.definition)
            if not self._stopping.is_set():  # `stop` may have come before it could see the run
                self.run.run()
        # A metric's own function may raise anything, also what would end a process.
        except BaseException as error:
            self._failure = _sentence(error)
            click.echo(f"stream_app: {self.definition.metric.name} stopped: {self._failure}", err=True)
        finally:
            self.run = None


def _sentence(error: BaseException) -> str:
    if isinstance(error, LakeError):
        return str(error)
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"
