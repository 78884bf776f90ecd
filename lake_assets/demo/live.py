"""Current sales at a steady rate, and the metric's view while they arrive."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_POLL_SECONDS = 0.25
_DEADLINE_SECONDS = 120.0
_VIEW = """
select region, coalesce(sum(orders), 0)::bigint as orders, coalesce(sum(quantity), 0)::bigint as quantity,
  coalesce(sum(amount), 0) as amount
from metrics.sales_by_region where window_start >= %s group by region order by region
"""


Totals = Mapping[str, tuple[int, int, Decimal]]


@dataclass(frozen=True, slots=True)
class Live:
    """The result: `seconds` from the last event until the view included all of them.

    `sent` and `counted` are region -> orders, quantity, amount.
    """

    seconds: float
    sent: Totals
    counted: Totals

    @property
    def orders(self) -> int:
        return sum(orders for orders, _, _ in self.sent.values())

    @property
    def equal(self) -> bool:
        return self.sent == self.counted


def live(
    settings: Settings, sales: Asset, rate: int, count: int, on_rows: Callable[[Sequence[Sequence[Any]]], None]
) -> Live:
    """Send `count` sales at `rate` a second; `on_rows` gets the view's rows of the minutes since the start.

    A row is region, orders, quantity, amount. The database may be unavailable at times. Raises LakeError when sales do
    not arrive, and the errors of `produce_lines`.
    """
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    view = _View(settings, start)
    before = view.totals(view.rows())
    sent: dict[str, tuple[int, int, Decimal]] = {}
    sending = _Sending(settings, sales, rate, count, sent)
    sending.start()
    deadline = time.monotonic() + count / rate + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if sending.failure:
            raise sending.failure
        rows = view.rows()
        on_rows(rows)
        if sending.last_at and _orders(rows) - sum(orders for orders, _, _ in before.values()) >= count:
            return Live(time.monotonic() - sending.last_at, sent, _difference(view.totals(rows), before))
        time.sleep(0.01 if sending.last_at else _POLL_SECONDS)
    raise LakeError("the metric has not counted the last sales in two minutes: see `lake status`.")


class _Sending(threading.Thread):
    """Sender of sales; `last_at` is the time of the last one (monotonic seconds), 0 before."""

    def __init__(
        self, settings: Settings, sales: Asset, rate: int, count: int, sent: dict[str, tuple[int, int, Decimal]]
    ) -> None:
        super().__init__(daemon=True)
        self._work = lambda: produce_lines(settings, sales, self._sales(count, sent), rate=rate)
        self.last_at = 0.0
        self.failure: LakeError | None = None

    def run(self) -> None:
        try:
            self._work()
        except LakeError as failure:
            self.failure = failure

    def _sales(self, count: int, sent: dict[str, tuple[int, int, Decimal]]) -> Iterator[bytes]:
        run = uuid.uuid4().hex[:8]
        for number, region in zip(range(count), cycle(_REGIONS), strict=False):
            amount, quantity = Decimal(449 + number * 37 % 5000) / 100, 1 + number % 3
            orders, pieces, total = sent.get(region, (0, 0, Decimal(0)))
            sent[region] = (orders + 1, pieces + quantity, total + amount)
            if number == count - 1:
                self.last_at = time.monotonic()
            yield json.dumps(
                {"order_id": f"live-{run}-{number}", "region": region, "product": "mug", "quantity": quantity,
                 "amount": str(amount), "ordered_at": datetime.now(UTC).isoformat(timespec="milliseconds")}
            ).encode()  # fmt: skip


class _View:
    """The metric's view as an analyst reads it; it reconnects after the database was unavailable."""

    def __init__(self, settings: Settings, start: datetime) -> None:
        self._settings, self._start = settings, start
        self._session: psycopg.Connection | None = None
        self._last: list[tuple[Any, ...]] = []

    def rows(self) -> list[tuple[Any, ...]]:
        """Return (region, orders, quantity, amount); the last known rows while the database is unavailable."""
        try:
            if self._session is None or self._session.broken:
                self._session = psycopg.connect(self._settings.postgres.conninfo("analyst"), autocommit=True)
            self._last = self._session.execute(_VIEW, [self._start]).fetchall()
        except psycopg.OperationalError:
            self._session = None
        return self._last

    @staticmethod
    def totals(rows: Sequence[tuple[Any, ...]]) -> Totals:
        return {region: (orders, quantity, amount) for region, orders, quantity, amount in rows}


def _difference(totals: Totals, before: Totals) -> Totals:
    zero = (0, 0, Decimal(0))
    pairs = ((region, totals[region], before.get(region, zero)) for region in totals)
    return {region: (n[0] - b[0], n[1] - b[1], n[2] - b[2]) for region, n, b in pairs if n != b}


def _orders(rows: Sequence[Sequence[Any]]) -> int:
    return sum(row[1] for row in rows)
