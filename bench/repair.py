"""What proof and repair cost: an audit of many windows, and a replay of many quarantined rows.

    python -m bench.repair [--windows 1000] [--rows 100000]

Starts Kafka, Connect and Postgres in a lake of its own, which is removed afterwards. The audit is `lake audit` of an
asset with so many daily windows (median of five, in one process), beside the `lake run` that made them. The replay is
`lake replay` of so many rows that a contract refused and its next version takes, with the marts behind it left out,
beside the `lake run` that judged them first.
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


def event(number: int, at: datetime) -> bytes:
    return json.dumps({"reading": number, "read_at": at.isoformat()}).encode()


def measure(windows: int, rows: int) -> None:
    contracts = {
        "audited": CONTRACT.format(name="audited", most=TAKEN),
        "replayed": CONTRACT.format(name="replayed", most=REFUSED),
    }
    with batch_lake(contracts) as settings:
        from lake_assets.landing.produce import produce_lines
        from lake_assets.orchestration.apply import apply
        from lake_assets.orchestration.audit import audit
        from lake_assets.orchestration.once import make_windows, run_once
        from lake_assets.orchestration.replay import replay, select
        from lake_assets.project import read_catalog

        assets = read_catalog(settings)

        def run(name: str, count: int, days: int) -> float:
            lines = (event(number, FIRST + timedelta(days=number % days)) for number in range(count))
            produce_lines(settings, assets[name], lines)
            began = time.perf_counter()
            report = run_once(settings, quiet)
            assert len(report.published[name]) == days, report
            return time.perf_counter() - began - report.waited_seconds

        made = run("audited", windows, windows)
        seconds: list[float] = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            (found,) = audit(settings, [assets["audited"]])
            seconds.append(time.perf_counter() - began)
            assert found.in_balance, found
        median = statistics.median(seconds)
        print(f"audit of {windows:,} windows: median {median:.2f} s, worst {max(seconds):.2f} s")
        print(f"  the lake run that made them: {made:.1f} s, of which the audit would be {median / made:.1%}")

        judged = run("replayed", rows, 30)
        (settings.catalog / "assets" / "replayed.yaml").write_text(
            contracts["replayed"].replace(f"maximum: {REFUSED}", f"maximum: {TAKEN}").replace("1.0.0", "1.1.0"), "utf-8"
        )
        apply(settings, quiet)
        assets = read_catalog(settings)
        began = time.perf_counter()
        selection = select(settings, assets["replayed"], None, None, None)
        replayed = replay(
            settings,
            assets["replayed"],
            selection,
            lambda pending: make_windows(settings, assets, pending, quiet).failed,
        )
        took = time.perf_counter() - began
        assert (replayed.passed, replayed.failing) == (rows, 0), replayed
        print(f"replay of {rows:,} quarantined rows in 30 windows: {took:.1f} s, all of them passed")
        print(f"  the lake run that put them there: {judged:.1f} s; ratio {took / judged:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    measure(options.windows, options.rows)


if __name__ == "__main__":
    main()
