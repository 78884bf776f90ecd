"""One late event into the oldest window: what it costs with a short and with a long history.

    python -m bench.late [--short 4] [--long 400]

Starts Kafka, Connect and Postgres in a lake of its own, which is removed afterwards. Two assets, of so many daily
windows each, are brought up to date by `lake run`; then each gets late events, one at a time, and is brought up to date
again. Times are those of `lake run` without its wait for Kafka Connect, median of five.
"""

import argparse
import json
import statistics
import time
from datetime import UTC, datetime, timedelta

from bench.batch_lake import batch_lake, quiet

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
  - {{property: landing, value: {{eventTime: read_at, window: day, start: 2025-01-01, partitions: 1}}}}
schema:
  - name: {name}
    properties:
      - {{name: reading, logicalType: integer, required: true, primaryKey: true}}
      - {{name: read_at, logicalType: timestamp, required: true}}
"""
FIRST = datetime(2025, 2, 1, 12, tzinfo=UTC)
REPEATS = 5


def event(number: int, at: datetime) -> bytes:
    return json.dumps({"reading": number, "read_at": at.isoformat()}).encode()


def measure(windows: dict[str, int]) -> None:
    with batch_lake({name: CONTRACT.format(name=name) for name in windows}) as settings:
        from lake_assets.landing.produce import produce_lines
        from lake_assets.orchestration.once import run_once
        from lake_assets.project import read_catalog

        assets = read_catalog(settings)
        for name, count in windows.items():
            lines = (event(number, FIRST + timedelta(days=number)) for number in range(count))
            produce_lines(settings, assets[name], lines)
        made = run_once(settings, quiet).published
        print(f"{'windows':>8} {'made again':>11} {'median s':>9} {'best':>6} {'worst':>6}")
        for name, count in windows.items():
            assert len(made[name]) == count, made[name]
            seconds: list[float] = []
            for repeat in range(REPEATS):
                produce_lines(settings, assets[name], [event(10_000 + repeat, FIRST)])
                began = time.perf_counter()
                report = run_once(settings, quiet)
                seconds.append(time.perf_counter() - began - report.waited_seconds)
                assert report.published == {name: [FIRST.date().isoformat()]}, report.published
            low, high = min(seconds), max(seconds)
            print(f"{count:>8} {1:>11} {statistics.median(seconds):>9.2f} {low:>6.2f} {high:>6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=4)
    parser.add_argument("--long", type=int, default=400)
    options = parser.parse_args()
    measure({"few": options.short, "many": options.long})


if __name__ == "__main__":
    main()
