"""Freshness of an asset beside a neighbour whose windows all fail, and beside a sound one.

    python -m bench.failing [--windows 1000] [--rounds 10]

Seconds from the call that sends an event of the good asset until the running stack has published its window with it.
The failing neighbour has the given number of daily windows, and a check whose query fails on the data, so that its
windows are retried repeatedly. The sound neighbour has the same contract without the check and one window. Each round
sends an event to the neighbour, then one to the asset: both neighbours cause the same runs. Two more figures: freshness
without events of a neighbour, and that of the event sent together with all those windows, whose failures are not
recorded yet.
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bench.figures import Figures, options
from bench.lake import add_running, lake, quiet
from bench.repair import CONTRACT, FIRST, TAKEN
from lake_assets.catalog.model import Asset
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings

GOOD, SOUND, BAD = "bench_good", "bench_sound", "bench_failing"
QUERY = "select cast(max(reading) || 'x' as integer) from conformed"
CHECK = f"    quality: [{{type: sql, name: odd, query: {QUERY}, mustBe: 0}}]"
DEADLINE_SECONDS = 300.0


def contracts() -> dict[str, str]:
    made = {name: CONTRACT.format(name=name, most=TAKEN) for name in (GOOD, SOUND, BAD)}
    return {**made, BAD: made[BAD].replace("    properties:", f"{CHECK}\n    properties:")}


def follow(settings: Settings, good: Asset, sent: Sequence[tuple[Asset, Sequence[bytes]]]) -> float:
    """Measure the seconds from the call that sends these events until one more row of the good asset is published."""
    from lake_assets.landing.produce import produce_lines

    with Ledger(settings) as ledger:

        def rows() -> int:
            return sum(window.raw_rows for window in ledger.windows(good))

        before, began = rows(), time.monotonic()
        for asset, lines in sent:
            produce_lines(settings, asset, lines)
        while rows() == before:
            if time.monotonic() - began > DEADLINE_SECONDS:
                raise SystemExit("the event was not published in five minutes: look at `lake status`")
            time.sleep(0.05)
    return time.monotonic() - began


def measure(windows: int, rounds: int, running: bool) -> Figures:
    with lake(None, contracts(), running=running) as (settings, _):
        from lake_assets.cli.reload import reload_code
        from lake_assets.operations.apply import apply
        from lake_assets.orchestration.dagster_records import DagsterRecords
        from lake_assets.project import read_files

        reload_code(settings, apply(settings, DagsterRecords(settings), quiet).steps, quiet)
        assets = read_files(settings).assets
        good, sound, bad = assets[GOOD], assets[SOUND], assets[BAD]
        numbers = iter(range(TAKEN))

        def event(days: int = 0) -> bytes:
            at = FIRST + timedelta(days=days)
            return json.dumps({"reading": next(numbers), "read_at": at.isoformat()}).encode()

        alone = [follow(settings, good, [(good, [event()])]) for _ in range(rounds + 1)][1:]
        beside_sound = [follow(settings, good, [(sound, [event(day)]), (good, [event()])]) for day in range(rounds)]
        together = follow(settings, good, [(bad, [event(day) for day in range(windows)]), (good, [event()])])
        with Ledger(settings) as ledger:
            while not known_failures(ledger, [BAD]):
                time.sleep(0.5)
        began = datetime.now(UTC)
        beside_failing = [follow(settings, good, [(bad, [event(day)]), (good, [event()])]) for day in range(rounds)]
        with Ledger(settings) as ledger:
            (failure,) = [one for one in known_failures(ledger, [BAD]) if not one.window]
    figures = Figures("bench.failing", f"one event at a time, beside an asset with {windows:,} failing windows")
    ours = figures.add("to staging, beside it", beside_failing)
    figures.add_rival("to staging, beside a sound one", beside_sound, ours)
    figures.add("to staging, alone", alone)
    figures.add("to staging, sent with all these windows", [together])
    figures.add("tries of the failing asset meanwhile", [float(failure.tries)], "")
    figures.add("of so many seconds", [(datetime.now(UTC) - began).total_seconds()])
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser: argparse.ArgumentParser = add_running(options(__doc__, rounds=10))
    parser.add_argument("--windows", type=int, default=1000)
    given = parser.parse_args(arguments)
    measure(given.windows, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
