"""Cost of the trigger: `changes` with many assets of which one changed, and with a long history and one new snapshot.

    python -m bench.changes [--assets 300] [--snapshots 400] [--rounds 10]

Tables are created in the raw namespace `bench`, with real metadata and no data, and dropped at the end. Times are those
of calls in one process, after the first call, which also imports pyiceberg.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.figures import Figures, options
from bench.lake import add_running, lake
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.changes import changes
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.settings import Settings
from tests.support.raw_assets import example_asset
from tests.support.synthetic_commits import File, commit

TODAY = 20_779


def repeated(run: Callable[[], object], rounds: int) -> list[float]:
    """Measure the milliseconds of each call."""
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) * 1000)
    return times


def measure(settings: Settings, count: int, snapshots: int, rounds: int) -> Figures:
    assets = [example_asset(f"bench_asset_{number}", "bench") for number in range(count)]
    # Merge manifests like the sink, by Java's default, which is not pyiceberg's.
    merging = {"commit.manifest-merge.enabled": "true"}
    specs = [raw_table(asset) for asset in assets]
    figures = Figures("bench.changes", f"{count} raw tables, one of them with {snapshots} snapshots")

    def show(what: str, run: Callable[[], object]) -> None:
        figures.add(what, repeated(run, rounds), "ms")

    ensure_raw_tables(settings, [replace(spec, properties={**spec.properties, **merging}) for spec in specs])
    try:
        with raw_catalog(settings) as catalog:
            long = catalog.load_table(specs[0].identifier)
            for number in range(snapshots):
                commit(long, [File(TODAY - number, 1000), File(TODAY - number, 1000)], merge=True)
            began = time.perf_counter()
            before = changes(settings, assets, {})
            figures.add("first look", [(time.perf_counter() - began) * 1000], "ms")
            show("none changed", lambda: changes(settings, assets, before.cursors))
            other = catalog.load_table(specs[1].identifier)
            commit(other, [File(TODAY, 1000)], merge=True)
            show("one changed", lambda: changes(settings, assets, before.cursors))
            after = changes(settings, assets, before.cursors).cursors
            commit(long, [File(TODAY, 1000)], merge=True)
            show("the one with many snapshots changed", lambda: changes(settings, assets, after))
        every = list(window_rows(settings, assets[0]))
        show("files of one window, the newest", lambda: files(settings, assets[0], every[-1:]))
        show(f"files of all {len(every)} windows", lambda: files(settings, assets[0], every))
        show(f"rows of all {len(every)} windows", lambda: window_rows(settings, assets[0]))
    finally:
        with raw_catalog(settings) as catalog:
            for spec in specs:
                catalog.drop_table(spec.identifier)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=10))
    parser.add_argument("--assets", type=int, default=300)
    parser.add_argument("--snapshots", type=int, default=400)
    given = parser.parse_args(arguments)
    with lake(["postgres"], running=given.running) as (settings, _):
        measure(settings, given.assets, given.snapshots, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
