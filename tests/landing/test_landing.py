"""Every event lands once and byte for byte, whatever it is and whatever is killed."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import pytest
import requests
from confluent_kafka import Producer

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.demo.generator import generate
from lake_assets.landing.broker import client_config
from lake_assets.landing.changes import RawChanges, changes
from lake_assets.landing.connect import config_differences, connector_for, connector_status, ensure_connector
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.landing.topics import offsets
from lake_assets.settings import Settings
from lake_assets.stack import starting
from lake_assets.stack.lifecycle import status, up
from tests.support.conditions import PROMISED_SECONDS, wait_until
from tests.support.landed_records import Record, apply, read_raw, wait_for_rows
from tests.support.raw_assets import example_asset


def assert_landed_once(settings: Settings, asset: Asset, records: list[Record]) -> None:
    """Each offset that the broker gave out is there, and once."""
    landed = Counter((record.partition, record.offset) for record in records)
    given = {
        (partition, offset)
        for partition, (begin, end) in offsets(settings, [asset.topic])[asset.topic].items()
        for offset in range(begin, end)
    }
    assert landed.keys() == given
    assert set(landed.values()) <= {1}


def test_fifty_thousand_events_land_exactly_once_while_others_read(lake: Settings) -> None:
    asset = example_asset("many", topic="crm.many")
    apply(lake, asset)
    lines = list(generate("leads", 50_000, 5, datetime.now(UTC), 3))
    seen: dict[str, int] = {}
    failures: list[BaseException] = []
    enough = threading.Event()

    def follow() -> None:
        found, cursors = dict[str, int](), dict[str, str]()
        try:
            while True:
                new: RawChanges = changes(lake, [asset], cursors)
                cursors = new.cursors
                for window in new.windows.get(asset.name, ()):
                    found[window.window] = found.get(window.window, 0) + window.rows
                files(lake, asset, list(found))
                if sum(found.values()) >= len(lines) or enough.wait(0.2):
                    break
        except BaseException as error:
            failures.append(error)
        seen.update(found)

    readers = [threading.Thread(target=follow) for _ in range(2)]
    for reader in readers:
        reader.start()
    report = produce_lines(lake, asset, lines)
    assert report.records == len(lines)
    try:
        wait_for_rows(lake, asset, len(lines))
    finally:
        for reader in readers:
            reader.join(30)
        enough.set()
    assert not failures
    assert seen == window_rows(lake, asset)
    records = read_raw(lake, asset)
    assert_landed_once(lake, asset, records)
    assert Counter(record.payload for record in records) == Counter(lines)


def test_a_topic_created_after_the_connector_lands_without_a_config_change(lake: Settings) -> None:
    asset = example_asset("newcomer", topic="crm.newcomer", window="hour")
    apply(lake, asset)
    produce_lines(lake, asset, [b'{"id": "a", "at": "2026-03-01T10:30:00Z"}'])
    wait_for_rows(lake, asset, 1)
    assert window_rows(lake, asset) == {"2026-03-01-10:00": 1}
    assert config_differences(lake, connector_for(lake, "crm")) == {}


@pytest.mark.fault("poison: bytes of any kind, a null payload", "it lands as it is, and is judged")
def test_whatever_bytes_a_record_has_they_land_as_they_are(lake: Settings) -> None:
    asset = example_asset("odd", topic="crm.odd", partitions=1)
    apply(lake, asset)
    records: list[tuple[bytes | None, bytes | None]] = [
        (b'{"id": "a"}', b"a"), (None, b"tombstone"), (b"", b"empty payload"), (b"\xff\xfe{", b"\x00\xff\xfe"),
        (b"null key", None), (None, None), (b"\x00", b""), (b"\xf0\x9f\x98\x80" * 50_000, "Zoë".encode()),
    ]  # fmt: skip
    producer = Producer(client_config(lake))
    instant = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
    for payload, key in records:
        producer.produce(asset.topic, payload, key, timestamp=int(instant.timestamp() * 1000))
    assert producer.flush(20) == 0
    wait_for_rows(lake, asset, len(records))
    assert read_raw(lake, asset) == [
        Record(0, offset, payload, key, instant) for offset, (payload, key) in enumerate(records)
    ]


def test_topics_of_any_name_land_in_the_table_of_their_dataset(lake: Settings) -> None:
    assets = [
        example_asset("dotted", "free", topic="Legacy.Orders.v1-EU"), example_asset("plain", "free", topic="orders"),
        example_asset("usual", "free", topic="free.usual"), example_asset("upper", "free", topic="free.Upper_Case"),
    ]  # fmt: skip
    apply(lake, *assets, domain="free")
    producer = Producer(client_config(lake))
    for asset in assets:
        producer.produce(asset.topic, asset.name.encode(), timestamp=1_770_000_000_000)
    assert producer.flush(20) == 0
    for asset in assets:
        wait_for_rows(lake, asset, 1)
        assert [record.payload for record in read_raw(lake, asset)] == [asset.name.encode()]
    began = time.monotonic()
    late = example_asset("later", "free", topic="later")
    apply(lake, *assets, late, domain="free")
    producer.produce("orders", b"after", timestamp=1_770_000_000_000)
    producer.produce("later", b"after", timestamp=1_770_000_000_000)
    assert producer.flush(20) == 0
    wait_for_rows(lake, assets[1], 2)
    wait_for_rows(lake, late, 1)
    print(f"adding a topic of another name cost its domain {time.monotonic() - began:.1f} s")


HEADERS: list[tuple[str, str | bytes | None]] = [
    ("_key", b"abc"), ("_key", b"7"), ("trace", b"\x00\xff"), ("", b"no name"), ("empty", b""), ("null", None),
    ("_topic", b"shop.other"), ("payload", b"{}"), ("Größe", "ü".encode()), ("long", b"x" * 100_000),
]  # fmt: skip


@pytest.mark.fault("headers that are named as columns are", "they land in their order, byte for byte")
def test_all_headers_land_in_their_order_whatever_they_are_named(lake: Settings) -> None:
    asset = example_asset("headed", topic="crm.headed", partitions=1)
    apply(lake, asset)
    producer = Producer(client_config(lake))
    for number, headers in enumerate([HEADERS, [], HEADERS[::-1]]):
        producer.produce(asset.topic, b'{"id": "a"}', b"key", headers=headers, timestamp=1_770_000_000_000 + number)
    assert producer.flush(20) == 0
    wait_for_rows(lake, asset, 3)
    assert {(record.payload, record.key) for record in read_raw(lake, asset)} == {(b'{"id": "a"}', b"key")}
    assert read_headers(lake, asset) == [HEADERS, [], HEADERS[::-1]]


def test_a_raw_table_of_before_gains_the_headers_and_keeps_its_files(lake: Settings) -> None:
    asset = example_asset("older", topic="crm.older", partitions=1)
    apply(lake, asset)
    with raw_catalog(lake) as catalog, catalog.load_table(("crm", "older")).update_schema() as schema:
        schema.delete_column("_headers")
    spec = connector_for(lake, "crm")
    ensure_connector(lake, replace(spec, config={**spec.config, "iceberg.control.commit.interval-ms": "1100"}))
    producer = Producer(client_config(lake))
    for number in range(2):
        producer.produce(asset.topic, b"%d" % number, None, headers=HEADERS, timestamp=1_770_000_000_000)
        assert producer.flush(20) == 0
        wait_for_rows(lake, asset, number + 1)
        if number == 0:
            assert [report.outcome for report in ensure_raw_tables(lake, [raw_table(asset)])] == ["updated"]
            assert [report.outcome for report in ensure_raw_tables(lake, [raw_table(asset)])] == ["unchanged"]
            ensure_connector(lake, spec)
    assert [record.payload for record in read_raw(lake, asset)] == [b"0", b"1"]
    assert read_headers(lake, asset) == [[], HEADERS]


def read_headers(settings: Settings, asset: Asset) -> list[list[tuple[str, str | bytes | None]]]:
    """The headers of all records, in the order of the topic."""
    found = files(settings, asset, window_rows(settings, asset))
    paths = [file.path for window in found.by_window.values() for file in window]
    rows = duckdb.execute("from read_parquet($1, union_by_name = true) order by _partition, _offset", [paths])
    return [
        [(header["name"], header["value"]) for header in row["_headers"] or ()]
        for row in rows.to_arrow_table().to_pylist()
    ]


@pytest.mark.fault("Kafka Connect's worker is killed -9 under load", "every event lands once")
def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(
    lake: Settings, record_property: Callable[..., None]
) -> None:
    asset = example_asset("killed", topic="crm.killed")
    apply(lake, asset)
    total = 30_000
    landed = lambda: sum(window_rows(lake, asset).values())  # noqa: E731
    before = 0

    def lines() -> Iterator[bytes]:
        nonlocal before
        for number in range(total):
            if number in (total // 3, total * 2 // 3):
                # It has committed something since it last started, and is at work on more.
                wait_until(lambda least=before: landed() > least)
                (worker,) = (part for part in status() if part.name == "connect")
                assert worker.pid
                os.kill(worker.pid, signal.SIGKILL)
                before = landed()
            yield b'{"id": "%d", "at": "2026-04-0%dT10:00:00Z"}' % (number, number % 5 + 1)

    produce_lines(lake, asset, lines(), rate=3000)
    record_property("all have landed", wait_until(lambda: landed() == total, PROMISED_SECONDS))
    records = read_raw(lake, asset)
    assert_landed_once(lake, asset, records)
    assert len({record.payload for record in records}) == total

    def runs() -> bool:
        found = connector_status(lake, "raw-crm")
        return found is not None and found.running

    wait_until(runs)


def test_connect_of_an_older_lake_gets_its_password_and_connectors_go_on(
    lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, servers = example_asset("open", topic="crm.open"), ("postgres", "kafka", "connect")
    apply(lake, asset)
    lines = [b'{"id": "%d", "at": "2026-04-01T10:00:00Z"}' % number for number in range(200)]
    try:
        with monkeypatch.context() as older:
            older.setattr(starting, "keep_rest_password", lambda _layout: None)
            older.setattr(starting, "USER", "")
            lake.connect_access.password_file.unlink()
            up(parts=servers)
            assert requests.get(f"{lake.connect}/connectors", timeout=30).status_code == requests.codes.ok
            produce_lines(lake, asset, lines[:100])
            wait_for_rows(lake, asset, 100)
    finally:
        up(parts=servers)
    assert requests.get(f"{lake.connect}/connectors", timeout=30).status_code == requests.codes.unauthorized
    assert lake.connect_access.password_file.stat().st_mode & 0o777 == 0o600
    produce_lines(lake, asset, lines[100:])
    wait_for_rows(lake, asset, 200)
    assert_landed_once(lake, asset, read_raw(lake, asset))
    found = connector_status(lake, "raw-crm")
    assert found is not None
    assert found.running
