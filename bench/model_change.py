"""Time from a changed model to its rows in the mart, which the dashboard reads each time that it shows a page.

    python -m bench.model_change [--rounds 10]

Each round multiplies `orders` of `sales_data_mart.sales` by another number in the model's file, calls `lake apply`, and
waits until the analyst's role reads the product. The first round is not measured.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench.figures import Figures, options
from bench.lake import add_running, lake, quiet
from lake_assets.demo.generator import generate
from lake_assets.landing.produce import produce_lines
from lake_assets.operations.apply import apply
from lake_assets.orchestration.dagster_records import DagsterRecords
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions

EVENTS = 1_000
DEADLINE_SECONDS = 300.0
QUERY = "select coalesce(sum(orders), 0) from sales_data_mart.sales"
COUNT = "count(*) as orders"


def change(settings: Settings, model: Path, text: str, factor: int, rows: int) -> tuple[float, float]:
    """Write the model; return the seconds of `lake apply`, and those until the mart has the product."""
    saved = time.monotonic()
    model.write_text(text.replace(COUNT, f"{factor} * {COUNT}"), "utf-8")
    command = [str(Path(sys.executable).with_name("lake")), "apply"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    applied = time.monotonic()
    wait_for(settings, factor * rows)
    return applied - saved, time.monotonic() - saved


def wait_for(settings: Settings, orders: int) -> int:
    """Wait until the mart has so many orders, or any if that is 0; return their number."""
    began = time.monotonic()
    with psycopg.connect(settings.postgres.conninfo("analyst"), autocommit=True) as session:
        while not (found := _orders(session)) or (orders and found != orders):
            if time.monotonic() - began > DEADLINE_SECONDS:
                raise SystemExit("the mart was not built in five minutes: look at `lake status`")
            time.sleep(0.05)
    return found


def _orders(session: psycopg.Connection) -> int:
    try:
        row = session.execute(QUERY).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    return int(row[0]) if row else 0


def measure(settings: Settings, rounds: int) -> Figures:
    sales = read_files(settings).assets["sales"]
    produce_lines(settings, sales, generate("sales", EVENTS, 1, datetime.now(UTC), days=3))
    rows = wait_for(settings, 0)
    model = Path(os.environ["LAKE_DBT_PROJECT"]) / "models" / "marts" / "sales_data_mart" / "sales.sql"
    text = model.read_text("utf-8")
    try:
        seconds = [change(settings, model, text, factor, rows) for factor in range(2, rounds + 3)][1:]
    finally:
        model.write_text(text, "utf-8")
    figures = Figures("bench.model_change", f"SQL of one mart of two, {rows} rows")
    figures.add("to the mart", [whole for _, whole in seconds])
    figures.add("of which lake apply", [applied for applied, _ in seconds])
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=10))
    given = parser.parse_args(arguments)
    with lake(None, running=given.running) as (settings, _):
        if not given.running:
            apply(settings, DagsterRecords(settings), quiet)
            reload_definitions()
        measure(settings, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
