"""What proof and repair cost: an audit of many windows, and a replay of many quarantined rows.

    python -m bench.repair [--windows 1000] [--rows 100000]

Starts Kafka, Connect and Postgres in a lake of its own, which is removed afterwards. All is done by the commands of an
operator, and seconds are those of the whole command; beside them those of `lake --help`, which are its start alone.
The audit is of an asset with so many daily windows, beside the `lake run` that made them. The replay is of so many rows
in 30 windows that a contract refused and its next version takes, beside the `lake run` that judged them first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.batch_lake import batch_lake

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
  - {{property: landing, value: {{eventTime: read_at, window: day, start: 2020-01-01, partitions: 2}}}}
schema:
  - name: {name}
    properties:
      - {{name: reading, logicalType: integer, required: true, primaryKey: true, logicalTypeOptions: {{maximum: {most}}}}}
      - {{name: read_at, logicalType: timestamp, required: true}}
"""  # noqa: E501
FIRST = datetime(2021, 2, 1, 12, tzinfo=UTC)
REPEATS = 5
REFUSED, TAKEN = -1, 10_000_000


def events(count: int, days: int) -> bytes:
    """So many readings, over so many days."""
    times = [(FIRST + timedelta(days=day)).isoformat() for day in range(days)]
    return b"\n".join(json.dumps({"reading": n, "read_at": times[n % days]}).encode() for n in range(count))


def lake(*args: str, given: bytes = b"") -> tuple[float, str]:
    """Seconds and answer of a command, which must succeed."""
    began = time.perf_counter()
    command = [str(Path(sys.executable).parent / "lake"), *args]
    done = subprocess.run(command, input=given, capture_output=True, check=False, env=os.environ)
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return took, done.stdout.decode()


def measure(windows: int, rows: int) -> None:
    contracts = {
        "audited": CONTRACT.format(name="audited", most=TAKEN),
        "replayed": CONTRACT.format(name="replayed", most=REFUSED),
    }
    with batch_lake(contracts) as settings:
        start = statistics.median(lake("--help")[0] for _ in range(REPEATS))
        lake("produce", "audited", "-", "--format", "jsonl", given=events(windows, windows))
        made, _ = lake("run")
        audits = [lake("audit", "audited", "--json") for _ in range(REPEATS)]
        assert all(len(json.loads(answer)[0]["windows"]) == windows for _, answer in audits)
        median = statistics.median(seconds for seconds, _ in audits)
        print(f"audit of {windows:,} windows: median {median:.2f} s, of which {start:.2f} s is the command's start")
        print(f"  the lake run that made them: {made:.1f} s; the audit's own share of it {(median - start) / made:.1%}")

        lake("produce", "replayed", "-", "--format", "jsonl", given=events(rows, 30))
        judged, _ = lake("run")
        text = contracts["replayed"].replace(f"maximum: {REFUSED}", f"maximum: {TAKEN}").replace("1.0.0", "1.1.0")
        (settings.catalog / "assets" / "replayed.yaml").write_text(text, "utf-8")
        lake("apply")
        replayed, answer = lake("replay", "replayed")
        print(f"replay of {rows:,} quarantined rows in 30 windows: {replayed:.1f} s, {answer.strip().splitlines()[-1]}")
        print(f"  the lake run that put them there: {judged:.1f} s; ratio {replayed / judged:.2f}")
        [left] = json.loads(lake("sql", "select count(*) as n from replayed_staging.replayed", "--json")[1])
        assert left == {"n": rows}, left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    measure(options.windows, options.rows)


if __name__ == "__main__":
    main()
