"""Conform and publish of one window against the same work as one hand-written DuckDB statement, in one run.

    .venv/bin/python bench/conform.py [--rows 1000000] [--rounds 3]

Both read the same raw Parquet file, parse and cast the same fields, test the same rules and write Parquet. The conform
also lists what is wrong with each row, deduplicates, counts per Kafka partition, runs the contract's check and
publishes to a DuckLake in a Postgres that this script starts and ends. Prints the best of the rounds of each.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import duckdb

from lake_assets.catalog.accounting import WindowInput
from lake_assets.catalog.model import Asset
from lake_assets.conform.duckdb import conform
from lake_assets.project import read_catalog
from lake_assets.settings import load_settings

RAW = """\
copy (
  select
    encode('{"order_id":"o-' || i || '","region":"' || ['north', 'south', 'east', 'west'][1 + i % 4]
      || '","product":"p' || (i % 50) || '","quantity":' || (1 + i % 5)
      || ',"amount":"' || cast((i % 100000) / 100.0 as decimal(12, 2))
      || '","customer":{"segment":"private","number":' || (i % 10000) || '},"ordered_at":"'
      || strftime(timestamp '2026-01-01' + interval (i % 86000) second, '%Y-%m-%dT%H:%M:%SZ') || '"}') as payload,
    encode('o-' || i) as _key, 'shop.sales' as _topic, cast(i % 4 as integer) as _partition, i // 4 as _offset,
    make_timestamptz(epoch_us(timestamp '2026-01-01' + interval (i % 86000) second)) as _timestamp
  from range(ROWS) as rows (i)
) to 'FILE' (format parquet, compression zstd, row_group_size 122880)"""

BY_HAND = """\
copy (
  with given as (
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
    from given
  )
  select * from typed
  where length(order_id) between 1 and 40 and region in ('north', 'south', 'east', 'west')
    and length(product) between 1 and 80 and quantity between 1 and 1000 and amount >= 0 and ordered_at is not null
  qualify row_number() over (partition by order_id order by ordered_at desc, _partition desc, _offset desc) = 1
) to 'OUT' (format parquet, compression zstd)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    os.environ["LAKE_HOME"] = str(home)
    from lake_assets.stack.lifecycle import down, up

    try:
        up(parts=["postgres"])
        measure(given.rows, given.rounds, home)
    finally:
        down()
        shutil.rmtree(home, ignore_errors=True)


def measure(rows: int, rounds: int, home: Path) -> None:
    from lake_assets.warehouse.ducklake import DuckLake

    settings = load_settings()
    asset: Asset = read_catalog(settings)["sales"]
    raw = home / "raw.parquet"
    duckdb.execute("set timezone = 'UTC'")
    duckdb.execute(RAW.replace("ROWS", str(rows)).replace("FILE", str(raw)))
    window = WindowInput("2026-01-01", (str(raw),), rows, raw.stat().st_size)
    warehouse = DuckLake(settings)
    warehouse.ensure(asset)
    hand, conformed, published = [], [], []
    # In turn, so that a machine that slows down slows both.
    for number in range(rounds):
        started = time.perf_counter()
        with duckdb.connect() as session:
            session.execute("set timezone = 'UTC'")
            session.execute(BY_HAND.replace("FILE", str(raw)).replace("OUT", str(home / "hand.parquet")))
        hand.append(time.perf_counter() - started)
        started = time.perf_counter()
        outputs = conform(asset, [window], settings.conformed, home, f"bench-{number}", f"bench-{number}")
        conformed.append(time.perf_counter() - started)
        started = time.perf_counter()
        warehouse.replace_windows(asset, outputs)
        published.append(time.perf_counter() - started)
        assert outputs[0].good == rows
    whole = min(c + p for c, p in zip(conformed, published, strict=True))
    print(f"rows                    {rows:>12,}")
    print(f"by hand                 {min(hand):>12.2f} s {rows / min(hand):>12,.0f} rows/s")
    print(f"conform                 {min(conformed):>12.2f} s {rows / min(conformed):>12,.0f} rows/s")
    print(f"conform and publish     {whole:>12.2f} s {rows / whole:>12,.0f} rows/s")
    print(f"of the speed by hand    {min(hand) / whole:>12.2f}")


if __name__ == "__main__":
    main()
