"""The quick way to judge payloads: takes only what the contract's rules surely take, and leaves the rest to them.

A batch is joined to one JSON array and decoded by one call. It is a filter in front of `stream_app.judge`, which runs
the very SQL that the batch path runs: what is accepted here has there the same values, what is refused here is judged
there. So there is one rule set, and nothing is lost when this one is too careful.
"""

import math
import operator
import re
import secrets
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset, Field
from stream_app.columns import Columns, measured_fields

_INT64 = 2**63
# A JSON number keeps 15 significant digits on its way; more are for the contract's rules to judge.
_EXACT_DIGITS = 15
_TIME = re.compile(
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|\+00:00),)*"
)
_SHAPE = re.compile(rb"0000-00-00T00:00:00(?:\.0{1,6})?(?:Z|\+00:00),")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CACHED = 200_000
_SIMPLE = ("string", "integer", "boolean", "decimal")


class Suspect(Exception):
    """Some record of a batch is not surely good."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A decoded field: its place in the tuple of an event's values, and its declaration."""

    at: int
    field: Field


def is_quick(asset: Asset, metric: Metric) -> bool:
    """Whether the contract has only rules that can be checked here; patterns and formats of its own cannot."""
    if metric.transform:
        return False
    keys = all(asset.field(name).type.name in _SIMPLE for name in asset.key)
    return keys and all(field.pattern is None and _quick_format(field) for field in asset.fields)


def _quick_format(field: Field) -> bool:
    return field.format in (None, "epoch_millis", "epoch_seconds") and not (
        field.type.name == "date" and field.format is not None
    )


class FastReader:
    """Decodes batches for one metric. Not safe for threads."""

    def __init__(self, asset: Asset, metric: Metric) -> None:
        self._metric = metric
        reject = asset.unknown_fields == "reject"
        fields = [field for field in asset.fields if reject or _must_look(asset, metric, field)]
        # Names of our own: a contract's may be words of Python.
        names = {field.name: f"f{number}" for number, field in enumerate(fields)}
        event = msgspec.defstruct(
            "Event",
            [_member(names[field.name], field) for field in fields],
            gc=False,
            kw_only=True,
            rename={names[field.name]: field.payload_key for field in fields},
            forbid_unknown_fields=reject,
        )
        self._event = event
        # Between two payloads stands a word that no payload can know. Broken payloads that together form valid JSON
        # swallow it, and others cannot make up for it.
        self._word = secrets.token_hex(8)
        self._separator = f',"{self._word}",'.encode()
        self._decode = msgspec.json.Decoder(list[event | str]).decode
        self._getters = [operator.attrgetter(names[field.name]) for field in fields]
        place = {field.name: _Place(at, field) for at, field in enumerate(fields)}
        self._time = place[asset.event_time]
        self._texts = [p for p in place.values() if p.field.type.name in ("timestamp", "date") and not p.field.format]
        self._decimals = [p for p in place.values() if p.field.type.name == "decimal"]
        self._jsons = [p for p in place.values() if p.field.type.name == "json" and p.field.required]
        self._floats = [p for p in place.values() if p.field.type.name == "double"]
        self._groups = [place[group.name].at for group in metric.groups]
        self._filters = [(place[f.field].at, frozenset(f.values)) for f in metric.filters]
        self._measured = [place[name] for name in measured_fields(metric)]
        self._keys = [place[name].at for name in asset.key]
        self._decimal_texts = {p.at: _DecimalText(p.field) for p in self._decimals}
        self._window_of: dict[str, int] = {}
        self._days: set[str] = set()

    def read(self, payloads: Sequence[bytes | None]) -> tuple[list[Columns], list[int]]:
        """The surely good events, and the places of those to be judged otherwise. Costs a halving for each of those."""
        suspects: list[int] = []
        found: list[Columns] = []

        def take(start: int, end: int) -> None:
            try:
                found.append(self._columns(payloads[start:end], start))
            except Suspect:
                if end - start == 1:
                    suspects.append(start)
                    return
                middle = (start + end) // 2
                take(start, middle)
                take(middle, end)

        if payloads:
            take(0, len(payloads))
        return found, suspects

    def _columns(self, payloads: Sequence[bytes | None], start: int) -> Columns:
        events = self._events(payloads)
        columns: list[Any] = [list(map(get, events)) for get in self._getters]
        for place in self._decimals:
            columns[place.at] = self._decimal_texts[place.at].numbers(columns[place.at])
        for place in self._jsons:
            if b"null" in columns[place.at]:
                raise Suspect
        for place in self._floats:
            if not all(value is None or math.isfinite(value) for value in columns[place.at]):
                raise Suspect
        for place in self._texts:
            self._check_texts(place.field, columns[place.at])
        windows, newest = self._windows(columns[self._time.at])
        groups = list(zip(*(columns[at] for at in self._groups), strict=True))
        keys: list[Hashable] | None = None
        if self._keys:
            parts = [columns[at] for at in self._keys]
            keys = parts[0] if len(parts) == 1 else list(zip(*parts, strict=True))
        values = [columns[place.at] for place in self._measured]
        result = Columns(range(start, start + len(events)), groups, windows, values, keys, newest)
        for at, wanted in self._filters:
            mask = [value in wanted for value in columns[at]]
            if not all(mask):
                columns = [[value for value, kept in zip(column, mask, strict=True) if kept] for column in columns]
                result = result.keep(mask)
        return result

    def _events(self, payloads: Sequence[bytes | None]) -> list[Any]:
        try:
            text = b"[" + self._separator.join(payloads) + b"]"  # type: ignore[arg-type]
            text.decode()  # what the decoder skips it does not look at; the contract wants UTF-8 everywhere
            items = self._decode(text)
        except (TypeError, UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
            raise Suspect from None
        events, words = items[::2], items[1::2]
        if len(events) != len(payloads) or len(words) != len(events) - 1 or words.count(self._word) != len(words):
            raise Suspect
        if set(map(type, events)) != {self._event}:
            raise Suspect
        return events

    def _check_texts(self, field: Field, texts: Sequence[str | None]) -> None:
        """Raises Suspect unless each is a plain ISO 8601 time in UTC, or a day, of the calendar."""
        given: Sequence[Any] = texts if field.required else [text for text in texts if text is not None]
        if not given:
            return
        if field.type.name == "timestamp":
            joined = ",".join(given) + ","
            if not _all_of_one_shape(joined, len(given)) and not _TIME.fullmatch(joined):
                raise Suspect
            if field.name == self._time.field.name:
                return  # `_windows` looks whether the days are of the calendar
        unknown = {text[:10] if field.type.name == "timestamp" else text for text in given} - self._days
        for day in unknown:
            if not _DAY.fullmatch(day):
                raise Suspect
            try:
                date.fromisoformat(day)
            except ValueError:
                raise Suspect from None
        if len(self._days) > _CACHED:
            self._days.clear()
        self._days |= unknown

    def _windows(self, times: Sequence[Any]) -> tuple[list[int], int]:
        """Each event's window, and the latest event time, in milliseconds."""
        length = self._metric.window_ms
        if self._time.field.format:
            factor = 1 if self._time.field.format == "epoch_millis" else 1000
            return [time * factor // length * length for time in times], max(times) * factor
        end = 16 if length % 60_000 == 0 else 19
        known = self._window_of
        try:
            windows = [known[time[:end]] for time in times]
        except KeyError:
            if len(known) > _CACHED:
                known.clear()
            try:
                for text in {time[:end] for time in times} - known.keys():
                    known[text] = _milliseconds(text) // length * length
            except ValueError:
                raise Suspect from None
            windows = [known[time[:end]] for time in times]
        return windows, _milliseconds(max(times)[:23].rstrip("Z+"))


def _all_of_one_shape(joined: str, count: int) -> bool:
    """Whether `count` texts, each with a comma behind it, are all like 2026-03-01T10:15:30.123Z, with equally many
    digits. Of days, hours and minutes it says only that they are digits. Saves looking at each text by itself."""
    shapes = joined.encode().translate(_DIGITS)
    length = len(shapes) // count
    first = shapes[:length]
    if not _SHAPE.fullmatch(first) or shapes != first * count:
        return False
    return max(joined[17::length]) <= "5"


def _milliseconds(text: str) -> int:
    """Of a prefix of an ISO 8601 time in UTC."""
    moment = datetime.fromisoformat(text.split("+")[0]).replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


class _DecimalText:
    """Decimals, as JSON strings or numbers, to whole numbers of their last digit."""

    def __init__(self, field: Field) -> None:
        precision, scale = field.type.precision or 18, field.type.scale or 0
        self._scale = scale
        whole = max(1, min(precision, _EXACT_DIGITS) - scale)
        plain = rf"-?[0-9]{{1,{whole}}}" + (rf"\.[0-9]{{{scale}}}" if scale else "")
        fraction = rf"(?:\.([0-9]{{1,{scale}}}))?" if scale else "()"
        self._plain = re.compile(f'(?:"?{plain}"?,)*'.encode())
        self._loose = re.compile(f'"?(-?)([0-9]{{1,{whole}}}){fraction}"?'.encode())
        factor = 10**scale
        self._low = None if field.minimum is None else math.ceil(field.minimum * factor)
        self._high = None if field.maximum is None else math.floor(field.maximum * factor)
        self._optional = not field.required

    def numbers(self, raws: Sequence[Any]) -> list[int | None]:
        """Raises Suspect when one is not surely in the contract's form and range."""
        joined = b",".join(raws)
        numbers: list[int | None]
        if self._plain.fullmatch(joined + b","):
            numbers = list(map(int, joined.translate(None, b'".').split(b",")))
            given: Any = numbers
        else:
            numbers = [self._number(bytes(raw)) for raw in raws]
            given = [number for number in numbers if number is not None]
        if given and (
            (self._low is not None and min(given) < self._low) or (self._high is not None and max(given) > self._high)
        ):
            raise Suspect
        return numbers

    def _number(self, raw: bytes) -> int | None:
        if raw == b"null" and self._optional:
            return None
        match = self._loose.fullmatch(raw)
        if match is None:
            raise Suspect
        sign, whole, fraction = match.groups()
        return int(sign + whole + (fraction or b"").ljust(self._scale, b"0"))


def _must_look(asset: Asset, metric: Metric, field: Field) -> bool:
    """Whether an event can break a rule of the field, or its value is needed."""
    if field.required or field.enum or field.min_length is not None or field.max_length is not None:
        return True
    return field.type.name not in ("string", "json") or field.name in asset.key


def _member(name: str, field: Field) -> tuple[Any, ...]:
    """A struct's member that takes nothing but values that surely keep the field's rules."""
    kind = _member_type(field)
    if field.required:
        return (name, kind)
    if kind is msgspec.Raw:
        return (name, kind, msgspec.Raw(b"null"))
    return (name, kind | None, None)


def _member_type(field: Field) -> Any:
    match field.type.name:
        case "string" if field.enum:
            return Literal[field.enum]
        case "string":
            return Annotated[str, msgspec.Meta(min_length=field.min_length, max_length=field.max_length)]
        case "boolean":
            return bool
        case "integer":
            low = -_INT64 if field.minimum is None else max(math.ceil(field.minimum), -_INT64)
            high = _INT64 - 1 if field.maximum is None else min(math.floor(field.maximum), _INT64 - 1)
            return Annotated[int, msgspec.Meta(ge=low, le=high)]
        case "double":
            return Annotated[float, msgspec.Meta(ge=_float(field.minimum), le=_float(field.maximum))]
        case "decimal" | "json":
            return msgspec.Raw
        case "date":
            return str
        case "timestamp" if field.format:
            most = 10 ** (15 if field.format == "epoch_millis" else 12) - 1
            return Annotated[int, msgspec.Meta(ge=-most, le=most)]
        case "timestamp":
            return str


def _float(bound: Decimal | None) -> float | None:
    return None if bound is None else float(bound)
