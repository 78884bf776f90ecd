"""Payloads that no contract foresees go all the way: each lands, is judged, and stops nothing."""

import re
from collections import Counter

import pytest
from confluent_kafka import KafkaError, Producer

from lake_assets.compile.topic import MAX_RECORD_BYTES
from lake_assets.landing.broker import client_config
from tests.end_to_end.conftest import Lake
from tests.support.sales_events import landed, sale

DEPTH = 10_000


def changed(order: str, old: str, new: str) -> str:
    event = sale(order)
    assert old in event
    return event.replace(old, new)


GOOD = {
    "large": changed("large", '"mug"', '"mug", "note": "' + "x" * (MAX_RECORD_BYTES - 10_000) + '"'),
    "beside": changed("beside", '"mug"', '"mug", "note": ' + "[" * DEPTH + "]" * DEPTH),
    "first": changed("first", '"order_id": "first"', '"order_id": "first", "order_id": "last"'),
}
BAD = {
    "type": [
        changed("nan", '"1.00"', "NaN"),
        changed("infinity", '"quantity": 1', '"quantity": -Infinity'),
        changed("huge", '"quantity": 1', f'"quantity": {"9" * 400}'),
    ],
    "length": [changed("nested", '"mug"', "[" * DEPTH + "]" * DEPTH)],
    "not_json": [changed("open", '"mug"', '{"a":' * DEPTH)],
}


@pytest.mark.fault(
    "poison: 8 MB, 10,000 levels of JSON, NaN, Infinity, 400 digits, a key twice, no payload",
    "each is good or quarantined with a reason, and the events beside it are in the mart",
)
def test_poison_is_judged_and_stops_nothing(lake: Lake) -> None:
    before = landed(lake)
    events = [sale("beside poison"), *GOOD.values(), *(event for events in BAD.values() for event in events)]
    lake.ok("produce", "sales", "-", "--format", "jsonl", stdin="\n".join(events))
    producer = Producer(client_config(lake.settings))
    producer.produce("shopfaults.sales", None, b"no payload")
    assert producer.flush(20) == 0
    producer.close()
    lake.ok("run")
    assert landed(lake) == before + len(events) + 1
    found: Counter[str] = Counter()
    for reason in lake.ok("quarantine", "sales", "--json").json:
        found[reason["code"]] += reason["rows"]
    assert found == {**{code: len(events) for code, events in BAD.items()}, "null_payload": 1}
    staged = lake.staging("select order_id from sales_staging.sales")
    assert {*GOOD, "beside poison"} <= {row["order_id"] for row in staged}


@pytest.mark.fault("an event of 10 MB", "`lake produce` names it, the broker refuses it, and those before it land")
def test_an_event_that_is_too_large_is_refused_at_the_door(lake: Lake) -> None:
    before, large = landed(lake), "x" * (10 << 20)
    refused = lake(
        "produce", "sales", "-", "--format", "jsonl", stdin=f"{sale('before 10 MB')}\n{changed('10 MB', 'mug', large)}"
    )
    assert refused.code == 2
    assert re.search("event 2 has .* the 1 events before it are sent; shorten it or remove it", refused.err)
    outcomes: list[KafkaError | None] = []
    producer = Producer({**client_config(lake.settings), "message.max.bytes": 16 << 20})
    producer.produce("shopfaults.sales", large, on_delivery=lambda error, _: outcomes.append(error))
    producer.flush(20)
    producer.close()
    assert [error and error.code() for error in outcomes] == [KafkaError.MSG_SIZE_TOO_LARGE]
    lake.ok("run")
    assert landed(lake) == before + 1
