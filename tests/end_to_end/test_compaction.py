"""`lake maintain` writes small files together in a raw table that the real sink goes on writing to."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event, Thread
from typing import cast

import pytest
from pyiceberg.table.snapshots import Snapshot

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.changes import changes
from lake_assets.landing.compaction import MIN_FILES
from lake_assets.landing.files import files
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.settings import Settings
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.landed_records import read_raw, row_count, wait_for_rows
from tests.support.part_faults import kill_part

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.pings
name: pings
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per ping.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: sent_at, window: day, partitions: 2}}
schema:
  - name: pings
    properties:
      - {name: ping_id, logicalType: integer, required: true, primaryKey: true, description: Number of the ping.}
      - {name: sent_at, logicalType: timestamp, required: true, description: When (UTC).}
"""
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
WINDOW = f"{YESTERDAY:%Y-%m-%d}"


def send(settings: Settings, asset: Asset, number: int, at: datetime = YESTERDAY) -> None:
    produce_lines(settings, asset, [json.dumps({"ping_id": number, "sent_at": at.isoformat()}).encode()])


@contextmanager
def sending(settings: Settings, asset: Asset, numbers: Iterator[int]) -> Generator[list[int]]:
    """Events of today all the time, so that the sink commits all the time; yields those that were sent."""
    sent, ended = list[int](), Event()

    def go_on() -> None:
        for number in numbers:
            send(settings, asset, number, datetime.now(UTC))
            sent.append(number)
            if ended.wait(0.2):
                return

    sender = Thread(target=go_on)
    sender.start()
    try:
        yield sent
    finally:
        ended.set()
        sender.join()


def merge_manifests_at_each_commit(lake: Lake, asset: Asset) -> None:
    """Merge manifests at each commit. The sink does it after twenty."""
    with raw_catalog(lake.settings) as catalog, catalog.load_table(raw_table(asset).identifier).transaction() as change:
        change.set_properties({"commit.manifest.min-count-to-merge": "2"})


@pytest.mark.fault(
    "Kafka Connect's worker is killed -9 after small raw files were written together", "every event lands once"
)
def test_the_sink_goes_on_after_its_files_were_written_together(lake: Lake) -> None:
    settings, path = lake.settings, lake.contract("pings")
    path.write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    asset = parse_contract(CONTRACT, path)
    for number in range(MIN_FILES):
        send(settings, asset, number)
        wait_for_rows(settings, asset, number + 1)
    lake.ok("run")
    before, known = read_raw(settings, asset), changes(settings, [asset], {})
    [whole] = known.windows["pings"]
    assert whole.files >= MIN_FILES
    why = lake.ok("why", "pings", WINDOW).out

    with sending(settings, asset, count(1000)) as sent:
        wait_until(lambda: row_count(settings, asset) > MIN_FILES)
        done = lake.ok("maintain", "--json")
    [cleaned] = [one for one in done.json["cleaned"] if one["dataset"] == "pings"]
    assert [one["windows"] for one in cleaned["compactions"]] == [[WINDOW]]
    assert f"pings: {whole.files} small files of 1 windows are 1 now" in done.err
    assert len(files(settings, asset, [WINDOW]).by_window[WINDOW]) == 1
    assert [record for record in read_raw(settings, asset) if record in before] == before
    assert WINDOW not in {one.window for one in changes(settings, [asset], known.cursors).windows["pings"]}
    same = next(one for one in changes(settings, [asset], {}).windows["pings"] if one.window == WINDOW)
    names = ("sequence", "rows", "min_offset", "max_offset")
    assert [getattr(same, name) for name in names] == [getattr(whole, name) for name in names]

    # After a crash the sink asks the table's snapshots how far it had come; and it merges the manifest that names the
    # new file into its own, and keeps that the file is no news.
    lake.ok("run")
    merge_manifests_at_each_commit(lake, asset)
    kill_part(settings, "connect")
    send(settings, asset, 1, datetime.now(UTC))
    wait_for_rows(settings, asset, MIN_FILES + len(sent) + 1)
    with raw_catalog(settings) as catalog:
        table = catalog.load_table(raw_table(asset).identifier)
        assert len(cast("Snapshot", table.current_snapshot()).manifests(table.io)) == 1
    assert WINDOW not in {one.window for one in changes(settings, [asset], known.cursors).windows["pings"]}
    lake.ok("run")
    assert lake.ok("why", "pings", WINDOW).out == why, "nobody has made it again"

    send(settings, asset, 2000)
    lake.ok("run")
    rows = lake.staging("select ping_id, count(*) as n from pings_staging.pings group by all order by all")
    numbers = {row["ping_id"]: row["n"] for row in rows}
    assert numbers == dict.fromkeys([*range(MIN_FILES), *sent, 2000], 1) | {1: 2}
    audit = lake.audit("pings")
    assert audit["in_balance"]
    assert [one["duplicates"] for one in audit["windows"]] == [0] * len(audit["windows"])
    assert next(one["raw"] for one in audit["windows"] if one["window"] == WINDOW) == MIN_FILES + 1
    # The table's own property again, for other tests of this lake.
    lake.ok("apply")
