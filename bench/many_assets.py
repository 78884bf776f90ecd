"""Measure what commands cost with many assets: contracts like the example's `leads`, in ten domains, in an empty lake.

    python -m bench.many_assets [--assets 1000] [--rounds 3] [--events 5]

With `--events`, the whole stack is then started. Events of one asset are sent one by one, each followed until its
window is published. Compare with `--assets 3`.

Seconds are those of whole commands of an operator, with a process's start; beside each its own processor time (user
and system, without the servers'), which other work on the machine changes less. The first `lake apply` finds an empty
lake and is measured once; later ones find one contract of all changed. Loading Dagster's definitions is measured in a
process of its own, with the most memory that it had.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter, sleep

import dagster as dg
import psutil

from bench import repair
from bench.figures import Figures, options
from bench.lake import add_running, lake
from lake_assets.catalog.model import Asset
from lake_assets.landing.produce import produce_lines
from lake_assets.ledger.applied import applied_catalog
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.run_requests import Graph
from lake_assets.orchestration.sensors import raw_windows_sensor
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.lifecycle import down, status

DOMAINS = 10
DEADLINE_SECONDS = 300.0
# Prints seconds without the interpreter's start, and the most MB it had.
LOAD = """\
import resource, time
began = time.perf_counter()
import lake_assets.definitions
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of one command on the clock and on the processor."""

    seconds: float
    processor: float
    output: str


def contracts(count: int) -> dict[str, str]:
    """Return this number of contracts by name, each with the fields and rules of `leads`."""
    text = (PROJECT / "lake_assets" / "catalog" / "assets" / "leads.yaml").read_text("utf-8")
    made: dict[str, str] = {}
    for number in range(count):
        name, domain = f"bench_many_{number:04}", f"bench{number % DOMAINS}"
        own = text.replace("id: crm.leads", f"id: {domain}.{name}").replace("domain: crm", f"domain: {domain}")
        made[name] = own.replace("name: leads\n", f"name: {name}\n")
    return made


def command(*args: str, okay: Sequence[int] = (0,)) -> Cost:
    """Measure a `lake` command, which must end with one of these codes."""
    return _cost(f"lake {' '.join(args)}", lambda: repair.start(args, os.environ), okay)


def load() -> Cost:
    """Measure the loading of Dagster's definitions."""
    return _cost(
        "loading definitions",
        lambda: subprocess.run([sys.executable, "-c", LOAD], cwd=PROJECT, capture_output=True, check=False),
    )


def _cost(what: str, run: Callable[[], "subprocess.CompletedProcess[bytes]"], okay: Sequence[int] = (0,)) -> Cost:
    before, began = os.times(), perf_counter()
    done = run()
    took, after = perf_counter() - began, os.times()
    if done.returncode not in okay:
        raise SystemExit(f"{what} ended with {done.returncode}: {done.stderr.decode()}{done.stdout.decode()}")
    # Of this process and its children, without the clock that is the last number.
    cost = Cost(took, sum(after[:4]) - sum(before[:4]), done.stdout.decode())
    print(f"{what}: {cost.seconds:.1f} s, of the processor {cost.processor:.1f} s", file=sys.stderr, flush=True)
    return cost


def _add(figures: Figures, what: str, costs: Sequence[Cost]) -> None:
    figures.add(what, [cost.seconds for cost in costs])
    figures.add(f"{what}: processor", [cost.processor for cost in costs])


def follow(settings: Settings, asset: Asset) -> float:
    """Return the seconds from the call that sends an event to the publication of its window."""
    now = datetime.now(UTC)
    lead = {"lead_id": f"bench-{now:%H%M%S%f}", "origin": "web", "country": "DE", "consent": True,
            "created_at": now.isoformat(timespec="milliseconds")}  # fmt: skip
    with Ledger(settings) as ledger:
        before = _good(ledger, asset)
        sent = perf_counter()
        produce_lines(settings, asset, [json.dumps(lead).encode()])
        while _good(ledger, asset) == before:
            if perf_counter() - sent > DEADLINE_SECONDS:
                raise SystemExit("the event was not published in five minutes: look at `lake status`")
            sleep(0.05)
    return perf_counter() - sent


def _good(ledger: Ledger, asset: Asset) -> int:
    return sum(window.good for window in ledger.windows(asset))


def ticks(settings: Settings, changed: str, rounds: int) -> list[float]:
    """Return the seconds of ticks of the sensor that find one changed raw table, without the time that they wait."""
    assets = applied_catalog(settings).assets
    sensor = raw_windows_sensor(settings, assets, Graph({}, {}), [])
    with Ledger(settings) as ledger:
        cursors = ledger.cursors()
    del cursors[changed]
    seconds: list[float] = []
    for _ in range(rounds):
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance, cursor=json.dumps({"cursors": cursors})) as context,
        ):
            began = perf_counter()
            result = sensor.evaluate_tick(context)
            seconds.append(perf_counter() - began)
        assert result.asset_events, "the tick found no change"
    return seconds


def memory() -> dict[str, float]:
    """Return the MB of Dagster's processes."""
    parts = {part.name: psutil.Process(part.pid) for part in status() if part.pid}
    processes = {name: parts[name] for name in ("code", "daemon", "webserver")}
    for child in parts["code"].children():
        if "multiprocessing.forkserver" in " ".join(child.cmdline()):
            processes["the fork server of runs"] = child
    return {name: process.memory_info().rss / 2**20 for name, process in processes.items()}


def measure_events(figures: Figures, settings: Settings, name: str, events: int) -> None:
    """Start the whole stack, then follow events of one asset."""
    _add(figures, "lake up, of a lake that stood still", [command("up")])
    _add(figures, "lake status, all parts", [command("status", okay=(0, 3))])
    asset = applied_catalog(settings).assets[name]
    # The first one also waits for the daemon's start.
    seconds = [follow(settings, asset) for _ in range(events + 1)][1:]
    figures.add("event to staging", seconds)
    figures.add("tick of the sensor, one changed", ticks(settings, name, events))
    for part, megabytes in memory().items():
        figures.add(f"memory of {part}", [megabytes], "MB")


def measure(assets: int, rounds: int, events: int, running: bool) -> Figures:
    texts = contracts(assets)
    changed = next(iter(texts))
    with lake(["kafka", "connect", "postgres"], texts, running=running) as (settings, _):
        figures = Figures("bench.many_assets", f"{assets:,} assets in {min(assets, DOMAINS)} domains, an empty lake")
        _add(figures, "lake plan, all new", [command("plan")])
        _add(figures, "lake apply, all new", [command("apply")])
        path = settings.catalog / "assets" / f"{changed}.yaml"
        one_changed: list[Cost] = []
        for number in range(rounds):
            text = texts[changed].replace("1.0.0", f"1.{number + 1}.0")
            text = text.replace("maxLength: 80", f"maxLength: {81 + number}")
            path.write_text(text, "utf-8")
            one_changed.append(command("apply"))
        _add(figures, "lake apply, one changed", one_changed)
        _add(figures, "lake plan, nothing to do", [command("plan") for _ in range(rounds)])
        # 3: some parts of the stack are not started here.
        _add(figures, "lake status", [command("status", okay=(0, 3)) for _ in range(rounds)])
        _add(figures, "lake status ASSET", [command("status", changed, okay=(0, 3)) for _ in range(rounds)])
        # 1: what else is in a lake that runs may not be in balance.
        _add(figures, "lake audit", [command("audit", okay=(0, 1) if running else (0,)) for _ in range(rounds)])
        # The first one makes dbt's manifest, which all later ones read.
        loads = [load() for _ in range(rounds + 1)][1:]
        figures.add("load definitions", [float(one.output.split()[0]) for one in loads])
        figures.add("load definitions: processor, with its start", [one.processor for one in loads])
        figures.add("load definitions: most memory", [float(one.output.split()[1]) for one in loads], "MB")
        if events:
            if not running:
                down()
            measure_events(figures, settings, changed, events)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--events", type=int, default=0, help="events to follow, each to its publication")
    given = parser.parse_args(arguments)
    measure(given.assets, given.rounds, given.events, given.running).show(given.figures)


if __name__ == "__main__":
    main()
