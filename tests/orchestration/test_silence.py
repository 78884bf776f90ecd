"""Silence on a real topic: the checks turn red and green by themselves, and report the cause."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka import Producer

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.landing.broker import broker_options
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.arrivals import missed, silences
from lake_assets.operations.backlog import backlog
from lake_assets.orchestration.arrival_checks import FREQUENCY, ROSTER, silence_checks, silence_sensor
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.orchestration.keys import staging_key, topic_key
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.landed_records import apply, wait_for_rows

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: watch.beats
name: beats
version: 1.0.0
status: active
domain: watch
description: {purpose: One row per heartbeat.}
team: {name: watch, members: [{username: watch@example.com, role: owner}]}
slaProperties: [{property: frequency, value: 10, unit: m}]
customProperties:
  - {property: landing, value: {eventTime: beat_at, partitions: 2}}
  - {property: roster, value: {field: store}}
schema:
  - name: beats
    properties:
      - {name: store, logicalType: string, required: true, primaryKey: true}
      - {name: beat_at, logicalType: timestamp, required: true}
"""
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def beats(stack: Settings) -> Generator[Asset]:
    """Applied, but for the connector: what is produced does not land."""
    asset = parse_contract(CONTRACT, Path("beats.yaml"))
    apply(stack, asset)
    DuckLake(stack).ensure(asset)
    with Ledger(stack) as ledger:
        ledger.ensure_schema()
        ledger.save_contract(asset, CONTRACT)
    yield asset
    # Other tests run all that is applied.
    with Ledger(stack) as ledger:
        ledger.connection.execute("delete from ledger.contract where asset = 'beats'")


def beat(settings: Settings, asset: Asset) -> None:
    producer = Producer(broker_options(settings))
    producer.produce(asset.topic, b'{"store": "1", "beat_at": "2026-11-01T00:00:00Z"}')
    assert producer.flush(30) == 0


def let_pass(settings: Settings, time: timedelta) -> None:
    """Move all observed arrivals back by this time."""
    with Ledger(settings) as ledger:
        ledger.save_arrivals({
            name: replace(arrival, end_at=arrival.end_at - time,
                          waiting_since=arrival.waiting_since and arrival.waiting_since - time)
            for name, arrival in ledger.arrivals().items()
        })  # fmt: skip


def tick(settings: Settings, asset: Asset, cursor: str | None = None) -> tuple[list[dg.AssetCheckEvaluation], str]:
    result = silence_sensor(settings, [asset])(dg.build_sensor_context(cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    found = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert result.cursor is not None
    return found, result.cursor


def outcomes(evaluations: Sequence[dg.AssetCheckEvaluation]) -> list[tuple[dg.AssetKey, str, bool, str | None]]:
    return [(e.asset_key, e.check_name, e.passed, e.description) for e in evaluations]


@pytest.mark.fault(
    "no producer sends, nothing lands, or one producer is silent",
    "a check turns red and names which of the three",
)
def test_no_events_and_no_data_differ_and_pass_again_when_events_land(stack: Settings, beats: Asset) -> None:
    assert silences(stack, [beats]) == {"beats": None}, "the first look starts the clock"
    let_pass(stack, 11 * MINUTE)
    assert str(silences(stack, [beats])["beats"]).startswith(
        "no events: the topic watch.beats has received none for 11 m"
    )
    beat(stack, beats)
    assert silences(stack, [beats]) == {"beats": None}
    let_pass(stack, 11 * MINUTE)
    beat(stack, beats)
    sentence = silences(stack, [beats])["beats"]
    assert str(sentence).startswith("no data: events come into the topic watch.beats and none has landed for 11 min")
    assert [entry.silence for entry in backlog(stack, [beats])] == [sentence]
    apply(stack, beats, domain=beats.domain)
    wait_for_rows(stack, beats, 2)
    assert silences(stack, [beats]) == {"beats": None}


def test_a_check_is_reported_when_its_result_changes(stack: Settings, beats: Asset) -> None:
    first, cursor = tick(stack, beats)
    topic, staging = topic_key(beats), staging_key(beats)
    assert outcomes(first) == [(topic, FREQUENCY, True, None), (staging, ROSTER, True, None)]
    let_pass(stack, 15 * MINUTE)
    (red,), cursor = tick(stack, beats, cursor)
    assert (red.asset_key, red.check_name, red.passed) == (topic, FREQUENCY, False)
    assert str(red.description).startswith("no events: the topic watch.beats has received none for 15 m")
    let_pass(stack, 5 * MINUTE)
    still, cursor = tick(stack, beats, cursor)
    assert still == [], "it was red already"
    beat(stack, beats)
    green, _ = tick(stack, beats, cursor)
    assert outcomes(green) == [(topic, FREQUENCY, True, None)]


def test_a_store_that_falls_silent_while_others_go_on_is_missed(stack: Settings, beats: Asset) -> None:
    now = datetime.now(UTC)
    rows = {"north": 30 * MINUTE, "south": 2 * MINUTE, "closed": 8 * 24 * 60 * MINUTE, "ahead": -60 * MINUTE}
    with connect(stack) as connection:
        for store, ago in rows.items():
            at = (now - ago).isoformat()
            connection.execute(f"insert into lake.beats_staging.beats (store, beat_at) values ('{store}', '{at}')")
    assert list(missed(stack, beats)) == ["north"]
    frequency, roster = (check() for check in silence_checks(stack, [beats]))
    assert isinstance(frequency, dg.AssetCheckResult)
    assert isinstance(roster, dg.AssetCheckResult)
    assert (frequency.passed, roster.passed) == (True, False)
    assert roster.description == "missing store north: the others of beats have sent since; contact them."


def test_checks_and_sensor_stand_in_the_code_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "beats.yaml").write_text(CONTRACT, "utf-8")
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    definitions = build_definitions(load_settings(), read_files(load_settings()))
    keys = definitions.resolve_asset_graph().asset_check_keys
    beats = parse_contract(CONTRACT, Path("beats.yaml"))
    assert dg.AssetCheckKey(topic_key(beats), FREQUENCY) in keys
    assert dg.AssetCheckKey(staging_key(beats), ROSTER) in keys
    assert "silence" in {sensor.name for sensor in definitions.sensors or ()}
