"""A window of many small files, as a sink that commits often leaves it: what it costs to make it again, before its
files are written together and after.

    python -m bench.compaction [--files 300] [--rows 100]

Starts Kafka, Connect and Postgres in a lake of its own, which is removed afterwards. Events of one past day are sent
until the sink has left so many files of it, so many rows for each; its commits are as often as it can. Seconds are
those that the ledger has of the window, conform and publish, median of five. The audit must be in balance each time.
"""

import argparse
import json
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench.batch_lake import batch_lake, quiet

if TYPE_CHECKING:
    from lake_assets.catalog.model import Asset
    from lake_assets.settings import Settings

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bench.ticks
name: ticks
version: 1.0.0
status: active
domain: bench
description: {purpose: "One row per tick."}
team: {name: bench, members: [{username: bench@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: ticked_at, window: day, start: 2025-01-01, partitions: 2}}
schema:
  - name: ticks
    properties:
      - {name: tick, logicalType: integer, required: true, primaryKey: true}
      - {name: price, logicalType: number, physicalType: "decimal(12,2)"}
      - {name: note, logicalType: string}
      - {name: ticked_at, logicalType: timestamp, required: true}
"""
DAY = datetime(2025, 2, 1, tzinfo=UTC)
WINDOW = f"{DAY:%Y-%m-%d}"
REPEATS = 5


def event(number: int) -> bytes:
    at = DAY + timedelta(milliseconds=number % 86_400_000)
    told = {
        "tick": number,
        "price": f"{number % 9973}.{number % 100:02}",
        "note": f"tick {number}",
        "ticked_at": at.isoformat(),
    }
    return json.dumps(told).encode()


def fill(settings: "Settings", asset: "Asset", wanted: int, rows: int) -> int:
    """Sends events until the window has so many files; how many events that were."""
    from lake_assets.compile.connector import ConnectorSpec
    from lake_assets.landing.connect import connector_for, ensure_connector
    from lake_assets.landing.produce import produce_lines

    spec = connector_for(settings, asset.domain)
    often = {"iceberg.control.commit.interval-ms": "100"}
    ensure_connector(settings, ConnectorSpec(spec.name, {**spec.config, **often}))
    sent = 0
    while (held := size(settings, asset)[0]) < wanted:
        # Several commits' worth before the table is asked again.
        for _ in range(min(10, wanted - held)):
            produce_lines(settings, asset, [event(number) for number in range(sent, sent + rows)])
            sent += rows
            time.sleep(0.2)
    return sent


def size(settings: "Settings", asset: "Asset") -> tuple[int, int]:
    """Files and bytes of the window."""
    from lake_assets.landing.files import files

    held = files(settings, asset, [WINDOW]).by_window.get(WINDOW, ())
    return len(held), sum(file.bytes for file in held)


def made_again(settings: "Settings", asset: "Asset") -> list[float]:
    """Seconds that it takes to make the window."""
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.orchestration.audit import audit
    from lake_assets.orchestration.once import run_once

    found: list[float] = []
    with Ledger(settings) as ledger:
        for _ in range(REPEATS):
            ledger.request(asset, [WINDOW])
            assert run_once(settings, quiet).published == {asset.name: [WINDOW]}
            found.append(ledger.windows(asset, WINDOW)[0].seconds)
    assert audit(settings, [asset])[0].in_balance
    return found


def measure(wanted: int, rows: int) -> None:
    with batch_lake({"ticks": CONTRACT}) as settings:
        from lake_assets.orchestration.cleaning import clean
        from lake_assets.orchestration.once import run_once
        from lake_assets.project import read_catalog

        asset = read_catalog(settings)["ticks"]
        sent = fill(settings, asset, wanted, rows)
        assert run_once(settings, quiet).published == {asset.name: [WINDOW]}
        print(f"{sent:,} rows of one window; seconds to make it again")
        print(f"{'':<10} {'files':>6} {'bytes':>12} {'median s':>9} {'best':>6} {'worst':>6}")
        seconds: list[float] = []
        for what in ("before", "after"):
            if what == "after":
                began = time.perf_counter()
                clean(settings, [asset], datetime.now(UTC), quiet)
                took = time.perf_counter() - began
            times = made_again(settings, asset)
            files, held = size(settings, asset)
            seconds.append(statistics.median(times))
            print(f"{what:<10} {files:>6} {held:>12,} {seconds[-1]:>9.2f} {min(times):>6.2f} {max(times):>6.2f}")
        print(f"ratio {seconds[0] / seconds[1]:.1f}; writing them together took {took:.2f} s; the audit is in balance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rows", type=int, default=100)
    options = parser.parse_args()
    measure(options.files, options.rows)


if __name__ == "__main__":
    main()
