"""Time from an event to its row in a mart by stage, on an idle lake and under events to all three assets.

    python -m bench.freshness [--rounds 20] [--rate 2000]

Sends sales one by one, each after the analyst can read the previous one in `sales_data_mart.sales`, which it is known
by: no other sale costs a billion. The stages are read from the raw table's snapshots and from Dagster's record of the
run that made the row. The first event is not measured: it makes the mart. `--rate` is what is sent besides, in events a
second for the three example assets together, with times of the last day.
"""

import itertools
import json
import os
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import dagster as dg
import psycopg

from bench.figures import Figures, options
from bench.lake import add_running, lake, quiet
from lake_assets.catalog.model import Asset
from lake_assets.demo.generator import generate
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.snapshots import read_table
from lake_assets.operations.apply import apply
from lake_assets.orchestration.assets import QUEUED_ONLY, STEP
from lake_assets.orchestration.dagster_records import DagsterRecords
from lake_assets.orchestration.run_requests import DOMAIN
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions

EXAMPLES = ("leads", "contracts", "sales")
STAGES = ("commit", "sensor", "launch", "conform", "dbt", "other", "whole")
DEADLINE_SECONDS = 300.0
# No other sale of the lake costs so much: the sum of a day has as many of these as were counted.
MARK = 1_000_000_000
QUERY = "select coalesce(sum(amount), 0) from sales_data_mart.sales where day = %s"


def follow(settings: Settings, sales: Asset, instance: dg.DagsterInstance) -> dict[str, float]:
    """Measure the seconds of each stage of one event; its commit is the first one after it was sent."""
    now = datetime.now(UTC)
    sale = {"order_id": f"bench-{uuid.uuid4().hex[:12]}", "region": "south", "product": "mug", "quantity": 1,
            "amount": f"{MARK}.00", "ordered_at": now.isoformat(timespec="milliseconds")}  # fmt: skip
    with psycopg.connect(settings.postgres.conninfo("analyst"), autocommit=True) as session:
        before = _marked(session, now)
        sent = time.time()
        produce_lines(settings, sales, [json.dumps(sale).encode()])
        while _marked(session, now) == before:
            if time.time() - sent > DEADLINE_SECONDS:
                raise SystemExit("the event was not seen in five minutes: look at `lake status`")
            time.sleep(0.05)
        seen = time.time()
    commits = read_table(settings, sales, lambda table: [each.timestamp_ms / 1000 for each in table.snapshots()])
    committed = min(commit for commit in commits if commit >= sent)
    created, started, steps = _run(instance, sales, seen)
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


def _marked(session: psycopg.Connection, now: datetime) -> int:
    """Return the day's marked sales, 0 while the mart does not exist."""
    try:
        row = session.execute(QUERY, [now.date()]).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    return int(row[0] // MARK) if row else 0


def _run(instance: dg.DagsterInstance, sales: Asset, seen: float) -> tuple[float, float, dict[str, Any]]:
    """Return when the run that made the row was created and started, and its steps: the newest that had got to dbt."""
    for record in instance.get_run_records(dg.RunsFilter(tags={QUEUED_ONLY: "true"}), limit=10):
        if record.dagster_run.tags.get(DOMAIN, sales.domain) != sales.domain:
            continue
        steps = {step.step_key: step for step in instance.get_run_step_stats(record.dagster_run.run_id)}
        if _seconds(steps.get("marts"), seen) > 0:
            return record.create_timestamp.timestamp(), record.start_time or seen, steps
    raise SystemExit("no run of the sensor made the mart: look at `lake status`")


def _seconds(step: object, seen: float) -> float:
    start, end = getattr(step, "start_time", None), getattr(step, "end_time", None)
    return (min(end or seen, seen) - start) if start else 0.0


@contextmanager
def sending(settings: Settings, rate: int) -> Generator[None]:
    """Send events to the three assets meanwhile, `rate` a second together."""
    assets, is_over = read_files(settings).assets, threading.Event()

    def lines(name: str, each: int) -> Iterator[bytes]:
        for seed in itertools.count():
            for line in generate(name, each, seed, datetime.now(UTC), days=1):
                if is_over.is_set():
                    return
                yield line

    each = rate // len(EXAMPLES)
    with ThreadPoolExecutor(len(EXAMPLES)) as pool:
        sent = [pool.submit(produce_lines, settings, assets[name], lines(name, each), each) for name in EXAMPLES]
        try:
            yield
        finally:
            is_over.set()
    for future in sent:
        future.result()


def measure(settings: Settings, rounds: int, condition: str) -> Figures:
    sales = read_files(settings).assets["sales"]
    figures = Figures("bench.freshness", condition)
    with (
        mock.patch.dict(os.environ, {"DAGSTER_HOME": str(settings.home / "dagster")}),
        dg.DagsterInstance.get() as instance,
    ):
        events = [follow(settings, sales, instance) for _ in range(rounds + 1)][1:]
    figures.add("to the mart", [event["whole"] for event in events])
    for stage in STAGES[:-1]:
        figures.add(f"of which {stage}", [event[stage] for event in events])
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=20))
    parser.add_argument("--rate", type=int, default=2000, help="events a second besides (default 2000)")
    given = parser.parse_args(arguments)
    with lake(None, running=given.running) as (settings, _):
        if not given.running:
            apply(settings, DagsterRecords(settings), quiet)
            reload_definitions()
        idle = "one event at a time, idle lake, from the call that sends it"
        measure(settings, given.rounds, idle).show(given.figures)
        with sending(settings, given.rate):
            busy = f"one event at a time among {given.rate:,} a second to three assets, from the call that sends it"
            measure(settings, given.rounds, busy).show(given.figures)


if __name__ == "__main__":
    main()
