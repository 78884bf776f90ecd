"""Sales of this moment at a steady rate, and what the metric's view says of them while they come."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle
from typing import Any

import psycopg

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from lake_assets.landing.produce import produce_lines
from lake_assets.settings import Settings

_REGIONS = ("north", "south", "north", "west", "east")
_LOOK_SECONDS = 0.25
_DEADLINE_SECONDS = 120.0
_VIEW = """
select region, coalesce(sum(orders), 0)::bigint as orders, coalesce(sum(quantity), 0)::bigint as quantity,
  coalesce(sum(amount), 0) as amount
from metrics.sales_by_region where window_start >= %s group by region order by region
"""


@dataclass(frozen=True, slots=True)
class Live:
    """What was sent and seen: `seconds` from the last event to the moment when the view held all of them."""

    sent: int
    seconds: float


def live(
    settings: Settings, sales: Asset, rate: int, seconds: int, on_rows: Callable[[Sequence[Sequence[Any]]], None]
) -> Live:
    """Sends `rate` sales a second for so many seconds; `on_rows` gets the view's rows of the minutes since the start,
    per region: (region, orders, quantity, amount). Raises LakeError when they do not arrive."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    sent_at: list[float] = []
    events = _sales(rate * seconds, sent_at.append)
    sending = threading.Thread(target=lambda: produce_lines(settings, sales, events, rate=rate), daemon=True)
    with psycopg.connect(settings.postgres.conninfo("analyst"), autocommit=True) as session:
        before = _orders(session.execute(_VIEW, [start]).fetchall())
        sending.start()
        deadline = time.monotonic() + seconds + _DEADLINE_SECONDS
        while time.monotonic() < deadline:
            rows = session.execute(_VIEW, [start]).fetchall()
            on_rows(rows)
            if sent_at and _orders(rows) - before >= rate * seconds:
                return Live(rate * seconds, time.monotonic() - sent_at[0])
            time.sleep(0.01 if sent_at else _LOOK_SECONDS)
    raise LakeError("the metric has not counted the last sales in two minutes: see 'lake status'.")


def _orders(rows: Sequence[Sequence[Any]]) -> int:
    return sum(row[1] for row in rows)


def _sales(count: int, on_last: Callable[[float], None]) -> Iterator[bytes]:
    """The events of this moment; `on_last` gets the clock (monotonic seconds) when the last one is handed over."""
    run = uuid.uuid4().hex[:8]
    for number, region in zip(range(count), cycle(_REGIONS), strict=False):
        if number == count - 1:
            on_last(time.monotonic())
        amount = Decimal(449 + number * 37 % 5000) / 100
        yield json.dumps(
            {"order_id": f"live-{run}-{number}", "region": region, "product": "mug", "quantity": 1 + number % 3,
             "amount": str(amount), "ordered_at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        ).encode()  # fmt: skip
