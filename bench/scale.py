"""Lag of a lake that no machine here can run: a simulation of Connect workers and sharded runs.

    python -m bench.scale           # writes the tables into docs/scale.md
    python -m bench.scale --print   # prints them only

Events come in steps, with a seeded random number in each. A worker of Kafka Connect reads them in order, at its rate.
Each commit shows what it has read by then, and queues the windows that it touched. A shard has one run at a time, which
takes all that is queued for its assets, and makes each of these windows again from its first event. It takes the time
of a run, of each asset, and of all rows of these windows. Lag is the time from an event's step to the end of the run
that shows it.

The assets of a worker have the same number of events, so they are simulated together. No time is measured:
two runs of the script print the same.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from bench.cloud_costs import RAW_BYTES, ROW_BYTES
from lake_assets.compile.cost import DAY, CostSettings, Part, Usage, cost_lines
from lake_assets.settings import PROJECT
from lake_assets.target_profiles import Target

PAGE = PROJECT / "docs" / "scale.md"
BEGIN, END = "<!-- sizes: python -m bench.scale -->", "<!-- end of sizes -->"


# Measured on two cores, as docs/scale.md lists: rows a second of `bench.conform`, seconds of a run with one event of
# `bench.freshness`, events a second of `bench.landing`. The start of a pod is what docs/deploy.md expects.
CONFORM_RATE, ASSET_SECONDS, LAND_RATE, POD_SECONDS = 363_000, 0.82, 46_000, 60.0
ASSETS, RATE = 1_000, 1_000_000
PARTS: tuple[Part, ...] = ("landing", "conform", "publish", "marts", "storage")
PRICED: tuple[tuple[Target, int], ...] = (("aws", 300), ("aws", 900), ("gcp", 900))
# Seconds between commits, shards, workers of a shard.
SIMULATED = (
    (900, 1, 32),
    (900, 8, 4),
    (900, 10, 3),
    (900, 12, 3),
    (900, 16, 2),
    (900, 16, 1),
    (300, 24, 2),
    (300, 32, 1),
)


@dataclass(frozen=True)
class Scale:
    """A lake: its load, its settings, and the rates of its parts.

    Each shard has so many `workers` of its own. Rates are events a second: `land_rate` of a worker, `conform_rate` of a
    run. `run_seconds` is the time of a run without windows, `asset_seconds` that of an asset without rows. Times of the
    simulation are in seconds; with `noise` the number of events in each step is random.
    """

    assets: int
    rate: float
    commit_seconds: float
    window_seconds: float
    shards: int
    workers: int
    land_rate: float
    conform_rate: float
    run_seconds: float
    asset_seconds: float
    duration: float = 4 * 3_600
    step: float = 1.0
    noise: bool = True
    seed: int = 1


@dataclass(frozen=True)
class Result:
    """Figures of a simulated lake; lags are those of all events that a run has shown before the end, in seconds.

    `in_flight` is the mean number of events that have come and are not shown. `arrivals` are those a second.
    `utilisation` is the share of time in which a shard has a run, and `at_end` the events not shown at the end.
    """

    mean_lag: float
    p99_lag: float
    in_flight: float
    arrivals: float
    utilisation: float
    at_end: int


@dataclass
class Group:
    """The assets of one worker, with `totals[step]` events before a step, of which `shown` steps are."""

    worker: int
    shard: int
    assets: int
    totals: list[int]
    shown: int = 0


@dataclass(frozen=True)
class Shown:
    """Events that came at one time and were shown at another."""

    came: float
    shown: float
    events: int


def simulate(scale: Scale) -> Result:
    """Return the lags of a simulated lake."""
    groups = _groups(scale)
    workers = range(scale.workers * scale.shards)
    read = [_read_steps(scale, [group for group in groups if group.worker == one]) for one in workers]
    shown: list[Shown] = []
    busy = 0.0
    for shard in range(scale.shards):
        busy += _run_shard(scale, [group for group in groups if group.shard == shard], read, shown)
    arrived = sum(group.totals[-1] for group in groups)
    number = sum(each.events for each in shown)
    return Result(
        mean_lag=sum((each.shown - each.came) * each.events for each in shown) / max(number, 1),
        p99_lag=_quantile(shown, 0.99),
        in_flight=_mean_in_flight(scale, groups, shown),
        arrivals=arrived / scale.duration,
        utilisation=busy / scale.shards / scale.duration,
        at_end=arrived - number,
    )


def _groups(scale: Scale) -> list[Group]:
    """Spread the assets over workers and shards, and draw their events."""
    random = Random(scale.seed)
    sizes: dict[tuple[int, int], int] = {}
    for asset in range(scale.assets):
        shard = asset * scale.shards // scale.assets
        place = shard * scale.workers + asset % scale.workers, shard
        sizes[place] = sizes.get(place, 0) + 1
    steps = round(scale.duration / scale.step)
    groups: list[Group] = []
    for (worker, shard), assets in sizes.items():
        mean = scale.rate * scale.step * assets / scale.assets
        counts = (_drawn(random, mean) if scale.noise else round(mean) for _ in range(steps))
        groups.append(Group(worker, shard, assets, [0, *accumulate(counts)]))
    return groups


def _drawn(random: Random, mean: float) -> int:
    """Return a number of a normal distribution with the variance of Poisson's."""
    return max(0, round(random.gauss(mean, math.sqrt(mean))))


def _read_steps(scale: Scale, groups: Sequence[Group]) -> list[int]:
    """Return the number of steps whose events a worker has read, all of them, at the beginning of each step."""
    done, read, events = 0, [0], 0.0
    totals = [sum(values) for values in zip(*(group.totals for group in groups), strict=True)]
    for step in range(1, len(totals)):
        events = min(events + scale.land_rate * scale.step, totals[step])
        while done < step and totals[done + 1] <= events:
            done += 1
        read.append(done)
    return read


def _run_shard(scale: Scale, groups: Sequence[Group], read: Sequence[Sequence[int]], shown: list[Shown]) -> float:
    """Add what the runs of a shard show, one run after the other; return the seconds in which there was one."""
    now = busy = 0.0
    while now < scale.duration:
        queued = {id(group): _landed_steps(scale, group, read, now) for group in groups}
        due = [group for group in groups if group.totals[queued[id(group)]] > group.totals[group.shown]]
        if not due:
            now = min(_next_commit(scale, group.worker, now) for group in groups)
            continue
        end = now + scale.run_seconds + sum(_work_seconds(scale, group, queued[id(group)]) for group in due)
        busy += min(end, scale.duration) - now
        for group in due if end <= scale.duration else ():
            for step in range(group.shown, queued[id(group)]):
                events = group.totals[step + 1] - group.totals[step]
                shown.append(Shown((step + 1) * scale.step, end, events))
            group.shown = queued[id(group)]
        now = end
    return busy


def _phase(scale: Scale, worker: int) -> float:
    """Return the time of a worker's first commit: those of a shard commit one after the other, and so do shards."""
    shard, number = divmod(worker, scale.workers)
    return scale.commit_seconds * (number + (shard + 1) / scale.shards) / scale.workers


def _landed_steps(scale: Scale, group: Group, read: Sequence[Sequence[int]], now: float) -> int:
    """Return the number of steps whose events are in the last commit of the group's worker."""
    commits = math.floor((now - _phase(scale, group.worker)) / scale.commit_seconds + 1e-9)
    at = _phase(scale, group.worker) + commits * scale.commit_seconds
    return read[group.worker][min(math.floor(at / scale.step + 1e-9), len(group.totals) - 1)] if commits >= 0 else 0


def _next_commit(scale: Scale, worker: int, now: float) -> float:
    commits = math.floor((now - _phase(scale, worker)) / scale.commit_seconds + 1e-9) + 1
    return _phase(scale, worker) + max(commits, 0) * scale.commit_seconds


def _work_seconds(scale: Scale, group: Group, landed: int) -> float:
    """Return the time that the windows take to which the steps belong that are not shown yet."""
    steps = round(scale.window_seconds / scale.step)
    windows = range(group.shown // steps, (landed - 1) // steps + 1)
    rows = group.totals[landed] - group.totals[windows[0] * steps]
    return len(windows) * group.assets * scale.asset_seconds + rows / scale.conform_rate


def _quantile(shown: Sequence[Shown], share: float) -> float:
    """Return the lag that this share of the events does not exceed."""
    left = share * sum(each.events for each in shown)
    for lag, events in sorted((each.shown - each.came, each.events) for each in shown):
        left -= events
        if left <= 0:
            return lag
    return 0.0


def _mean_in_flight(scale: Scale, groups: Sequence[Group], shown: Sequence[Shown]) -> float:
    """Return the mean number of events that have come and are not shown, from what comes and goes at each time."""
    changes = [(each.shown, -each.events) for each in shown]
    for group in groups:
        changes += [
            ((step + 1) * scale.step, group.totals[step + 1] - group.totals[step])
            for step in range(len(group.totals) - 1)
        ]
    area = number = before = 0.0
    for at, change in sorted(changes):
        area += number * (at - before)
        number, before = number + change, at
    return (area + number * (scale.duration - before)) / scale.duration


def large(commit_seconds: int, shards: int, workers: int, window_seconds: int = 3_600) -> Scale:
    """Return the lake of docs/scale.md, for as long as three of its windows of an hour."""
    return Scale(
        assets=ASSETS,
        rate=RATE,
        commit_seconds=commit_seconds,
        window_seconds=window_seconds,
        shards=shards,
        workers=workers,
        land_rate=LAND_RATE,
        conform_rate=CONFORM_RATE,
        run_seconds=POD_SECONDS,
        asset_seconds=ASSET_SECONDS,
        duration=3 * 3_600,
        step=commit_seconds / 20,
    )


def conformed_rows(commit_seconds: float, window_seconds: float) -> float:
    """Return how often a row is conformed: by half of its window's commits, and once more by the one after its end."""
    return window_seconds / commit_seconds / 2 + 1


def needed_shards(commit_seconds: float, window_seconds: float) -> float:
    """Return the shards whose runs would do nothing else, without the start of their pods."""
    commits = window_seconds / commit_seconds + 1
    rows = RATE * conformed_rows(commit_seconds, window_seconds) / CONFORM_RATE
    return rows + ASSETS * ASSET_SECONDS * commits / window_seconds


def table() -> str:
    """Return the lines between the markers of the page."""
    lines = [
        "| windows | commits | a row is conformed | rows a second | shards at work |",
        "|---|---|---:|---:|---:|",
    ]
    for name, window in (("a day", 86_400), ("an hour", 3_600)):
        for seconds in (300, 900):
            rows = conformed_rows(seconds, window)
            cells = f"{rows:.1f} times | {RATE * rows:,.0f} | {needed_shards(seconds, window):.1f}"
            lines.append(f"| {name} | {seconds} s | {cells} |")
    lines += [
        "",
        "| commits | shards | workers of each | mean lag | 99 % within | not shown after 3 h |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for seconds, shards, workers in SIMULATED:
        result = simulate(large(seconds, shards, workers))
        lags = f"{result.mean_lag:,.0f} s | {result.p99_lag:,.0f} s"
        lines.append(f"| {seconds} s | {shards} | {workers} | {lags} | {result.at_end / RATE:,.0f} s of events |")
    return "\n".join([*lines, "", *month_of_cost()])


def month_of_cost() -> list[str]:
    """Return the lines of the costs of a month, after which nothing is older than a month."""
    lines = ["| target, commits | " + " | ".join(PARTS) + " | sum |", "|---|" + "---:|" * (len(PARTS) + 1)]
    for target, seconds in PRICED:
        cost = dict.fromkeys(PARTS, 0.0)
        for line in cost_lines([month_of_an_asset()], {"mart": ["asset"]}, CostSettings(target, seconds, 60)):
            cost[line.part] += ASSETS * line.usd
        cells = " | ".join(f"{cost[part]:,.0f} $" for part in PARTS)
        lines.append(f"| {target}, {seconds} s | {cells} | {sum(cost.values()):,.0f} $ |")
    return lines


def month_of_an_asset() -> Usage:
    """Return the figures of one of the assets: 30 days in windows of an hour, events as those of `sales`."""
    rows = RATE / ASSETS * 30 * DAY
    return Usage(
        asset="asset",
        rows=rows,
        window="hour",
        windows={"hour": 720, "day": 30, "month": 1},
        seconds=30 * DAY,
        raw_bytes=rows * RAW_BYTES,
        staging_rows=rows,
        staging_raw_bytes=rows * RAW_BYTES,
        row_bytes=ROW_BYTES,
    )


def page_with_table(page: str) -> str:
    """Return the page with the tables between its markers."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the tables, and write nothing")
    if parser.parse_args(arguments).print:
        print(table())
    else:
        PAGE.write_text(page_with_table(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
