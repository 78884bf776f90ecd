"""How long an event takes to be seen in a mart on an idle lake, and where the time goes.

    lake demo && .venv/bin/python bench/freshness.py [--events 20]

Sends sales one by one to the running lake at LAKE_HOME, each after the last was seen in `sales_data_mart.sales` by
the analyst. The stages are read from the raw table's snapshot and from Dagster's own record of the run.
"""

import argparse
import json
import os
import statistics
import time
import uuid
from datetime import UTC, datetime

import dagster as dg
import psycopg

from lake_assets.catalog.model import Asset
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.snapshots import read_table
from lake_assets.orchestration.assets import QUEUED_ONLY
from lake_assets.project import read_catalog
from lake_assets.settings import Settings, load_settings

STAGES = ("commit", "sensor", "launch", "conform", "dbt", "other", "whole")
DEADLINE_SECONDS = 300.0
QUERY = "select coalesce(sum(orders), 0) from sales_data_mart.sales where day = %s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20)
    given = parser.parse_args()
    settings = load_settings()
    os.environ.setdefault("DAGSTER_HOME", str(settings.home / "dagster"))
    sales = read_catalog(settings)["sales"]
    taken: dict[str, list[float]] = {stage: [] for stage in STAGES}
    with dg.DagsterInstance.get() as instance:
        for number in range(given.events):
            stages = measure(settings, sales, instance)
            for stage in STAGES:
                taken[stage].append(stages[stage])
            print(f"event {number + 1:>3}  " + "  ".join(f"{s} {stages[s]:5.1f}" for s in STAGES), flush=True)
    print()
    for stage in STAGES:
        values = taken[stage]
        print(f"{stage:<8} median {statistics.median(values):5.1f} s   worst {max(values):5.1f} s")


def measure(settings: Settings, sales: Asset, instance: dg.DagsterInstance) -> dict[str, float]:
    """Seconds of each stage of one event."""
    now = datetime.now(UTC)
    sale = {"order_id": f"bench-{uuid.uuid4().hex[:12]}", "region": "south", "product": "mug", "quantity": 1,
            "amount": "12.50", "ordered_at": now.isoformat(timespec="milliseconds")}  # fmt: skip
    with psycopg.connect(settings.postgres.conninfo("analyst"), autocommit=True) as session:
        before = _orders(session, now)
        sent = time.time()
        produce_lines(settings, sales, [json.dumps(sale).encode()])
        while _orders(session, now) == before:
            if time.time() - sent > DEADLINE_SECONDS:
                raise SystemExit("the event was not seen in five minutes: look at `lake status`")
            time.sleep(0.05)
        seen = time.time()
    committed = read_table(settings, sales, lambda table: table.current_snapshot().timestamp_ms) / 1000  # type: ignore
    record = instance.get_run_records(dg.RunsFilter(tags={QUEUED_ONLY: "true"}), limit=1)[0]
    steps = {step.step_key: step for step in instance.get_run_step_stats(record.dagster_run.run_id)}
    created, started = record.create_timestamp.timestamp(), record.start_time or seen
    conformed = _seconds(steps.get("conform_sales"), seen)
    built = _seconds(steps.get("marts"), seen)
    return {
        "commit": committed - sent,
        "sensor": created - committed,
        "launch": started - created,
        "conform": conformed,
        "dbt": built,
        "other": seen - started - conformed - built,
        "whole": seen - sent,
    }


def _orders(session: psycopg.Connection, now: datetime) -> int:
    row = session.execute(QUERY, [now.date()]).fetchone()
    return int(row[0]) if row else 0


def _seconds(step: object, seen: float) -> float:
    start, end = getattr(step, "start_time", None), getattr(step, "end_time", None)
    return (min(end or seen, seen) - start) if start else 0.0


if __name__ == "__main__":
    main()
