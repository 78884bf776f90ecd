"""Host of many metrics in one process: starts, replaces and ends them by the catalog."""

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from stream_app.hosted import Definition, Hosted
from stream_app.metric_run import MetricRun
from stream_app.status import Status

TICK_SECONDS = 1.0
# Until a metric that was asked to end has ended.
_ENDING_TICK_SECONDS = 0.1
_STOP_SECONDS = 8.0
# Memory of batches that were folded stays with their threads: twenty metrics kept 300 MB that nothing used.
_RELEASE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Metrics to count, by name; `problems` are sentences about those that cannot be, `version` that of the files."""

    definitions: Mapping[str, Definition]
    problems: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """State of a host: the version of the files that it counts by, and failures as sentences, by the metric's name."""

    version: str = ""
    problems: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict[str, str])

    def as_dict(self) -> dict[str, object]:
        return {
            "time": time.time(),
            "version": self.version,
            "problems": list(self.problems),
            "failures": dict(self.failures),
        }


class Host:
    """Counts the wanted metrics until `stop`. A metric that fails stops alone."""

    def __init__(self, new_run: Callable[[Definition], MetricRun], pause_seconds: float = 1.0) -> None:
        self._new_run = new_run
        self._pause_seconds = pause_seconds
        self._hosted: dict[str, Hosted] = {}
        self._stop: queue.SimpleQueue[None] = queue.SimpleQueue()

    def stop(self) -> None:
        """Ask `run` to end all metrics and return; safe in a signal handler."""
        self._stop.put(None)

    def statuses(self) -> list[Status]:
        """Return the status of each metric that is being counted."""
        return [run.status for hosted in list(self._hosted.values()) if (run := hosted.run) is not None]

    def run(self, read: Callable[[], Wanted], on_tick: Callable[[HostStatus], None]) -> None:
        """Count what `read` returns, which is called about once a second, until `stop`."""
        version = ""
        # The only one of Arrow's pools that gives back what other threads have freed.
        pa.set_memory_pool(pa.system_memory_pool())
        released = time.monotonic()
        try:
            while True:
                wanted = read()
                if self._follow(wanted.definitions):
                    version = wanted.version
                failures = {name: hosted.failure for name, hosted in self._hosted.items() if hosted.failure}
                on_tick(HostStatus(version, wanted.problems, failures))
                if time.monotonic() - released >= _RELEASE_SECONDS:
                    pa.default_memory_pool().release_unused()
                    released = time.monotonic()
                pause = TICK_SECONDS if version == wanted.version else _ENDING_TICK_SECONDS
                if self._is_stopped(pause):
                    return
        finally:
            self._end_all()

    def _follow(self, wanted: Mapping[str, Definition]) -> bool:
        """Start and end metrics; return False while one that must end has not ended."""
        ending = False
        for name, hosted in list(self._hosted.items()):
            if wanted.get(name) == hosted.definition:
                continue
            hosted.stop()
            if hosted.is_alive:
                ending = True
            else:
                del self._hosted[name]
        for name, definition in wanted.items():
            if name not in self._hosted:
                self._hosted[name] = Hosted(definition, self._new_run, self._pause_seconds)
        return not ending

    def _is_stopped(self, seconds: float) -> bool:
        try:
            self._stop.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _end_all(self) -> None:
        for hosted in self._hosted.values():
            hosted.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for hosted in self._hosted.values():
            hosted.join(max(0.0, deadline - time.monotonic()))
