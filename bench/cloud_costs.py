"""Costs of a lake in a cloud: requests, loads and query bytes, counted against doubles and multiplied by list prices.

    python -m bench.cloud_costs           # counts again, and writes the table into docs/targets.md
    python -m bench.cloud_costs --counts  # prints the counts only

A small real run gives the calls of one commit to one window: conform, publish, count. The rest is arithmetic, which
`daily_cost` is. There is no rival, and no time is measured.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock
from uuid import uuid4

from bench.publish import FIRST, Cloud, on_aws, on_gcp, order
from lake_assets.bucket import written
from lake_assets.catalog.window_results import WindowInput
from lake_assets.catalog.windows import window_key
from lake_assets.conform.duckdb import conform
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import PROJECT
from lake_assets.target_profiles import PROFILES, Target
from tests.support.conform_records import ORDERS, Record, write_raw

PAGE = PROJECT / "docs" / "targets.md"
BEGIN, END = "<!-- costs: python -m bench.cloud_costs -->", "<!-- end of costs -->"
DAY = 86_400
FILES = 4
# Names of calls that start a query, which is paid by its bytes. The others to the warehouse are free, or nearly so.
QUERIES = ("StartQueryExecution", "jobs.query")
# Calls whose number depends on the time that a job takes; they are free.
POLLS = ("GetQueryExecution", "jobs.get")


@dataclass(frozen=True)
class Counts:
    """Calls of one commit to a window without quarantined rows that was published before.

    `reads` are for each raw file. `writes` are objects of conform and publish. `queries` are paid by their bytes, with
    `tables` that they read in all; `calls` are all other calls to the warehouse but polls.
    """

    reads: float
    writes: int
    queries: int
    tables: int
    calls: int


# As `count` counted them.
COUNTS: Mapping[Target, Counts] = {
    "aws": Counts(reads=1, writes=2, queries=1, tables=2, calls=6),
    "gcp": Counts(reads=1, writes=1, queries=1, tables=2, calls=6),
}


@dataclass(frozen=True)
class Prices:
    """List prices of US regions in $, as noted on 2026-11-30: a million requests, a TB, a GB in a month.

    A query is charged for `least` bytes at least; where `of_each_table` is set, for each table that it reads.
    """

    writes: float
    reads: float
    calls: float
    query_tb: float
    least: float
    of_each_table: bool
    bucket_gb: float
    table_gb: float
    # Bytes of one event in the columns that a mart reads, in the bucket (raw and conformed), and in the warehouse.
    mart_bytes: float
    bucket_bytes: float
    table_bytes: float


PRICES: Mapping[Target, Prices] = {
    "aws": Prices(5.0, 0.40, 1.0, 5.0, 10e6, False, 0.023, 0.0, 6, 15, 0),
    "gcp": Prices(5.0, 0.40, 0.0, 6.25 / 1.0995, 10 * 2**20, True, 0.020, 0.02, 60, 15, 150),
}
NAMES: Mapping[Target, str] = {"aws": "AWS", "gcp": "Google"}
# The sink's part, which the doubles have no worker for: data files of its two tasks, manifests and metadata.
TASK_FILES, TABLE_FILES = 2, 3
MART_TESTS = 5
# BigQuery's quota of a project, which failed jobs count for too.
LOADS_A_DAY = 100_000
HISTORY_DAYS = 365


def daily_cost(target: Target, assets: int, events: int, seconds: int, mart_minutes: int) -> dict[str, float]:
    """Return $ a day by part, of a lake with so many events a day over all assets, and a mart for each asset. Pure.

    An asset has a commit in each interval with events. Windows are days. The history is a year.
    """
    counts, price = COUNTS[target], PRICES[target]
    own = events / assets
    commits = min(DAY / seconds, own)
    files = min(TASK_FILES, own / commits)
    builds = min(commits, DAY / 60 / mart_minutes) if mart_minutes else commits
    query = price.query_tb / 1e12
    history = own * HISTORY_DAYS
    billed = counts.tables if price.of_each_table else counts.queries
    day = {
        "landing": commits * (files + TABLE_FILES) * price.writes / 1e6,
        # Half of the day's files on average, at each commit.
        "conform": (commits * commits * files / 2 * counts.reads * price.reads) / 1e6,
        "publish": commits * (counts.writes * price.writes + counts.calls * price.calls) / 1e6
        + commits * billed * price.least * query,
        "marts": builds * (max(history * price.mart_bytes, price.least) + MART_TESTS * price.least) * query,
        "storage": history * (price.bucket_bytes * price.bucket_gb + price.table_bytes * price.table_gb) / 1e9 / 30,
    }
    return {part: assets * cost for part, cost in day.items()}


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
                for target in COUNTS:
                    cost = daily_cost(target, assets, events, seconds, PROFILES[target].mart_minutes)
                    part = max(cost, key=lambda name: cost[name])
                    total = sum(cost.values())
                    loads = assets * min(DAY / seconds, events / assets)
                    if target == "gcp" and loads > LOADS_A_DAY:
                        cells += ["not possible", f"{loads:,.0f} loads"]
                    else:
                        cells += [_dollars(total), f"{part} {100 * cost[part] / total:.0f} %"]
                rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*_arithmetic(), "", *rows])


def _arithmetic() -> list[str]:
    lines = [
        "| counted for a commit to a window | reads of each raw file | writes | queries, their tables | other calls |",
        "|---|---|---|---|---|",
    ]
    for target, counts in COUNTS.items():
        calls = f"{counts.reads:g} | {counts.writes} | {counts.queries}, {counts.tables} | {counts.calls}"
        lines.append(f"| {NAMES[target]} | {calls} |")
    return lines


def _dollars(amount: float) -> str:
    return f"{amount:,.0f} $" if amount >= 100 else f"{amount:,.2f} $"


def count(cloud: Cloud, at: Path) -> Counts:
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
    return Counts(reads / FILES, writes, queries, queries + 1, sum(calls.values()) - queries)


def count_all() -> dict[Target, Counts]:
    """Return the counts of each cloud, from its doubles."""
    counted: dict[Target, Counts] = {}
    for target in COUNTS:
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
    if counted != dict(COUNTS):
        raise SystemExit("the counts differ from COUNTS: change them there.")
    if not given.counts:
        PAGE.write_text(page_with_table(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
