"""Cost of an audit of many windows, and of a replay of many quarantined rows.

    python -m bench.repair [--windows 1000] [--rows 100000] [--rounds 3]

Seconds are those of whole commands; those of `lake --help` are the start alone. The audit is of an asset with the given
number of daily windows, compared with the `lake run` that built them. The replay is of the given number of rows in 30
windows that a contract quarantined and its next version accepts, compared with the `lake run` that conformed them
first. Each round of the replay uses a new dataset.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figures, in_turns, options
from bench.lake import add_running, lake, quiet

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bench.{name}
name: {name}
version: 1.0.0
status: active
domain: bench
description: {{purpose: "One row per reading."}}
team: {{name: bench, members: [{{username: bench@example.com, role: owner}}]}}
customProperties:
  - {{property: landing, value: {{eventTime: read_at, window: day, partitions: 2}}}}
schema:
  - name: {name}
    properties:
      - {{name: reading, logicalType: integer, required: true, primaryKey: true, logicalTypeOptions: {{maximum: {most}}}}}
      - {{name: read_at, logicalType: timestamp, required: true}}
"""  # noqa: E501
FIRST = datetime(2021, 2, 1, 12, tzinfo=UTC)
REFUSED, TAKEN = -1, 10_000_000


def events(count: int, days: int) -> list[bytes]:
    """Generate readings, spread over days."""
    times = [(FIRST + timedelta(days=day)).isoformat() for day in range(days)]
    return [json.dumps({"reading": n, "read_at": times[n % days]}).encode() for n in range(count)]


def start(args: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[bytes]":
    line = [str(Path(sys.executable).parent / "lake"), *args]
    return subprocess.run(line, capture_output=True, check=False, env=environment)


def command(*args: str) -> tuple[float, str]:
    """Run a `lake` command, which must succeed; return its seconds and output."""
    began = time.perf_counter()
    done = start(args, os.environ)
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return took, done.stdout.decode()


def measure(windows: int, rows: int, rounds: int, running: bool) -> list[Figures]:
    names = [f"bench_replayed_{number}" for number in range(rounds)]
    contracts = {name: CONTRACT.format(name=name, most=REFUSED) for name in names}
    contracts["bench_audited"] = CONTRACT.format(name="bench_audited", most=TAKEN)
    with lake(["kafka", "connect", "postgres"], contracts, running=running) as (settings, _):
        from lake_assets.landing.produce import produce_lines
        from lake_assets.operations.apply import apply
        from lake_assets.orchestration.dagster_records import DagsterRecords
        from lake_assets.project import read_files

        apply(settings, DagsterRecords(settings), quiet)
        assets = read_files(settings).assets
        produce_lines(settings, assets["bench_audited"], events(windows, windows))
        made, _ = command("run")
        results = in_turns(
            {"audit": lambda: command("audit", "bench_audited", "--json"), "start": lambda: command("--help")}, rounds
        )
        assert all(len(json.loads(answer)[0]["windows"]) == windows for _, answer in results["audit"])
        audits = Figures("bench.repair", f"audit of {windows:,} windows")
        audits.add("lake audit", [seconds for seconds, _ in results["audit"]])
        audits.add("of which is the command's start", [seconds for seconds, _ in results["start"]])
        audits.add("the lake run that made them, once", [made])

        judged: list[float] = []
        replayed: list[float] = []
        for name in names:
            produce_lines(settings, assets[name], events(rows, 30))
            judged.append(command("run")[0])
            text = contracts[name].replace(f"maximum: {REFUSED}", f"maximum: {TAKEN}").replace("1.0.0", "1.1.0")
            (settings.catalog / "assets" / f"{name}.yaml").write_text(text, "utf-8")
            apply(settings, DagsterRecords(settings), quiet)
            replayed.append(command("replay", name)[0])
            [left] = json.loads(command("sql", f"select count(*) as n from {name}_staging.{name}", "--json")[1])
            assert left == {"n": rows}, left
        replays = Figures("bench.repair", f"replay of {rows:,} quarantined rows in {min(rows, 30)} windows")
        replays.add("lake replay", replayed)
        replays.add("the lake run that quarantined them", judged)
        return [audits, replays]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args(arguments)
    for figures in measure(given.windows, given.rows, given.rounds, given.running):
        figures.show(given.figures)


if __name__ == "__main__":
    main()
