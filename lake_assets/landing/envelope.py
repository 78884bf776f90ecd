"""From a line to its Kafka envelope: key and timestamp are read out of it, the line itself is never touched."""

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal

import msgspec

from lake_assets.catalog.model import Asset
from lake_assets.compile.topic import MAX_AGE_MS, MAX_AHEAD_MS
from lake_assets.landing.event_time import event_time_reader

Flaw = Literal["not_json", "no_event_time", "in_future", "too_old"]

# librdkafka's word for the time at which the record is sent.
NOW = 0
# The broker's clock need not be ours.
_MARGIN_MS = 60_000

# Key, timestamp and flaw. The timestamp is in milliseconds since 1970 UTC, or NOW when the line has none that Kafka
# takes: then the flaw says why, and the event belongs to today's window.
Envelope = tuple[bytes | None, int, Flaw | None]


def envelope_reader(asset: Asset) -> Callable[[bytes], Envelope]:
    """A function from a line to its envelope; it raises nothing. Only the key and the event time are decoded."""
    event_time = asset.field(asset.event_time)
    sources = {"event_time": event_time.payload_key}
    for number, name in enumerate(asset.key):
        sources[f"key_{number}"] = asset.field(name).payload_key
    decode = _decoder(sources)
    read_time = event_time_reader(event_time)
    key_of = _key_reader(len(asset.key))
    latest, earliest = _latest(), int(time.time() * 1000) - MAX_AGE_MS + _MARGIN_MS

    def read(line: bytes) -> Envelope:
        nonlocal latest
        try:
            event = decode(line)
        except (ValueError, RecursionError):
            return None, NOW, "not_json"
        key = key_of(event)
        try:
            timestamp = read_time(event.event_time)
        except (ValueError, TypeError, OverflowError):
            return key, NOW, "no_event_time"
        if timestamp > latest:
            # The clock is only looked at when it matters.
            latest = _latest()
            if timestamp > latest:
                return key, NOW, "in_future"
        if timestamp < earliest:
            return key, NOW, "too_old"
        return key, timestamp, None

    return read


def _latest() -> int:
    return int(time.time() * 1000) + MAX_AHEAD_MS - _MARGIN_MS


def _decoder(sources: dict[str, str]) -> Callable[[bytes], Any]:
    """A JSON decoder of these members only, by attribute name. Two attributes may not share a member in msgspec, so
    a key field that is the event time as well is copied."""
    first: dict[str, str] = {}
    for attribute, source in sources.items():
        first.setdefault(source, attribute)
    event = msgspec.defstruct(
        "Event",
        [(attribute, Any, None) for attribute in first.values()],
        rename={attribute: source for source, attribute in first.items()},
        namespace={
            attribute: property(attrgetter(first[source]))
            for attribute, source in sources.items()
            if first[source] != attribute
        },
        gc=False,
    )
    return msgspec.json.Decoder(event).decode


def _key_reader(count: int) -> Callable[[Any], bytes | None]:
    """The key of one field is a string as it is or anything else as JSON, that of several fields a JSON array. It is
    null when a field is missing: half a key is none."""
    if count == 1:
        return _single
    attributes = [f"key_{number}" for number in range(count)]

    def joined(event: Any) -> bytes | None:
        values = [getattr(event, attribute) for attribute in attributes]
        return None if None in values or not values else msgspec.json.encode(values)

    return joined


def _single(event: Any) -> bytes | None:
    value = event.key_0
    if type(value) is str:
        return value.encode()
    return None if value is None else msgspec.json.encode(value)
