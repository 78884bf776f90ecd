"""Events of before 1970 have windows of their own, for any sender and any way."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from lake_assets.landing.broker import client_config
from tests.end_to_end.conftest import Lake

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: history.voyages
name: voyages
version: 1.0.0
status: active
domain: history
description: {purpose: One row per voyage.}
team: {name: history, members: [{username: history@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: ended_at, window: day, partitions: 1}}
schema:
  - name: voyages
    properties:
      - {name: ship, logicalType: string, required: true, primaryKey: true, description: Its name.}
      - {name: ended_at, logicalType: timestamp, required: true, description: When it ended (UTC).}
"""
TOPIC = "history.voyages"
SENT = {
    "Liburna": "0001-01-01T00:00:00Z",
    "Titanic": "1912-04-15T02:20:00Z",
    "Columbia": "1969-07-24T16:50:35.250Z",
    "Zero": "1970-01-01T00:00:00Z",
    "Atlantis": "2011-07-21T09:57:00Z",
}
# What a producer of another sends: the header, the time stamp of 2011 that it has, and the window.
FOREIGN = {
    "Endurance": ("-1709164800000", "1915-11-04"),
    "no number": ("1912-04-15", "2011-07-21"),
    "ahead": ("4102444800000", "2011-07-21"),
    "before Christ": ("-62135596800001", "2011-07-21"),
    "too long": ("-" + "9" * 400, "2011-07-21"),
    "nothing": (None, "2011-07-21"),
}


@pytest.fixture(scope="module")
def voyages(lake: Lake) -> Lake:
    lake.contract("voyages").write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    lines = [json.dumps({"ship": ship, "ended_at": at}) for ship, at in SENT.items()]
    assert lake.ok("produce", "voyages", "-", "--format", "jsonl", "--json", stdin="\n".join(lines)).json["flaws"] == {
        "not_json": 0, "no_event_time": 0, "in_future": 0,
    }  # fmt: skip
    producer = Producer(client_config(lake.settings))
    stamp = int(datetime.fromisoformat(SENT["Atlantis"]).astimezone(UTC).timestamp() * 1000)
    for ship, (header, _) in FOREIGN.items():
        payload = json.dumps({"ship": ship, "ended_at": SENT["Atlantis"]})
        headers: list[tuple[str, str | bytes | None]] = [("lake-event-time", header)]
        producer.produce(TOPIC, payload, timestamp=stamp, headers=headers)
    assert producer.flush(20) == 0
    lake.ok("run")
    return lake


def expected() -> Mapping[str, list[str]]:
    """The ships by window."""
    found: dict[str, list[str]] = {}
    windows = {ship: at[:10] for ship, at in SENT.items()} | {ship: window for ship, (_, window) in FOREIGN.items()}
    for ship, window in windows.items():
        found.setdefault(window, []).append(ship)
    return {window: sorted(found[window]) for window in sorted(found)}


def test_events_of_before_1970_land_in_windows_of_their_own(voyages: Lake) -> None:
    query = "select strftime(_window, '%Y-%m-%d') as at, list(ship order by ship) as ships from voyages_staging.voyages"
    rows = voyages.staging(f"{query} group by 1 order by 1")
    assert {row["at"]: row["ships"] for row in rows} == expected()
    windows = voyages.audit("voyages")["windows"]
    assert {window["window"]: window["good"] for window in windows} == {at: len(of) for at, of in expected().items()}
    assert voyages("audit", "voyages").code == 0


def test_their_time_is_kept_to_the_millisecond(voyages: Lake) -> None:
    query = "select ended_at::varchar as at from voyages_staging.voyages where ship = 'Columbia'"
    assert voyages.staging(query) == [{"at": "1969-07-24 16:50:35.25+00"}]


def test_why_knows_a_window_of_long_ago(voyages: Lake) -> None:
    for window in ("0001-01-01", "1912-04-15"):
        assert "1 raw = 1 good" in voyages.ok("why", "voyages", window).out


def test_a_late_event_of_1912_makes_its_window_again_and_no_other(voyages: Lake) -> None:
    late = json.dumps({"ship": "Carpathia", "ended_at": "1912-04-15T09:00:00Z"})
    voyages.ok("produce", "voyages", "-", "--format", "jsonl", stdin=late)
    assert voyages.ok("run", "--json").json["published"] == {"voyages": ["1912-04-15"]}
