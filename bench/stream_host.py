"""Memory and idle time of many metrics in one process, beside a process for each, and the cost of a second metric.

    python -m bench.stream_host [--assets 4] [--metrics 20] [--events 100000] [--seconds 20] [--rounds 1]

All metrics first count new events of their asset's topic, so memory is that of processes that have worked. Idle time is
then measured over the given seconds, in percent of a core. The cost of the second metric is the processor time for the
events that two metrics of one topic take more than one alone, in percent of that one's.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.figures import Figures, in_turns, options
from bench.lake import add_running, lake
from bench.stream import METRIC, PARTITIONS, contract, events
from bench.stream_lake import stop
from lake_assets.catalog.metric import Metric
from lake_assets.compile.metric_topics import metric_topics
from lake_assets.compile.topic import topic_spec
from lake_assets.home import Home
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.topics import ensure_topics
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings

INSTANCE = "bench"
READY_SECONDS = 300.0
SETTLE_SECONDS = 3.0
# Processor times are counted in steps of so many seconds.
CLOCK_TICK = 0.01
_NAMES = {"memory": "memory", "idle": "time of a core when idle", "busy": "time of a core for the events"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of processes: memory in MB, idle time in percent of a core, and seconds of a core for the events."""

    memory: float
    idle: float
    busy: float


class Bench:
    """Topics and metrics of a running lake; each measurement sends as many new events to each topic it reads."""

    def __init__(self, settings: Settings, folder: Path, count: int, seconds: float) -> None:
        self._settings, self._folder, self._count, self._seconds = settings, folder, count, seconds
        self._catalog = read_files(settings)
        self._sent = 0

    def measure(self, commands: Sequence[Sequence[str]]) -> Cost:
        """Measure processes of stream_app, each of which counts these metrics."""
        metrics = [self._catalog.metrics[name] for command in commands for name in command]
        with self._started(commands) as processes:
            self._wait(metrics, lambda numbers: numbers.get("partitions") == PARTITIONS)
            began = _seconds(processes)
            for source in dict.fromkeys(metric.source for metric in metrics):
                produce_lines(self._settings, self._catalog.assets[source], events(self._count, self._sent))
            self._sent += self._count
            self._wait(metrics, lambda numbers: numbers.get("events", 0) >= self._count)
            busy = max(_seconds(processes) - began, CLOCK_TICK)
            time.sleep(SETTLE_SECONDS)
            before = _seconds(processes)
            time.sleep(self._seconds)
            idle = max(_seconds(processes) - before, CLOCK_TICK) / self._seconds
            return Cost(sum(process.memory_info().rss for process in processes) / 1e6, 100 * idle, busy)

    @contextmanager
    def _started(self, commands: Sequence[Sequence[str]]) -> Iterator[list[psutil.Popen]]:
        processes: list[psutil.Popen] = []
        try:
            with (self._folder / "stream.log").open("ab") as log:
                for command in commands:
                    arguments = [sys.executable, "-m", "stream_app", *command, "--instance", INSTANCE]
                    processes.append(psutil.Popen(arguments, cwd=PROJECT, stdout=log, stderr=log))
            yield processes
        finally:
            for process in processes:
                if process.is_running():
                    stop(process)

    def _wait(self, metrics: Sequence[Metric], condition: Callable[[dict[str, Any]], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        home = Home(self._settings.home)
        while not all(condition(_numbers(home.metric_status(metric.table, INSTANCE))) for metric in metrics):
            if time.monotonic() > deadline:
                log = (self._folder / "stream.log").read_text("utf-8")
                raise TimeoutError(f"not within {READY_SECONDS:.0f} s: {log[-2000:]}")
            time.sleep(0.1)


def _numbers(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}


def _seconds(processes: Sequence[psutil.Popen]) -> float:
    """Return the processor time that the processes have taken."""
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def measure(assets: int, metrics: int, count: int, seconds: float, rounds: int, running: bool) -> Figures:
    sources = {f"bench_host_{number}": [] for number in range(assets)}
    for number, source in zip(range(metrics), itertools.cycle(sources)):
        sources[source].append(f"{source}_{number}_by_region")
    many = [name for names in sources.values() for name in names]
    single, pair = ["bench_single_by_region"], ["bench_pair_0_by_region", "bench_pair_1_by_region"]
    sources |= {"bench_single": single, "bench_pair": pair}
    texts = {
        name: METRIC.format(name=name.removesuffix("_by_region")).replace(
            f"source: {name.removesuffix('_by_region')}", f"source: {source}"
        )
        for source, names in sources.items()
        for name in names
    }
    contracts = {source: contract(source) for source in sources}
    with lake(["kafka"], contracts, texts, running) as (settings, folder):
        catalog = read_files(settings)
        ensure_topics(settings, [topic_spec(asset) for asset in catalog.assets.values()])
        for metric in catalog.metrics.values():
            ensure_topics(settings, metric_topics(metric, catalog.assets[metric.source]))
        bench = Bench(settings, folder, count, seconds)
        costs = in_turns(
            {
                "one process": lambda: bench.measure([many]),
                "a process each": lambda: bench.measure([[name] for name in many]),
                "one metric": lambda: bench.measure([single]),
                "two metrics": lambda: bench.measure([pair]),
            },
            rounds,
        )
    figures = Figures("bench.stream_host", f"{metrics} metrics over {assets} assets, {count:,} events each, then idle")
    for what, unit in (("memory", "MB"), ("idle", "%"), ("busy", "s")):
        own = figures.add(f"{_NAMES[what]}, one process", [getattr(cost, what) for cost in costs["one process"]], unit)
        figures.add_rival(
            f"{_NAMES[what]}, a process each", [getattr(cost, what) for cost in costs["a process each"]], own
        )
    pairs = zip(costs["one metric"], costs["two metrics"], strict=True)
    more = [100 * (two.busy - one.busy) / one.busy for one, two in pairs]
    figures.add("second metric of a topic, beside the first", more, "%")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=1))
    parser.add_argument("--assets", type=int, default=4)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args(arguments)
    measure(given.assets, given.metrics, given.events, given.seconds, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
