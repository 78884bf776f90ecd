"""Events of the example asset `sales`, all of one day, and checks of what the lake made of them."""

import json
from collections.abc import Iterable

from tests.end_to_end.conftest import Lake


def sale(order: str) -> str:
    rest = {"region": "west", "product": "mug", "quantity": 1, "amount": "1.00", "ordered_at": "2026-05-04T10:00:00Z"}
    return json.dumps({"order_id": order, **rest})


def send(lake: Lake, orders: Iterable[str]) -> None:
    """One sale for each order."""
    lake.ok("produce", "sales", "-", "--format", "jsonl", stdin="\n".join(map(sale, orders)))


def landed(lake: Lake) -> int:
    """The events in raw; every one is accounted for, and the good ones are in the mart once."""
    found = lake.audit("sales")
    assert found["in_balance"], found
    if good := sum(window["good"] for window in found["windows"]):
        assert lake.mart("select sum(orders) from sales_data_mart.sales") == [(good,)]
    return sum(window["raw"] for window in found["windows"])
