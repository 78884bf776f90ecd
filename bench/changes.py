"""What the trigger costs: `changes` with many assets of which one changed, and with a long history of which one is new.

    LAKE_HOME=... python bench/changes.py [--assets 300] [--snapshots 400]

Needs a lake with a Postgres (`lake up --parts postgres`). Tables are made in the raw namespace `bench`, with real
metadata and no data, and dropped again. Times are the best and the median of ten calls in one process, after the first
call, which also imports pyiceberg.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.changes import changes
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.settings import load_settings
from tests.landing.examples import example_asset
from tests.landing.synthetic import File, commit

TODAY = 20_779
REPEATS = 10


def show(what: str, run: Callable[[], object]) -> None:
    times: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) * 1000)
    print(f"{what:<70} {min(times):>8.1f} {statistics.median(times):>8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=300)
    parser.add_argument("--snapshots", type=int, default=400)
    options = parser.parse_args()
    settings = load_settings()
    assets = [example_asset(f"asset_{number}", "bench") for number in range(options.assets)]
    # Merging as the sink does it, which is Java's default and not pyiceberg's.
    merging = {"commit.manifest-merge.enabled": "true"}
    specs = [raw_table(asset) for asset in assets]
    ensure_raw_tables(settings, [replace(spec, properties={**spec.properties, **merging}) for spec in specs])
    try:
        with raw_catalog(settings) as catalog:
            long = catalog.load_table(specs[0].identifier)
            for number in range(options.snapshots):
                commit(long, [File(TODAY - number, 1000), File(TODAY - number, 1000)], merge=True)
            began = time.perf_counter()
            before = changes(settings, assets, {})
            print(f"first look at {options.assets} assets: {time.perf_counter() - began:.1f} s")
            print(f"{'':<70} {'best ms':>8} {'median':>8}")
            show(f"{options.assets} assets, none changed", lambda: changes(settings, assets, before.cursors))
            other = catalog.load_table(specs[1].identifier)
            commit(other, [File(TODAY, 1000)], merge=True)
            show(f"{options.assets} assets, one changed", lambda: changes(settings, assets, before.cursors))
            after = changes(settings, assets, before.cursors).cursors
            commit(long, [File(TODAY, 1000)], merge=True)
            what = f"{options.assets} assets, one changed that has {options.snapshots} snapshots"
            show(what, lambda: changes(settings, assets, after))
        every = list(window_rows(settings, assets[0]))
        show("files of one window, the newest", lambda: files(settings, assets[0], every[-1:]))
        show(f"files of all {len(every)} windows", lambda: files(settings, assets[0], every))
        show(f"rows of all {len(every)} windows", lambda: window_rows(settings, assets[0]))
    finally:
        with raw_catalog(settings) as catalog:
            for spec in specs:
                catalog.drop_table(spec.identifier)


if __name__ == "__main__":
    main()
