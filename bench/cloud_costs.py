"""Costs of a lake in a cloud: requests, loads and query bytes, counted against doubles and multiplied by list prices.

    python -m bench.cloud_costs           # counts again, and writes the table into docs/targets.md
    python -m bench.cloud_costs --counts  # prints the counts only

A small real run gives the calls of one commit to one window: conform, publish, count. The rest is the arithmetic of
`lake cost`. There is no rival, and no time is measured.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from unittest import mock
from uuid import uuid4

from bench.publish import FIRST, Cloud, on_aws, on_gcp, order
from lake_assets.bucket import written
from lake_assets.catalog.window_results import WindowInput
from lake_assets.catalog.windows import window_key
from lake_assets.compile.cost import (
    COMMIT_CALLS,
    DAY,
    LOADS_OF_A_PROJECT,
    CommitCalls,
    CostSettings,
    Usage,
    commits_of,
    cost_lines,
)
from lake_assets.compile.prices import NOTED, PRICES
from lake_assets.conform.duckdb import conform
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import PROJECT
from lake_assets.target_profiles import PROFILES, Target
from tests.support.conform_records import ORDERS, Record, write_raw

PAGE = PROJECT / "docs" / "targets.md"
BEGIN, END = "<!-- costs: python -m bench.cloud_costs -->", "<!-- end of costs -->"
FILES = 4
# Names of calls that start a query, which is paid by its bytes. The others to the warehouse are free, or nearly so.
QUERIES = ("StartQueryExecution", "jobs.query")
# Calls whose number depends on the time that a job takes; they are free.
POLLS = ("GetQueryExecution", "jobs.get")
NAMES: Mapping[Target, str] = {"aws": "AWS", "gcp": "Google"}
HISTORY_DAYS = 365
# Of an event, in raw and in a table of BigQuery; conformed it has `CONFORMED_BYTES` of those in raw.
RAW_BYTES, ROW_BYTES = 9.4, 156


def daily_cost(target: Target, assets: int, events: int, seconds: int, mart_minutes: int) -> dict[str, float]:
    """Return $ a day by part, of a lake with so many events a day over all assets, and a mart for each asset. Pure.

    An asset has a commit in each interval with events. Windows are days. The history is a year.
    """
    day = usage_of_a_day(events / assets)
    cost = {"landing": 0.0, "conform": 0.0, "publish": 0.0, "marts": 0.0, "storage": 0.0}
    for line in cost_lines([day], {"mart": [day.asset]}, CostSettings(target, seconds, mart_minutes)):
        cost[line.part] += assets * line.usd / (30 if line.part == "storage" else 1)
    return cost


def usage_of_a_day(rows: float) -> Usage:
    """Return the figures of an asset with so many events a day, and as many on each day of the history."""
    history = rows * HISTORY_DAYS
    return Usage(
        asset="asset",
        rows=rows,
        window="day",
        windows={"hour": 24, "day": 1, "month": 1},
        seconds=DAY,
        raw_bytes=history * RAW_BYTES,
        staging_rows=history,
        staging_raw_bytes=history * RAW_BYTES,
        row_bytes=ROW_BYTES,
    )


def table() -> str:
    """Return the lines between the markers of the page. Pure."""
    rows = [
        "| assets | events a day | commits | AWS | dominated by | Google | dominated by |",
        "|---|---|---|---|---|---|---|",
    ]
    for assets in (3, 100, 1_000):
        for events in (1_000, 1_000_000, 100_000_000):
            for seconds in (60, 300, 900):
                cells = [f"{assets:,}", f"{events:,}", f"{seconds} s"]
                for target in NAMES:
                    cost = daily_cost(target, assets, events, seconds, PROFILES[target].mart_minutes)
                    part = max(cost, key=lambda name: cost[name])
                    total = sum(cost.values())
                    loads = assets * commits_of(usage_of_a_day(events / assets), CostSettings(target, seconds, 0))
                    if target == "gcp" and loads > LOADS_OF_A_PROJECT:
                        cells += ["not possible", f"{loads:,.0f} loads"]
                    else:
                        cells += [_dollars(total), f"{part} {100 * cost[part] / total:.0f} %"]
                rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*_prices(), "", *_arithmetic(), "", *rows])


def _prices() -> list[str]:
    lines = [
        f"| price, noted on {NOTED} | $ | for | region | page | read in a copy of that page |",
        "|---|---|---|---|---|---|",
    ]
    for price in (price for prices in PRICES.values() for price in prices):
        what = f"{price.service}, {price.unit}"
        page = f"[{price.page.split('/')[2]}]({price.page})"
        seen = "yes" if price.is_verified else "no"
        lines.append(f"| {what} | {price.usd:g} | {price.per:,.0f} | {price.region} | {page} | {seen} |")
    return lines


def _arithmetic() -> list[str]:
    lines = [
        "| counted for a commit to a window | reads of each raw file | writes | queries, their tables | other calls |",
        "|---|---|---|---|---|",
    ]
    for target, counts in COMMIT_CALLS.items():
        calls = f"{counts.reads:g} | {counts.writes} | {counts.queries}, {counts.tables} | {counts.calls}"
        lines.append(f"| {NAMES[target]} | {calls} |")
    return lines


def _dollars(amount: float) -> str:
    return f"{amount:,.0f} $" if amount >= 100 else f"{amount:,.2f} $"


def count(cloud: Cloud, at: Path) -> CommitCalls:
    """Count the calls of a second publication of a window of a few raw files, with the check of its rows."""
    warehouse = warehouse_for(cloud.settings)
    warehouse.ensure(ORDERS)
    urls: list[str] = []
    sizes: list[int] = []
    for number in range(FILES):
        urls.append(f"{cloud.settings.bucket}/raw/{number}.parquet")
        with written(urls[-1]) as path:
            write_raw(path, [Record(order(number, FIRST), offset=number, timestamp=FIRST)])
            sizes.append(path.stat().st_size)
    window = WindowInput(window_key(FIRST, "day"), tuple(urls), FILES, sum(sizes), tuple(sizes))
    reads = writes = 0
    for run in ("first", "second"):
        cloud.passed()
        outputs = conform(ORDERS, [window], cloud.settings.conformed, at, run, uuid4().hex)
        conformed = cloud.passed().calls
        cloud.calls.clear()
        warehouse.replace_windows(ORDERS, outputs)
        warehouse.window_rows(ORDERS, [window.window])
        published = cloud.passed().calls
        reads = conformed.get("GET", 0) + conformed.get("HEAD", 0)
        # An object on Google's store is a POST that begins an upload, and a PUT of its content: one billed write.
        writes = conformed.get("PUT", 0) + published.get("PUT", 0)
    calls = Counter(name for name in cloud.calls if name not in POLLS)
    queries = sum(calls[name] for name in QUERIES)
    # The count reads both tables, any other query one.
    return CommitCalls(reads / FILES, writes, queries, queries + 1, sum(calls.values()) - queries, calls["jobs.insert"])


def count_all() -> dict[Target, CommitCalls]:
    """Return the counts of each cloud, from its doubles."""
    counted: dict[Target, CommitCalls] = {}
    for target in COMMIT_CALLS:
        with tempfile.TemporaryDirectory(prefix="lake-bench-") as folder, mock.patch.dict(os.environ):
            os.environ["LAKE_HOME"] = str(Path(folder) / "lake")
            with (on_aws if target == "aws" else on_gcp)(Path(folder)) as cloud:
                counted[target] = count(cloud, Path(folder))
    return counted


def page_with_table(page: str) -> str:
    """Return the page with the table between its markers."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", action="store_true", help="print the counts, and write nothing")
    given = parser.parse_args(arguments)
    counted = count_all()
    for target, counts in counted.items():
        print(target, asdict(counts))
    if counted != dict(COMMIT_CALLS):
        raise SystemExit("the counts differ from COMMIT_CALLS: change them in lake_assets/compile/cost.py.")
    if not given.counts:
        PAGE.write_text(page_with_table(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
