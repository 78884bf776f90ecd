"""Events with known answers, the same for the same seed, and the result of folding them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
MINUTE = 60_000
SHOPS = 40


@dataclass
class Expected:
    """A fold of the events that were written so far, by hand: (region, window in ms) -> orders, quantity, amount."""

    totals: dict[tuple[str, int], tuple[int, int, Decimal]] = field(default_factory=dict)
    broken: int = 0
    repeats: int = 0

    def add(self, region: str, window: int, quantity: int, amount: Decimal) -> None:
        orders, pieces, total = self.totals.get((region, window), (0, 0, Decimal(0)))
        self.totals[region, window] = (orders + 1, pieces + quantity, total + amount)

    @property
    def orders(self) -> int:
        return sum(orders for orders, _, _ in self.totals.values())

    def agrees_with(self, rows: Mapping[tuple[str, int], tuple[object, ...]]) -> bool:
        return {key: row[:3] for key, row in rows.items()} == self.totals


def order(number: int, moment: datetime, quantity: int = 1, amount: str = "1.00", region: str = "north") -> bytes:
    event = {"order_id": f"o{number}", "region": region, "Shop No": number % SHOPS, "paid": True, "quantity": quantity,
             "amount": amount, "ordered_at": moment.isoformat().replace("+00:00", "Z")}  # fmt: skip
    return json.dumps(event).encode()


def orders(count: int, expected: Expected, seed: int = 1, per_minute: int = 5_000) -> Iterator[tuple[str, bytes]]:
    """Key and payload of `count` orders, in the order of their time give or take ten seconds; one in two hundred is
    sent twice, one in five hundred is broken. Each is added to `expected`."""
    draw = Random(seed)
    for number in range(count):
        moment = START + timedelta(milliseconds=number * 60_000 / per_minute + draw.randrange(-10_000, 10_000))
        moment = moment.replace(microsecond=0)
        quantity, cents = draw.randrange(1, 9), draw.randrange(100_000)
        region = draw.choice(("north", "south"))
        amount = f"{cents // 100}.{cents % 100:02d}"
        payload = order(number, moment, quantity, amount, region)
        key = f"o{number}"
        if number % 500 == 7:
            expected.broken += 1
            yield key, payload[: draw.randrange(1, len(payload) - 1)]
            continue
        window = int(moment.timestamp() * 1000) // MINUTE * MINUTE
        expected.add(region, window, quantity, Decimal(amount))
        yield key, payload
        if number % 200 == 3:
            expected.repeats += 1
            yield key, payload
