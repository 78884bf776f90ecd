"""Cost of one late event in the oldest window, with a short and with a long history.

    python -m bench.late [--short 4] [--long 400] [--rounds 5]

`lake run` builds two assets with the given numbers of daily windows. Then each receives a late event in turn and is
built again. Seconds are those of `lake run` without its wait for Kafka Connect.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

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
  - {{property: landing, value: {{eventTime: read_at, window: day, partitions: 1}}}}
schema:
  - name: {name}
    properties:
      - {{name: reading, logicalType: integer, required: true, primaryKey: true}}
      - {{name: read_at, logicalType: timestamp, required: true}}
"""
FIRST = datetime(2025, 2, 1, 12, tzinfo=UTC)


def event(number: int, at: datetime) -> bytes:
    return json.dumps({"reading": number, "read_at": at.isoformat()}).encode()


def measure(windows: dict[str, int], rounds: int, running: bool) -> Figures:
    contracts = {name: CONTRACT.format(name=name) for name in windows}
    with lake(["kafka", "connect", "postgres"], contracts, running=running) as (settings, _):
        from lake_assets.landing.produce import produce_lines
        from lake_assets.operations.apply import apply
        from lake_assets.orchestration.dagster_records import DagsterRecords
        from lake_assets.orchestration.in_process import run_once
        from lake_assets.project import read_files

        apply(settings, DagsterRecords(settings), quiet)
        assets = read_files(settings).assets
        for name, count in windows.items():
            lines = (event(number, FIRST + timedelta(days=number)) for number in range(count))
            produce_lines(settings, assets[name], lines)
        published = run_once(settings, quiet).published
        assert {name: len(published[name]) for name in windows} == windows, published
        sent = max(windows.values())

        def rebuild(name: str) -> float:
            nonlocal sent
            produce_lines(settings, assets[name], [event(sent, FIRST)])
            sent += 1
            began = time.perf_counter()
            report = run_once(settings, quiet)
            seconds = time.perf_counter() - began - report.waited_seconds
            assert report.published == {name: [FIRST.date().isoformat()]}, report.published
            return seconds

        figures = Figures("bench.late", "one late event, which rebuilds one window")
        seconds = in_turns({name: lambda n=name: rebuild(n) for name in windows}, rounds)
        for name, count in windows.items():
            figures.add(f"with {count} windows of history", seconds[name])
        return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=5))
    parser.add_argument("--short", type=int, default=4, help="windows of the short history")
    parser.add_argument("--long", type=int, default=400, help="windows of the long history")
    given = parser.parse_args(arguments)
    measure({"bench_few": given.short, "bench_many": given.long}, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
