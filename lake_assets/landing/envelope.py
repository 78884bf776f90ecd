"""Kafka envelope of a line: key and timestamp are read from it, the line itself is never changed."""

import re
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal

import msgspec
from confluent_kafka import Message

from lake_assets.catalog.model import Asset, Field
from lake_assets.compile.topic import EVENT_TIME_HEADER, MAX_AHEAD_MS, MAX_STAMP_AGE_MS, YEAR_ONE_MS
from lake_assets.landing.event_time import event_time_reader

Flaw = Literal["not_json", "no_event_time", "in_future"]

# librdkafka's value for the time at which the record is sent.
_NOW = 0
# The broker's clock need not be ours.
_MARGIN_MS = 60_000

# Key, event time and flaw. The time is in milliseconds after 1970 UTC; None is the time of sending, for a line without
# another: then the flaw is the reason, and the event belongs to today's window.
Envelope = tuple[bytes | None, int | None, Flaw | None]
_MILLIS = re.compile(rb"-?[0-9]{1,15}")
Headers = list[tuple[str, str | bytes | None]]


def envelope_reader(asset: Asset) -> Callable[[bytes], Envelope]:
    """Return a function from a line to its envelope; it raises nothing. Only the key and the event time are decoded.

    When the contract's event time is the time of sending, a record has that time and no flaw.
    """
    event_time = asset.field(asset.event_time) if asset.event_time else None
    parts = event_time.payload_keys if event_time else ()
    sources = {f"time_{number}": key for number, key in enumerate(parts)}
    for number, name in enumerate(asset.key):
        sources[f"key_{number}"] = asset.field(name).payload_key
    decode = _decoder(sources)
    time_of = _time_reader(event_time) if event_time else None
    key_of = _key_reader(len(asset.key))
    latest = _latest()

    def read(line: bytes) -> Envelope:
        nonlocal latest
        try:
            event = decode(line)
        except (ValueError, RecursionError):
            return None, None, "not_json"
        key = key_of(event)
        if time_of is None:
            return key, None, None
        try:
            timestamp = time_of(event)
        except (LookupError, ValueError, TypeError, OverflowError):
            return key, None, "no_event_time"
        if timestamp > latest:
            # The clock is read only when it matters.
            latest = _latest()
            if timestamp > latest:
                return key, None, "in_future"
        if timestamp < YEAR_ONE_MS:
            return key, None, "no_event_time"
        return key, timestamp, None

    return read


def stamper() -> Callable[[int | None], tuple[int, Headers | None]]:
    """Return a function from an event time to Kafka's timestamp, and to the header of an event that is too old."""
    earliest = int(time.time() * 1000) - MAX_STAMP_AGE_MS

    def stamp(event_time: int | None) -> tuple[int, Headers | None]:
        if event_time is None:
            return _NOW, None
        return (event_time, None) if event_time >= earliest else (_NOW, [(EVENT_TIME_HEADER, str(event_time))])

    return stamp


def raw_time(message: Message) -> int:
    """Return the time that raw has for a record: that of its header if it is earlier, as Envelope.java does."""
    own = message.timestamp()[1]
    try:
        headers = message.headers()
    except UnicodeDecodeError:
        return own
    if not headers:
        return own
    times = [value for name, value in headers if name == EVENT_TIME_HEADER]
    if not times or not isinstance(times[-1], bytes) or not _MILLIS.fullmatch(times[-1]):
        return own
    return earlier if YEAR_ONE_MS <= (earlier := int(times[-1])) < own else own


def _latest() -> int:
    return int(time.time() * 1000) + MAX_AHEAD_MS - _MARGIN_MS


def _decoder(sources: dict[str, str]) -> Callable[[bytes], Any]:
    """Return a JSON decoder of these members only, by attribute name.

    Two attributes may not share a member in msgspec, so a key field that is also the event time is copied.
    """
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


def _time_reader(field: Field) -> Callable[[Any], int]:
    """Return a function from a decoded event to its event time, as `event_time_reader` reads it from one value."""
    read = event_time_reader(field)
    if field.join:
        attributes = [f"time_{number}" for number in range(len(field.join))]
        return lambda event: read(" ".join(_text(getattr(event, attribute)) for attribute in attributes))
    path = field.path[1:]
    if not path:
        return lambda event: read(event.time_0)

    def nested(event: Any) -> int:
        value = event.time_0
        for key in path:
            value = value[key]
        return read(value)

    return nested


def _text(value: object) -> str:
    """Return a part of a joined text as DuckDB reads it. Raises TypeError for a list or an object."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("a part of a joined text is a text or a number")
    return str(value)


def _key_reader(count: int) -> Callable[[Any], bytes | None]:
    """Return a function from a decoded event to its key: of one field its string, or its JSON; of several a JSON array.

    The key is null when a field is missing: half a key is not a key.
    """
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
