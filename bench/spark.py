"""The same contract over the same raw files: DuckDB, Spark, and a plain Spark job, each in its own process.

    python -m bench.spark [--rows 1000000 10000000] [--data dirty] [--rounds 3]

All engines give the same good rows and count the same quarantined rows and duplicates; counts and a checksum are
compared in each round. DuckDB and Spark by the contract also write quarantined rows with their reasons, count by Kafka
partition, list unknown fields and run the contract's checks. The plain job (bench/peers/plain_spark.py) does not.

Start is the time from the start of the process until the session exists: for both Spark jobs, until their event log
has the executors. Work is the time from then until the session is stopped. CPU is that of all processes, with start.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from dagster_pipes import encode_param

from bench.figures import Figures, in_turns, options
from bench.sales import DATA, Outcome, good_rows, require_equal, write_raw
from lake_assets.catalog.json_codec import from_json, to_json
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.conform.request import Answer, Request
from lake_assets.conform.runner import SparkJob, run_to_end
from lake_assets.conform.runners.local import Local
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, load_settings

_UNSET = (
    "asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "partition_key_range",
    "partition_time_window",
)  # fmt: skip
# The run that Dagster Pipes describes to the job.
CONTEXT = {**dict.fromkeys(_UNSET), "run_id": "bench", "job_name": "bench", "retry_number": 0, "extras": {}}
NOW = "2026-02-01T00:00:00+00:00"
DUCKDB = """\
import json, sys, time
from pathlib import Path
from lake_assets.catalog.json_codec import from_json, to_json
from lake_assets.conform.duckdb import conform
from lake_assets.conform.request import Answer, Request
given = from_json(Request, Path(sys.argv[1]).read_text())
ready = time.time()
outputs = conform(given.asset, given.windows, given.out, Path(sys.argv[2]), "bench", "bench")
done = time.time()
answer = Answer(outputs, {}, (), "", "")
print(json.dumps({"ready": ready, "done": done, "answer": json.loads(to_json(answer))}))
"""
ENGINES = ("duckdb", "spark", "plain")
NAMES = {"duckdb": "DuckDB", "spark": "Spark by the contract", "plain": "plain Spark"}


@dataclass(frozen=True)
class Run:
    """One run of an engine: its result, seconds of its parts, CPU seconds, and the peak of resident bytes."""

    outcome: Outcome
    start: float
    work: float
    cpu: float
    peak: int


class Watch:
    """CPU seconds and the peak of resident bytes of all child processes, sampled five times a second."""

    def __enter__(self) -> "Watch":
        self.peak = 0
        self._seconds: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        return sum(self._seconds.values())

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            resident = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    resident += child.memory_info().rss
                    times = child.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                self._seconds[child.pid] = times.user + times.system
            self.peak = max(self.peak, resident)


def total(outputs: Sequence[WindowOutput]) -> Outcome:
    """Return the counts and the checksum of conform's output."""
    good, checksum = good_rows([path for output in outputs for path in output.good_files], "_kafka_partition")
    assert good == sum(output.good for output in outputs)
    quarantined, duplicates = sum(o.quarantined for o in outputs), sum(o.duplicates for o in outputs)
    return Outcome(good, checksum, quarantined, duplicates)


def on_duckdb(request: Request, folder: Path) -> tuple[Outcome, float, float]:
    """Conform on DuckDB. Return the result, and the start and end of work in seconds since 1970."""
    (folder / "request.json").write_text(to_json(request), "utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", DUCKDB, str(folder / "request.json"), str(scratch)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout
    fields = json.loads(printed)
    answer = from_json(Answer, json.dumps(fields["answer"]))
    return total(answer.outputs), fields["ready"], fields["done"]


def on_spark(request: Request, folder: Path, memory: str) -> tuple[Outcome, float, float]:
    """Conform on Spark by the contract; return as `on_duckdb`."""
    (folder / "request.json").write_text(to_json(request), "utf-8")
    arguments = (
        "--request", str(folder / "request.json"),
        "--dagster-pipes-context", encode_param({"data": CONTEXT}),
        "--dagster-pipes-messages", encode_param({"folder": str(folder / "messages")}),
    )  # fmt: skip
    with logged(folder) as events:
        runner = Local(folder / "home", PROJECT / "spark", memory)
        run_to_end(runner, SparkJob("lake-bench-1", arguments, {}), 3600, lambda _: None)
        ready, done = span(events())
    for path in (folder / "messages").glob("*.json"):
        for line in path.read_text("utf-8").splitlines():
            if answered := json.loads(line)["params"].get("payload", {}).get("answer"):
                answer = from_json(Answer, json.dumps(answered))
                assert not answer.failed, answer.failed
                return total(answer.outputs), ready, done
    raise AssertionError("the job gave no answer")


def on_plain_spark(request: Request, folder: Path, memory: str) -> tuple[Outcome, float, float]:
    """Conform by the plain Spark job; return as `on_duckdb`."""
    paths = [path for window in request.windows for path in window.paths]
    settings = {
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.showConsoleProgress": "false", "spark.driver.memory": memory,
    }  # fmt: skip
    command = [
        str(Path(sys.executable).with_name("spark-submit")), "--master", "local[*]",
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        str(PROJECT / "bench" / "peers" / "plain_spark.py"), str(folder / "plain"), *paths,
    ]  # fmt: skip
    with logged(folder) as events:
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        ready, done = span(events())
        plans = [event["physicalPlanDescription"] for event in events() if event["Event"].endswith("SQLExecutionStart")]
        parses = max(plan.count("from_json") for plan in plans)
        assert parses == 1, f"the plain job parses each payload {parses} times, which is no fair rival"
    counts = json.loads(printed.splitlines()[-1])
    good, checksum = good_rows([str(path) for path in (folder / "plain").glob("*.parquet")])
    return Outcome(good, checksum, counts["quarantined"], counts["good"] - good), ready, done


class logged:
    """Make Spark write its event log within the block; yield a function that reads the session's events."""

    def __init__(self, folder: Path) -> None:
        self._conf, self._events = folder / "conf", folder / "events"

    def __enter__(self) -> Callable[[], Iterator[dict[str, Any]]]:
        self._conf.mkdir()
        self._events.mkdir()
        settings = {"enabled": "true", "dir": f"file://{self._events}", "rolling.enabled": "false", "compress": "false"}
        text = "".join(f"spark.eventLog.{key} {value}\n" for key, value in settings.items())
        (self._conf / "spark-defaults.conf").write_text(text, "utf-8")
        os.environ["SPARK_CONF_DIR"] = str(self._conf)
        return self._read

    def __exit__(self, *_: object) -> None:
        del os.environ["SPARK_CONF_DIR"]

    def _read(self) -> Iterator[dict[str, Any]]:
        [path] = (path for path in self._events.iterdir() if not path.name.startswith("."))
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def span(events: Iterator[dict[str, Any]]) -> tuple[float, float]:
    """Return the time when the session had executors and the time of its stop, in seconds since 1970."""
    times = {event["Event"]: event["Timestamp"] / 1000 for event in events if "Timestamp" in event}
    return times["SparkListenerExecutorAdded"], times["SparkListenerApplicationEnd"]


def measure(rows: int, data: str, files: int, engines: list[str], memory: str, rounds: int) -> Figures:
    asset = read_files(load_settings()).assets["sales"]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        paths = write_raw(folder, rows, data, files)
        size = sum(Path(path).stat().st_size for path in paths)
        window = WindowInput("2026-01-01", tuple(paths), rows, size)
        condition = f"{rows:,} {data} rows in {files} raw files of {size / 1e6:,.1f} MB, heap of a Spark {memory}"
        figures = Figures("bench.spark", condition)

        def run(engine: str) -> Run:
            own = folder / engine
            own.mkdir()
            request = Request(asset, (window,), f"file://{own}/out", f"file://{own}", "n", "bench", NOW)
            began = time.time()
            with Watch() as watch:
                match engine:
                    case "duckdb":
                        outcome, ready, done = on_duckdb(request, own)
                    case "spark":
                        outcome, ready, done = on_spark(request, own, memory)
                    case _:
                        outcome, ready, done = on_plain_spark(request, own, memory)
            shutil.rmtree(own)
            return Run(outcome, ready - began, done - ready, watch.cpu, watch.peak)

        runs = in_turns({engine: lambda e=engine: run(e) for engine in engines}, rounds)
    for number in range(rounds):
        require_equal({NAMES[engine]: runs[engine][number].outcome for engine in engines})
    outcome = runs[engines[0]][0].outcome
    figures.condition += (
        f"; same output: {outcome.good:,} good, {outcome.quarantined:,} quarantined, {outcome.duplicates:,} duplicates"
    )
    add(figures, runs)
    return figures


def add(figures: Figures, runs: dict[str, list[Run]]) -> None:
    """Add the figures; work and CPU of the plain job are compared with those of Spark by the contract."""
    for what, unit, value in (
        ("start", "s", lambda run: run.start),
        ("work", "s", lambda run: run.work),
        ("CPU in all", "s", lambda run: run.cpu),
        ("peak memory", "MB", lambda run: run.peak / 1e6),
    ):
        ours = None
        for engine, found in runs.items():
            values = [value(run) for run in found]
            if engine == "plain" and ours and what in ("work", "CPU in all"):
                figures.add_rival(f"{what}, {NAMES[engine]}", values, ours)
            else:
                row = figures.add(f"{what}, {NAMES[engine]}", values, unit)
                ours = row if engine == "spark" else ours


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--data", choices=list(DATA), default="dirty")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--memory", default="4g", help="heap of a Spark's JVM")
    given = parser.parse_args(arguments)
    for rows in given.rows:
        measure(rows, given.data, given.files, given.engines, given.memory, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
