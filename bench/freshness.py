"""Time from an event to its row in a mart on an idle lake, by stage.

    python -m bench.freshness [--rounds 20]

Sends sales one by one, each after the analyst can read the previous one in `sales_data_mart.sales`. The stages are read
from the raw table's snapshot and from Dagster's record of the run. The first event is not measured: it makes the mart.
"""

import json
import os
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from unittest import mock

import dagster as dg
import psycopg

from bench.figures import Figures, options
from bench.lake import add_running, lake, quiet
from lake_assets.catalog.model import Asset
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.snapshots import read_table
from lake_assets.operations.apply import apply
from lake_assets.orchestration.assets import QUEUED_ONLY, STEP
from lake_assets.orchestration.dagster_records import DagsterRecords
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions

STAGES = ("commit", "sensor", "launch", "conform", "dbt", "other", "whole")
DEADLINE_SECONDS = 300.0
QUERY = "select coalesce(sum(orders), 0) from sales_data_mart.sales where day = %s"


def follow(settings: Settings, sales: Asset, instance: dg.DagsterInstance) -> dict[str, float]:
    """Measure the seconds of each stage of one event."""
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
    conformed = _seconds(steps.get(f"conform_sales.{STEP}"), seen)
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
    """Return the orders of the day, 0 while the mart does not exist."""
    try:
        row = session.execute(QUERY, [now.date()]).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    return int(row[0]) if row else 0


def _seconds(step: object, seen: float) -> float:
    start, end = getattr(step, "start_time", None), getattr(step, "end_time", None)
    return (min(end or seen, seen) - start) if start else 0.0


def measure(settings: Settings, rounds: int) -> Figures:
    sales = read_files(settings).assets["sales"]
    with (
        mock.patch.dict(os.environ, {"DAGSTER_HOME": str(settings.home / "dagster")}),
        dg.DagsterInstance.get() as instance,
    ):
        events = [follow(settings, sales, instance) for _ in range(rounds + 1)][1:]
    figures = Figures("bench.freshness", "one event at a time, idle lake, from the call that sends it")
    figures.add("to the mart", [event["whole"] for event in events])
    for stage in STAGES[:-1]:
        figures.add(f"of which {stage}", [event[stage] for event in events])
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=20))
    given = parser.parse_args(arguments)
    with lake(None, running=given.running) as (settings, _):
        if not given.running:
            apply(settings, DagsterRecords(settings), quiet)
            reload_definitions()
        measure(settings, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
