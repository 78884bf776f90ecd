"""Conform of one window against the same rows by one hand-written DuckDB statement, on clean and on dirty data.

    python -m bench.conform [--rows 1000000] [--data clean dirty] [--rounds 5]

Both read the same raw Parquet file, parse and cast the same fields, check the same rules, search duplicates only among
rows whose keys' hashes are equal, and write the good rows as Parquet. Their number and checksum are compared in each
round. Conform also writes quarantined rows with their reasons, keeps unknown fields, recognises redelivered events,
counts by Kafka partition and runs the contract's check; the hand-written statement does not. Publishing into a
DuckLake, in a Postgres that this script starts and stops, is measured separately.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from bench.figures import Figures, in_turns, options
from bench.lake import add_running, lake
from bench.sales import DATA, Outcome, good_rows, require_equal, write_raw
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform
from lake_assets.project import read_files
from lake_assets.settings import Settings

BY_HAND = """\
copy (
  with parsed as (
    select
      from_json(
        decode(payload),
        '{"order_id":"VARCHAR","region":"VARCHAR","product":"VARCHAR","quantity":"VARCHAR","amount":"VARCHAR",
          "customer":"JSON","ordered_at":"VARCHAR"}'
      ) as j,
      _partition, _offset
    from read_parquet('FILE')
  ),
  typed as (
    select
      j.order_id, j.region, j.product, try_cast(j.quantity as bigint) as quantity,
      try_cast(j.amount as decimal(12, 2)) as amount, cast(j.customer as varchar) as customer,
      try_cast(j.ordered_at as timestamptz) as ordered_at, _partition, _offset
    from parsed
  ),
  good as materialized (
    select * from typed
    where length(order_id) between 1 and 40 and region in ('north', 'south', 'east', 'west')
      and length(product) between 1 and 80 and quantity between 1 and 1000 and amount >= 0 and ordered_at is not null
  ),
  suspects as materialized (
    select hash(order_id) as h from good group by h having count(*) > 1
  ),
  repeats as materialized (
    select _partition, _offset from good where hash(order_id) in (from suspects)
    qualify row_number() over (partition by order_id order by ordered_at desc, _partition desc, _offset desc) > 1
  )
  select * from good anti join repeats using (_partition, _offset)
) to 'OUT' (format parquet, compression zstd)"""


def by_hand(raw: str, out: Path) -> None:
    """Run the hand-written statement, in its own session like conform."""
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'; set enable_progress_bar = false")
        session.execute(BY_HAND.replace("FILE", raw).replace("OUT", str(out)))


class Timed:
    """Context manager that measures the seconds and CPU seconds of this process in a block."""

    def __enter__(self) -> "Timed":
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]


def measure(settings: Settings, rows: int, data: str, rounds: int, folder: Path) -> Figures:
    from lake_assets.warehouse.local.ducklake import DuckLake

    # Use another name, so that a running lake keeps its own sales.
    asset: Asset = replace(read_files(settings).assets["sales"], dataset="bench_sales")
    [raw] = write_raw(folder, rows, data)
    window = WindowInput("2026-01-01", (raw,), rows, Path(raw).stat().st_size)
    warehouse = DuckLake(settings)
    warehouse.ensure(asset)
    outcomes: dict[str, Outcome] = {}
    published: list[float] = []

    def ours() -> Timed:
        name = f"bench-{data}-{len(published)}"
        with Timed() as timed:
            outputs = conform(asset, [window], settings.conformed, folder, name, name)
        with Timed() as publishing:
            warehouse.replace_windows(asset, outputs)
        published.append(publishing.wall)
        [output] = outputs
        good = good_rows(output.good_files, "_kafka_partition")
        outcomes["conform"] = Outcome(*good, output.quarantined, output.duplicates)
        return timed

    def theirs() -> Timed:
        out = folder / "hand.parquet"
        with Timed() as timed:
            by_hand(raw, out)
        outcomes["by hand"] = Outcome(*good_rows([str(out)]))
        if len(outcomes) == 2:
            require_equal(outcomes)
        return timed

    figures = Figures("bench.conform", f"{rows:,} {data} rows, {os.cpu_count()} cores")
    ways: dict[str, Callable[[], Timed]] = {"conform": ours, "by hand": theirs}
    runs = in_turns(ways, rounds)
    require_equal(outcomes)
    made = outcomes["conform"]
    figures.condition += (
        f"; same good rows: {made.good:,}, besides {made.quarantined:,} quarantined, {made.duplicates:,} duplicates"
    )
    for what, value in (("", lambda run: run.wall), (", CPU", lambda run: run.cpu)):
        own = figures.add(f"conform{what}", [value(run) for run in runs["conform"]])
        figures.add_rival(f"by hand{what}", [value(run) for run in runs["by hand"]], own)
    figures.add("publish", published)
    whole = [run.wall + seconds for run, seconds in zip(runs["conform"], published, strict=True)]
    figures.add("conform and publish", [rows / value for value in whole], "rows/s")
    Path(raw).unlink()
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=5))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    given = parser.parse_args(arguments)
    with lake(["postgres"], running=given.running) as (settings, folder):
        for data in given.data:
            measure(settings, given.rows, data, given.rounds, folder).show(given.figures)


if __name__ == "__main__":
    main()
