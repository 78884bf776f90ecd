"""Cost of rebuilding a window of many small files, before and after compaction.

    python -m bench.compaction [--files 300] [--rows 100] [--rounds 5]

Events of one past day are sent until the sink has written the given number of files; it commits as often as it can.
Seconds are those of conform and publish in the ledger. The audit must be in balance each time. Rounds cannot be taken
in turns here, because a compaction is not reversible.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench.figures import Figures, options
from bench.lake import add_running, lake, quiet

if TYPE_CHECKING:
    from lake_assets.catalog.model import Asset
    from lake_assets.settings import Settings

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bench.ticks
name: bench_ticks
version: 1.0.0
status: active
domain: bench
description: {purpose: "One row per tick."}
team: {name: bench, members: [{username: bench@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: ticked_at, window: day, partitions: 2}}
schema:
  - name: bench_ticks
    properties:
      - {name: tick, logicalType: integer, required: true, primaryKey: true}
      - {name: price, logicalType: number, physicalType: "decimal(12,2)"}
      - {name: note, logicalType: string}
      - {name: ticked_at, logicalType: timestamp, required: true}
"""
DAY = datetime(2025, 2, 1, tzinfo=UTC)
WINDOW = f"{DAY:%Y-%m-%d}"


def event(number: int) -> bytes:
    at = DAY + timedelta(milliseconds=number % 86_400_000)
    record = {
        "tick": number,
        "price": f"{number % 9973}.{number % 100:02}",
        "note": f"tick {number}",
        "ticked_at": at.isoformat(),
    }
    return json.dumps(record).encode()


def fill(settings: "Settings", asset: "Asset", wanted: int, rows: int) -> int:
    """Send events until the window has so many files. Returns the number of events."""
    from lake_assets.compile.connector import ConnectorSpec
    from lake_assets.landing.connect import connector_for, ensure_connector
    from lake_assets.landing.produce import produce_lines

    spec = connector_for(settings, asset.domain)
    often = {"iceberg.control.commit.interval-ms": "100"}
    ensure_connector(settings, ConnectorSpec(spec.name, {**spec.config, **often}))
    sent = 0
    while (held := size(settings, asset)[0]) < wanted:
        # Send the events of several commits before reading the table.
        for _ in range(min(10, wanted - held)):
            produce_lines(settings, asset, [event(number) for number in range(sent, sent + rows)])
            sent += rows
            time.sleep(0.2)
    return sent


def size(settings: "Settings", asset: "Asset") -> tuple[int, int]:
    """Return files and bytes of the window."""
    from lake_assets.landing.files import files

    held = files(settings, asset, [WINDOW]).by_window.get(WINDOW, ())
    return len(held), sum(file.bytes for file in held)


def rebuild(settings: "Settings", asset: "Asset", rounds: int) -> list[float]:
    """Measure the seconds of a rebuild of the window."""
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.audit import audit
    from lake_assets.orchestration.in_process import run_once

    found: list[float] = []
    with Ledger(settings) as ledger:
        for _ in range(rounds):
            ledger.queue_windows(asset, [WINDOW])
            assert run_once(settings, quiet).published == {asset.name: [WINDOW]}
            found.append(ledger.windows(asset, WINDOW)[0].seconds)
    assert audit(settings, [asset])[0].in_balance
    return found


def measure(wanted: int, rows: int, rounds: int, running: bool) -> Figures:
    with lake(["kafka", "connect", "postgres"], {"bench_ticks": CONTRACT}, running=running) as (settings, _):
        from lake_assets.operations.apply import apply
        from lake_assets.operations.housekeeping import clean
        from lake_assets.orchestration.dagster_records import DagsterRecords
        from lake_assets.orchestration.in_process import run_once
        from lake_assets.project import read_files

        apply(settings, DagsterRecords(settings), quiet)
        asset = read_files(settings).assets["bench_ticks"]
        sent = fill(settings, asset, wanted, rows)
        assert run_once(settings, quiet).published == {asset.name: [WINDOW]}
        files, held = size(settings, asset)
        before = rebuild(settings, asset, rounds)
        began = time.perf_counter()
        clean(settings, [asset], datetime.now(UTC), quiet)
        took = time.perf_counter() - began
        after = rebuild(settings, asset, rounds)
        now, smaller = size(settings, asset)
        figures = Figures("bench.compaction", f"{sent:,} rows of one window, which is rebuilt")
        merged = figures.add(f"of {now} files, {smaller:,} bytes, written together", after)
        figures.add_rival(f"of {files} files, {held:,} bytes, as they landed", before, merged)
        figures.add("writing them together, once", [took])
        return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=5))
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rows", type=int, default=100, help="rows for each file")
    given = parser.parse_args(arguments)
    measure(given.files, given.rows, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
