"""Costs of a month of a lake: the figures of its assets and its settings -> lines of cost for each service.

Each commit of the sink that has events of a window makes files, a conform of all files of that window, and a
publication of it. What one of them calls is counted against doubles by `bench.cloud_costs`; the rest is arithmetic.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lake_assets.catalog.model import Asset, TypeName, WindowSize
from lake_assets.compile.ddl import LINEAGE
from lake_assets.compile.prices import LEAST_QUERY, Unit, price_of
from lake_assets.target_profiles import PROFILES, Target

Part = Literal["landing", "conform", "publish", "marts", "spark", "storage"]

DAY = 86_400


@dataclass(frozen=True, slots=True)
class CommitCalls:
    """Calls of one commit to a window without quarantined rows that was published before.

    `reads` are for each raw file. `writes` are objects of conform and publish. `queries` are paid by their bytes, with
    `tables` that they read in all; `calls` are all other calls to the warehouse but polls, with its `loads`.
    """

    reads: float
    writes: int
    queries: int
    tables: int
    calls: int
    loads: int = 0


# As `bench.cloud_costs` counts them.
COMMIT_CALLS: Mapping[Target, CommitCalls] = {
    "aws": CommitCalls(reads=1, writes=2, queries=1, tables=2, calls=6),
    "gcp": CommitCalls(reads=1, writes=1, queries=1, tables=2, calls=6, loads=1),
}
# Files of a commit of the sink besides its tasks' data: two manifests and one of metadata. No double counts them.
TABLE_FILES = 3
# Queries of the least size after a build of a mart: its tests.
MART_TESTS = 5
# Of `sales` (`bench/sales.py`, 100,000 events): 9.4 bytes an event in raw, 7.3 conformed, 3.8 of them in its mart's
# columns.
CONFORMED_BYTES, MART_COLUMNS = 0.8, 0.5
# A job of Spark: a driver and two executors, each with 4 vCPUs and 16 GB.
JOB_CORES, JOB_MEMORY_GB = 12, 48
# BigQuery's quotas, which failed jobs count for too.
LOADS_OF_A_TABLE, LOADS_OF_A_PROJECT = 1_500, 100_000
# Bytes of a value in BigQuery; a text has two more than its UTF-8, here 12.
_TEXT_BYTES = 14
_TYPE_BYTES: Mapping[TypeName, int] = {
    "string": _TEXT_BYTES,
    "json": _TEXT_BYTES,
    "boolean": 1,
    "integer": 8,
    "double": 8,
    "decimal": 16,
    "date": 8,
    "timestamp": 8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Figures of an asset in a month.

    `rows` are the raw rows of the month's windows, which have the size `window` and cover so many `seconds`. `windows`
    is their number, and what it would be with the other sizes. `spark_seconds` is the time of one conform of each by
    Spark, 0 if DuckDB did it. `raw_bytes` are in the bucket at the end of the month, and `staging_rows` in the tables,
    made of `staging_raw_bytes`; one of them has `row_bytes` in BigQuery. Of the versions of a dataset, which share raw,
    one `has_raw`.
    """

    asset: str
    rows: float
    window: WindowSize
    windows: Mapping[WindowSize, float]
    seconds: float
    raw_bytes: float
    staging_rows: float
    staging_raw_bytes: float
    row_bytes: float
    spark_seconds: float = 0
    has_raw: bool = True


@dataclass(frozen=True, slots=True)
class CostSettings:
    """The settings that costs depend on; with a `window`, all assets have windows of that size."""

    target: Target
    commit_seconds: int
    mart_minutes: int
    window: WindowSize | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Cost of one thing in USD a month. `what` is the part, and for a mart its name."""

    asset: str
    part: Part
    what: str
    service: str
    amount: float
    unit: Unit
    usd: float


def cost_lines(usages: Sequence[Usage], marts: Mapping[str, Collection[str]], cost: CostSettings) -> list[Line]:
    """Return the lines of all assets; `marts` have the names of the assets that they read."""
    lines = [line for usage in usages for line in _storage_lines(usage, cost.target)]
    if cost.target == "local":
        return lines
    known = {usage.asset: usage for usage in usages}
    for usage in usages:
        lines += _commit_lines(usage, cost)
    for mart, assets in marts.items():
        lines += _mart_lines(mart, [known[asset] for asset in assets if asset in known], cost)
    return lines


def commits_of(usage: Usage, cost: CostSettings) -> float:
    """Return the number of commits with events of an asset: spread evenly, at least one for a window or an event."""
    return min(max(usage.seconds / cost.commit_seconds, windows_of(usage, cost)), usage.rows)


def windows_of(usage: Usage, cost: CostSettings) -> float:
    """Return the number of windows of an asset."""
    return min(usage.windows[cost.window or usage.window], usage.rows)


def total(lines: Iterable[Line]) -> float:
    """Return the sum in USD."""
    return sum(line.usd for line in lines)


def dominant(lines: Iterable[Line]) -> tuple[str, float] | None:
    """Return the part that costs most, and its share of the total; None if nothing costs anything."""
    parts: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        parts[line.part] += line.usd
    whole = sum(parts.values())
    if whole <= 0:
        return None
    part = max(parts, key=lambda name: parts[name])
    return part, parts[part] / whole


def exceeded_quotas(usages: Sequence[Usage], cost: CostSettings) -> list[str]:
    """Return a sentence for each quota of BigQuery that the commits would exceed, whatever one pays."""
    if cost.target != "gcp":
        return []
    loads = COMMIT_CALLS["gcp"].loads
    daily = {
        usage.asset: loads * commits_of(usage, cost) / max(usage.seconds / DAY, 1) for usage in usages if usage.rows
    }
    sentences: list[str] = []
    if over := [asset for asset, number in daily.items() if number > LOADS_OF_A_TABLE]:
        sentences.append(
            f"not possible: BigQuery accepts {LOADS_OF_A_TABLE:,} loads a day into a table, and "
            f"{len(over)} of {len(daily)} assets would need {daily[over[0]]:,.0f} or so."
        )
    if (whole := sum(daily.values())) > LOADS_OF_A_PROJECT:
        sentences.append(
            f"not possible: BigQuery accepts {LOADS_OF_A_PROJECT:,} loads a day into a project, and the assets would "
            f"need {whole:,.0f}."
        )
    return sentences


def row_bytes(asset: Asset) -> int:
    """Return the bytes of a row of staging in BigQuery, if its texts have 12 bytes."""
    lineage = sum(_TEXT_BYTES if column.type == "varchar" else 8 for column in LINEAGE)
    return lineage + sum(_TYPE_BYTES[field.type.name] for field in asset.fields)


def _commit_lines(usage: Usage, cost: CostSettings) -> list[Line]:
    """Return what the commits of an asset cost from the sink to the tables."""
    commits, windows = commits_of(usage, cost), windows_of(usage, cost)
    if not commits:
        return []
    calls = COMMIT_CALLS[cost.target]
    files = min(PROFILES[cost.target].sink_tasks, usage.rows / commits)
    of_window = commits / windows
    landed = commits * (files + TABLE_FILES) if usage.has_raw else 0
    # The last commit to a window reads the files of all commits to it, the first those of one.
    read = windows * of_window * (of_window + 1) / 2 * files * calls.reads
    least = LEAST_QUERY[cost.target]
    billed = commits * (calls.tables if least.of_each_table else calls.queries) * least.bytes
    hours = usage.spark_seconds * of_window / 3_600
    amounts: list[tuple[Part, Unit, float]] = [
        ("landing", "write requests", landed),
        ("conform", "read requests", read),
        ("publish", "write requests", commits * calls.writes),
        ("publish", "catalog calls", commits * calls.calls),
        ("publish", "loads", commits * calls.loads),
        ("publish", "query bytes", billed),
        ("spark", "vCPU hours", hours * JOB_CORES),
        ("spark", "memory GB hours", hours * JOB_MEMORY_GB),
    ]
    return [line for part, unit, amount in amounts for line in _priced(usage.asset, part, part, amount, unit, cost)]


def _mart_lines(mart: str, usages: Sequence[Usage], cost: CostSettings) -> list[Line]:
    """Return the queries of a mart's builds and tests, for each asset that it reads.

    Commits that come to the same moment make one build. Where a query is charged for its least bytes, and not for those
    of each table, the assets share them.
    """
    commits = sum(commits_of(usage, cost) for usage in usages)
    covered = max((usage.seconds for usage in usages), default=0)
    builds = min(commits, max(covered / 60 / cost.mart_minutes, 1)) if cost.mart_minutes else commits
    least = LEAST_QUERY[cost.target]
    share = least.bytes / max(len(usages), 1)
    lines: list[Line] = []
    for usage in usages:
        own = MART_COLUMNS * _table_bytes(usage, cost.target)
        read = max(own, least.bytes if least.of_each_table else share) + MART_TESTS * share
        lines += _priced(usage.asset, "marts", f"mart {mart}", builds * read, "query bytes", cost)
    return lines


def _table_bytes(usage: Usage, target: Target) -> float:
    """Return the bytes of all columns of a staging table, as a query is charged for them."""
    if target == "gcp":
        return usage.staging_rows * usage.row_bytes
    return usage.staging_raw_bytes * CONFORMED_BYTES


def _storage_lines(usage: Usage, target: Target) -> list[Line]:
    bucket = (usage.raw_bytes if usage.has_raw else 0) + usage.staging_raw_bytes * CONFORMED_BYTES
    if target == "local":
        return [Line(usage.asset, "storage", "storage", "disk", bucket, "bucket bytes", 0)] if bucket else []
    cost = CostSettings(target, 1, 0)
    return [
        *_priced(usage.asset, "storage", "storage", bucket, "bucket bytes", cost),
        *_priced(usage.asset, "storage", "storage", usage.staging_rows * usage.row_bytes, "table bytes", cost),
    ]


def _priced(asset: str, part: Part, what: str, amount: float, unit: Unit, cost: CostSettings) -> list[Line]:
    """Return the line of an amount; none for nothing, and for what the target does not charge for."""
    price = price_of(cost.target, unit)
    if price is None or not amount:
        return []
    return [Line(asset, part, what, price.service, amount, unit, amount * price.each)]
