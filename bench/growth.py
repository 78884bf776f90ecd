"""Metadata of a raw table that gets one event a second, and the time to read it.

    python -m bench.growth [--commits 3600] [--rounds 10]

Each event is a commit, as at the local sink's interval of a second. Old snapshots expire as in a run: when there are
more than `MOST_SNAPSHOTS`. So sizes repeat every five minutes, and an hour shows the largest one of a day (86,400
commits). Commits are real but have no data. The catalog is a SQLite file: no server runs.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable, Table

from bench.figures import Figures, options
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.expire import KEPT_SNAPSHOTS, MOST_SNAPSHOTS, remove_snapshots
from lake_assets.landing.raw_tables import create_raw_table
from lake_assets.landing.table_metadata import metadata_reader
from tests.support.raw_assets import example_asset
from tests.support.synthetic_commits import File, commit

TODAY = 20_779


def measure(commits: int, rounds: int) -> Figures:
    spec = raw_table(example_asset("bench_growth", "bench"))
    figures = Figures("bench.growth", f"one raw table, {commits:,} commits of one event")
    with tempfile.TemporaryDirectory(prefix="lake-") as folder:
        catalog = SqlCatalog("raw", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/raw")
        catalog.create_namespace(spec.namespace)
        create_raw_table(catalog, spec)
        table = catalog.load_table(spec.identifier)
        sizes: list[int] = []
        expiries: list[float] = []
        for number in range(commits):
            commit(table, [File(TODAY, 1, number)], merge=True)
            sizes.append(_path(table).stat().st_size)
            if len(table.metadata.snapshots) > MOST_SNAPSHOTS:
                began = time.perf_counter()
                old = table.metadata.snapshots[:-KEPT_SNAPSHOTS]
                remove_snapshots(table, old)
                table = catalog.load_table(spec.identifier)
                expiries.append(time.perf_counter() - began)
        figures.add("largest metadata file", [max(sizes) / 1000], "kB")
        figures.add("metadata file at the end", [sizes[-1] / 1000], "kB")
        largest = _path(table)
        times: dict[str, list[float]] = {"plain JSON": [], "pyiceberg": []}
        for _ in range(rounds):
            for way, read in (("plain JSON", metadata_reader()), ("pyiceberg", StaticTable.from_metadata)):
                began = time.perf_counter()
                read(largest.as_uri())
                times[way].append((time.perf_counter() - began) * 1000)
        for way, values in times.items():
            figures.add(f"read the metadata, {way}", values, "ms")
        if expiries:
            figures.add("commit that expires snapshots", [value * 1000 for value in expiries], "ms")
    return figures


def _path(table: Table) -> Path:
    return Path(table.metadata_location.removeprefix("file://"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__, rounds=10)
    parser.add_argument("--commits", type=int, default=3_600)
    given = parser.parse_args(arguments)
    measure(given.commits, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
