"""Envelopes: what is read out of a line, whatever the line is."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.landing.envelope import envelope_reader, stamper
from tests.support.raw_assets import example_asset

AT = "2026-11-01T12:00:00Z"
AT_MS = 1_793_534_400_000
read = envelope_reader(example_asset("leads"))


def at(instant: datetime) -> bytes:
    return json.dumps({"id": "a", "at": instant.isoformat()}).encode()


def test_key_and_event_time_are_read_from_the_line() -> None:
    assert read(f'{{"x": [1, {{"id": 0}}], "id": "Zoë", "at": "{AT}"}}'.encode()) == ("Zoë".encode(), AT_MS, None)


@pytest.mark.parametrize(
    ("value", "key"),
    [("17", b"17"), ("true", b"true"), ('"17"', b"17"), ("null", None), ('{"a": 1}', b'{"a":1}'), ('""', b"")],
)
def test_a_key_of_one_field_is_its_text(value: str, key: bytes | None) -> None:
    assert read(f'{{"id": {value}, "at": "{AT}"}}'.encode()) == (key, AT_MS, None)


def test_a_key_of_several_fields_is_a_json_array_or_null_if_one_is_missing() -> None:
    read_two = envelope_reader(example_asset("leads", key=("id", "part")))
    assert read_two(f'{{"part": 2, "id": "a", "at": "{AT}"}}'.encode()) == (b'["a",2]', AT_MS, None)
    assert read_two(f'{{"id": "a", "at": "{AT}"}}'.encode()) == (None, AT_MS, None)


def test_the_event_time_may_be_a_key_field_and_have_another_payload_name() -> None:
    read_both = envelope_reader(example_asset("leads", key=("id", "at"), time_source="Wann?"))
    assert read_both(f'{{"id": "a", "Wann?": "{AT}"}}'.encode()) == (f'["a","{AT}"]'.encode(), AT_MS, None)
    read_time = envelope_reader(example_asset("leads", key=("at",), time_source="Wann?"))
    assert read_time(f'{{"Wann?": "{AT}"}}'.encode()) == (AT.encode(), AT_MS, None)


def test_without_a_contract_key_the_kafka_key_is_null() -> None:
    assert envelope_reader(example_asset("leads", key=()))(f'{{"at": "{AT}"}}'.encode()) == (None, AT_MS, None)


@pytest.mark.parametrize("line", [b"", b"nope", b"[1]", b"null", b'{"id": "a"', b'{"id": "\xff"}', b'{"id": "a"} x'])
def test_a_line_that_is_no_json_object_has_neither_key_nor_time(line: bytes) -> None:
    assert read(line) == (None, None, "not_json")


@pytest.mark.parametrize("value", ["null", '"soon"', "17", "[]"])
def test_without_a_readable_event_time_the_key_stays(value: str) -> None:
    assert read(f'{{"id": "a", "at": {value}}}'.encode()) == (b"a", None, "no_event_time")
    assert read(b'{"id": "a"}') == (b"a", None, "no_event_time")


def test_a_time_that_no_window_can_have_is_replaced_by_now() -> None:
    now = datetime.now(UTC)
    assert read(at(now + timedelta(hours=2))) == (b"a", None, "in_future")
    assert read(at(now + timedelta(minutes=50)))[2] is None
    millis = envelope_reader(example_asset("leads", time_format="epoch_millis"))
    assert millis(b'{"id": "a", "at": -62135596800000}') == (b"a", -62_135_596_800_000, None)
    assert millis(b'{"id": "a", "at": -62135596800001}') == (b"a", None, "no_event_time")


@pytest.mark.parametrize(
    ("instant", "millis"),
    [("1990-01-01T00:00:00Z", 631_152_000_000), ("1969-12-31T23:59:59Z", -1000),
     ("0001-01-01T00:00:00Z", -62_135_596_800_000)],
)  # fmt: skip
def test_a_time_of_long_ago_goes_into_a_header(instant: str, millis: int) -> None:
    event = json.dumps({"id": "a", "at": instant}).encode()
    assert read(event) == (b"a", millis, None)
    assert stamper()(millis) == (0, [("lake-event-time", str(millis))])


def test_a_time_at_which_a_broker_forgets_its_producer_is_no_timestamp() -> None:
    now, hour = int(time.time() * 1000), 3_600_000
    assert stamper()(now - 11 * hour) == (now - 11 * hour, None)
    assert stamper()(now - 13 * hour) == (0, [("lake-event-time", str(now - 13 * hour))])


def test_an_event_without_a_time_has_that_of_sending_and_no_header() -> None:
    assert stamper()(None) == (0, None)


def test_what_was_in_the_future_is_taken_once_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    long_running = envelope_reader(example_asset("leads"))
    event = at(datetime.now(UTC) + timedelta(hours=2))
    assert long_running(event)[2] == "in_future"
    later = time.time() + 2 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert long_running(event)[2] is None


def test_a_broken_byte_beside_key_and_time_does_not_matter() -> None:
    assert read(b'{"id": "a", "x": "\xff\xfe", "at": "' + AT.encode() + b'"}') == (b"a", AT_MS, None)


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.integers(0, 10_000).map(lambda depth: b'{"id":' + b"[" * depth)
    )
)
def test_no_line_raises(line: bytes) -> None:
    key, timestamp, flaw = read(line)
    assert (timestamp is None) == (flaw is not None)
    assert key is None or isinstance(key, bytes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["id", "at", "part", "x"]), JSON))
def test_no_json_object_raises(event: dict[str, object]) -> None:
    _, at, _ = read(json.dumps(event).encode())
    timestamp, _ = stamper()(at)
    assert 0 <= timestamp < time.time() * 1000 + 3_600_000
