"""Events of two assets that identify themselves, and a sender that records what the broker acknowledged.

All of an event follows from its name, so a record that is read back anywhere can be held against what was sent.
"""

import re
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from lake_assets.landing.broker import broker_options, quiet
from lake_assets.landing.produce import PRODUCER_CONFIG
from lake_assets.settings import Settings

# A broker forgets after 24 days of event time what it would need to refuse a batch that comes again. Half an hour of
# sales, 60 days, would not fit: a longer run reaches older days or the future, where doubles are possible.
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=20)
SALES, TAPS = "sales", "taps"
TOPICS = {SALES: "shop.sales", TAPS: "web.taps"}
# Events a second, and the seconds of event time between two: a day of sales takes 30 s, an hour of taps 4 s.
RATES = {SALES: 600, TAPS: 400}
_STEPS = {SALES: timedelta(seconds=4.8), TAPS: timedelta(seconds=2.25)}
# What a late event is behind those beside it; the sales' metric has closed a window after half a day.
_LATE = {SALES: timedelta(days=2), TAPS: timedelta(hours=3)}
WINDOWS = {SALES: timedelta(days=1), TAPS: timedelta(hours=1)}
PARTITIONS = 4
REGIONS = ("north", "south", "east", "west")

_NAME = re.compile(rb'^\{"(?:order_id": "([0-9x]+)"|lane": (\d), "step": (\d+))')

TAPS_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: web.taps
name: taps
version: 1.VERSION.0
status: active
domain: web
description: {purpose: "One row per tap. It has no key: two equal taps are two."}
team: {name: web, members: [{username: web@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: tapped_at, window: hour, partitions: 4}}
schema:
  - name: taps
    properties:
      - {name: lane, logicalType: integer, required: true, description: "Kafka partition."}
      - {name: step, logicalType: integer, required: true, description: "Number of the tap in its lane, without gaps."}
      - {name: tapped_at, logicalType: timestamp, required: true, description: "When it was."}
"""
_FIELD = '      - {name: note_NUMBER, logicalType: string, description: "Came with version 1.NUMBER.0."}\n'
TAPS_SQL = """\
select lane, date_trunc('hour', tapped_at) as hour, count(*) as taps, max(step) as last,
  cast(sum(step) as bigint) as total
from {{ ref('stg_taps') }}
group by 1, 2
"""
TAPS_YAML = """\
models:
  - name: taps
    description: Taps of each lane and hour.
    config: {contract: {enforced: true}}
    columns:
      - {name: lane, data_type: bigint, description: Lane.}
      - {name: hour, data_type: timestamp with time zone, description: Hour.}
      - {name: taps, data_type: bigint, description: Taps.}
      - {name: last, data_type: bigint, description: Number of the newest.}
      - {name: total, data_type: bigint, description: Sum of the numbers.}
"""


class Event(NamedTuple):
    """`name` is unique in its asset, `group` a sale's region or a tap's lane, `number` what marts add up."""

    asset: str
    name: str
    at: datetime
    group: str
    number: int
    is_good: bool
    is_late: bool
    payload: bytes

    @property
    def window(self) -> datetime:
        return START + (self.at - START) // WINDOWS[self.asset] * WINDOWS[self.asset]


def taps_contract(version: int) -> str:
    """The contract after so many changes, each of which added an optional field."""
    fields = "".join(_FIELD.replace("NUMBER", str(number)) for number in range(1, version + 1))
    return TAPS_CONTRACT.replace("VERSION", str(version)) + fields


def sale(name: str) -> Event:
    """A sale of the stream, named by its number, or the line of a file: number of the stream, x, number of the line."""
    base, of_file, line = name.partition("x")
    place = int(base) + int(line or 0)
    is_good, is_late = bool(of_file) or place % 200 != 13, not of_file and place % 50 == 7
    at = START + place * _STEPS[SALES] - is_late * _LATE[SALES]
    region, quantity = REGIONS[place % 4], place % 7 + 1
    text = (
        f'{{"order_id": "{name}", "region": "{region}", "product": "mug", "quantity": {quantity}, '
        f'"amount": "{quantity * 1.25:.2f}", "ordered_at": "{_iso(at)}"}}'
    )
    return Event(SALES, name, at, region, quantity, is_good, is_late, (text if is_good else text[:-9]).encode())


def tap(number: int) -> Event:
    lane, step = number % PARTITIONS, number // PARTITIONS
    is_good, is_late = step % 200 != 13, step % 50 == 7
    at = START + number * _STEPS[TAPS] - is_late * _LATE[TAPS]
    text = f'{{"lane": {lane}, "step": {step}, "tapped_at": "{_iso(at)}"}}'
    payload = (text if is_good else text[:-9]).encode()
    return Event(TAPS, str(number), at, str(lane), step, is_good, is_late, payload)


def event_of(payload: bytes) -> Event:
    """The event that has this payload. Raises ValueError for one that was never sent, or was changed in flight."""
    found = _NAME.match(payload)
    if found:
        order, lane, step = found.groups()
        event = sale(order.decode()) if order else tap(int(step) * PARTITIONS + int(lane))
        if event.payload == payload:
            return event
    raise ValueError(f"nobody sent {payload!r}")


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Sent:
    """`acknowledged` gives by asset and name where the broker put an event; for those in `unknown` it answered
    nothing, or with a failure. Each was sent once: the producer is idempotent."""

    acknowledged: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    unknown: set[tuple[str, str]] = field(default_factory=set)


class Sender:
    """Sender of both assets' events at their rates, from `start` to `stop`; `record` has their results."""

    def __init__(self, settings: Settings) -> None:
        self.record = Sent()
        self.sent = dict.fromkeys(TOPICS, 0)
        # Sales that the broker has. Behind it those that were sent may wait for as long as it is away.
        self.arrived = 0
        self._moments: list[tuple[float, int]] = []
        self._stopping, self._given_up = threading.Event(), False
        self._pool = ThreadPoolExecutor(1, "sender")
        self._sending: Future[None] | None = None
        # A broker that is away is waited for, longer than any outage here.
        options = {**PRODUCER_CONFIG, "delivery.report.only.error": False, "message.timeout.ms": 600_000}
        self._producer = Producer({**broker_options(settings), **options}, logger=quiet())

    def start(self) -> None:
        self._sending = self._pool.submit(self._send)

    def stop(self) -> None:
        """Return when the broker has answered for every event; raise what ended the sending."""
        self._stopping.set()
        assert self._sending is not None
        self._sending.result()
        self._pool.shutdown()

    def give_up(self) -> None:
        """End now, for a test that has failed."""
        self._given_up = True
        self._stopping.set()
        self._pool.shutdown()

    def taps_sent_at(self, moment: float) -> int:
        """Return about how many taps had been sent by then (of `time.monotonic`)."""
        return next((number for at, number in self._moments if at >= moment), self.sent[TAPS])

    def _send(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            passed = time.monotonic() - began
            for asset, rate in RATES.items():
                for number in range(self.sent[asset], int(passed * rate)):
                    self._produce(sale(str(number)) if asset == SALES else tap(number))
                    self.sent[asset] = number + 1
            self._moments.append((time.monotonic(), self.sent[TAPS]))
            self._producer.poll(0.05)
        if self._given_up:
            self._producer.purge()
        self._producer.flush(300)
        sent = {(SALES, str(number)) for number in range(self.sent[SALES])}
        sent |= {(TAPS, str(number)) for number in range(self.sent[TAPS])}
        self.record.unknown |= sent - self.record.acknowledged.keys()

    def _produce(self, event: Event) -> None:
        def answer(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.record.acknowledged[event.asset, event.name] = (message.partition() or 0, message.offset() or 0)
                self.arrived += event.asset == SALES

        at = int(event.at.timestamp() * 1000)
        if event.asset == TAPS:
            self._producer.produce(
                TOPICS[TAPS], event.payload, partition=int(event.group), timestamp=at, on_delivery=answer
            )
        else:
            self._producer.produce(TOPICS[SALES], event.payload, event.name, timestamp=at, on_delivery=answer)
