"""Cost of windows that are far apart: ten rows over 36 years in each of three assets, from sending to staging.

    python -m bench.far_apart [--assets 3] [--windows 10] [--rounds 3]

Each asset has a row every fourth year from 1990 on, in its own window. `lake run` brings them to staging, including its
wait for Kafka Connect. Each round has new rows in the same windows.
"""

import json
import time
from collections.abc import Sequence

from bench.figures import Figures, options
from bench.lake import add_running, lake, quiet
from bench.late import CONTRACT

FIRST_YEAR, STEP = 1990, 4


def event(number: int, year: int) -> bytes:
    return json.dumps({"reading": number, "read_at": f"{year}-01-02T10:00:00Z"}).encode()


def measure(count: int, windows: int, rounds: int, running: bool) -> Figures:
    names = [f"bench_far_{number}" for number in range(count)]
    years = range(FIRST_YEAR, FIRST_YEAR + windows * STEP, STEP)
    expected = {name: [f"{year}-01-02" for year in years] for name in names}
    contracts = {name: CONTRACT.format(name=name) for name in names}
    with lake(["kafka", "connect", "postgres"], contracts, running=running) as (settings, _):
        from lake_assets.landing.produce import produce_lines
        from lake_assets.operations.apply import apply
        from lake_assets.orchestration.dagster_records import DagsterRecords
        from lake_assets.orchestration.in_process import run_once
        from lake_assets.project import read_files

        apply(settings, DagsterRecords(settings), quiet)
        assets = read_files(settings).assets
        whole: list[float] = []
        waited: list[float] = []
        worked: list[float] = []
        for place in range(rounds):
            began, before = time.perf_counter(), time.process_time()
            for name in names:
                produce_lines(settings, assets[name], [event(place, year) for year in years])
            report = run_once(settings, quiet)
            whole.append(time.perf_counter() - began)
            worked.append(time.process_time() - before)
            waited.append(report.waited_seconds)
            assert report.published == expected, report.published
        figures = Figures("bench.far_apart", f"{count * windows} rows, each in a window of its own, {STEP} years apart")
        figures.add("from sending to staging", whole)
        figures.add("of which waiting for Kafka Connect", waited)
        figures.add("processor time of this process", worked)
        return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--assets", type=int, default=3)
    parser.add_argument("--windows", type=int, default=10, help="of each asset")
    given = parser.parse_args(arguments)
    measure(given.assets, given.windows, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
