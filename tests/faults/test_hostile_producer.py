"""A producer that sends unexpected records that Kafka accepts, beside good events: each of these arrives everywhere.

HOSTILE_SECONDS makes it longer: good events come at 2,000 a second for so long.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from confluent_kafka import Producer

from lake_assets.landing.broker import client_config
from lake_assets.settings import PROJECT, Settings
from tests.buckets.conftest import make_lake
from tests.end_to_end.conftest import Lake
from tests.support.buckets import Bucket
from tests.support.conditions import wait_until
from tests.support.connect_api import remove_connectors
from tests.support.sales_events import landed

TOPIC, PARTITIONS = "shophostile.sales", 4
SECONDS, RATE = float(os.environ.get("HOSTILE_SECONDS", "2")), 2_000
GOOD, BURST, KEYS = int(SECONDS * RATE), 15_000, 250_000
METRIC = """\
name: sales_by_product
version: 1.0.0
description: Orders of each product and hour.
owners: [shop@example.com]
source: sales
groupBy: [region, product]
window: 1h
lateness: 1h
measures:
  - {name: orders, function: count, description: "Orders."}
"""
DAY = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture(scope="module")
def hostile(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """Sales whose texts may be of any length, with a metric that is counted meanwhile."""
    folder = tmp_path_factory.mktemp("hostile")
    lake = make_lake(stack, folder, "hostile", Bucket(f"file://{folder}/bucket", {}))
    contract = lake.contract("sales")
    contract.write_text(re.sub(r", logicalTypeOptions: \{minLength.*?\}", "", contract.read_text("utf-8")), "utf-8")
    (folder / "catalog" / "metrics").mkdir()
    (folder / "catalog" / "metrics" / "sales_by_product.yaml").write_text(METRIC, "utf-8")
    lake.ok("apply")
    counting = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "sales_by_product"], env=dict(lake.environment), cwd=PROJECT
    )
    try:
        yield lake
    finally:
        counting.kill()
        counting.wait(10)
        connectors = ("raw-shophostile", "metric-sales_by_product", "metric-sales_by_product-late")
        remove_connectors(lake.settings, *connectors)


def sale(order: str, **changes: object) -> bytes:
    event: dict[str, object] = {"order_id": order, "region": "west", "product": "mug", "quantity": 1, "amount": "1.00",
                                "ordered_at": DAY.isoformat(), **changes}  # fmt: skip
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def many_fields(first: int) -> dict[str, object]:
    return {f"f{number:06}": 1 for number in range(first, first + KEYS)}


# Events that are good all the same, by what is odd about them.
ODD: dict[str, list[bytes]] = {
    "a key of 3 MB": [sale("k" * 3_000_000)],
    "a group of 100 kB": [sale("long group", product="p" * 100_000)],
    "the year 2099": [sale(f"ahead {year}", ordered_at=f"{year}-01-01T00:00:00Z") for year in range(2090, 2100)],
    "a million unknown fields": [sale(f"fields {n}", **many_fields(n * KEYS)) for n in range(4)],
    "NUL where no column is": [sale("unknown nul", other="a\0b")],
}
BEFORE_CHRIST = ("9000-01-01 (BC) 00:00:00", "0000-06-01T00:00:00Z")
AFTER_9999 = ("10000-01-01T00:00:00Z", "294247-01-10T04:00:54Z", "infinity")
# Events that break a rule, by its code.
BAD: dict[str, list[bytes | None]] = {
    "not_json": [b"{" * 7_000_000, sale("cut", note="x" * 2_000_000)[:-1], b"not json"],
    "null_payload": [None],
    "empty_payload": [b""],
    "type": [sale("nul", product="a\0b"), *(sale(at, ordered_at=at) for at in AFTER_9999)],
    "range": [sale(at, ordered_at=at) for at in BEFORE_CHRIST],
    "missing": [sale("no region", region=None)],
}
HEADERS: list[tuple[str, str | bytes | None]] = [
    ("_key", b"abc"), ("_key", b"7"), ("payload", b"\xff"), ("_topic", b"shop.other"), ("", b""), ("x", b"y" * 99_999),
    ("lake-event-time", b"\xff"),
]  # fmt: skip
# So many records of one burst claim windows of their own, from the year 1 on.
WINDOWS = min(int(100 * SECONDS), 1_000)
YEAR_ONE, A_DAY = -62_135_596_800_000, 86_400_000
Headers = list[tuple[str, str | bytes | None]]


def own_window(number: int) -> Headers:
    return [("lake-event-time", str(YEAR_ONE + number * A_DAY))]


def everything() -> Iterator[tuple[bytes | None, int, Headers | None]]:
    """Payloads with their partition and headers: the odd and the bad ones amid the good ones."""
    strange = [payload for payloads in (*ODD.values(), *BAD.values()) for payload in payloads]
    every, began = GOOD // (len(strange) + 1), time.monotonic()
    for number in range(GOOD):
        if number % 100 == 0:
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        # Each with unknown fields of its own: a million of them in two minutes.
        further = {f"g{name:07}": 1 for name in range(number * 4, number * 4 + 4)}
        yield sale(f"good {number}", **further), number % PARTITIONS, HEADERS if number % 50 == 0 else None
        if number % every == 0 and strange:
            yield strange.pop(), number // every % PARTITIONS, HEADERS
    assert not strange
    # As a broker holds them for a metric that was away: more keys than one message of its changelog.
    yield from ((sale(f"{number:0150}"), 0, None) for number in range(BURST))
    yield from ((sale(f"window {number}"), number % PARTITIONS, own_window(number)) for number in range(WINDOWS))


@pytest.mark.fault(
    "a hostile producer: headers named as columns, 7 MB of no JSON, keys of 3 MB, bursts of long keys, NUL, years "
    "before 1, after 9999 and to come, groups that no index takes, a million unknown fields, windows by the hundred",
    "each is good, quarantined or set aside with its reason, and every good event is in staging, mart and metric",
)
def test_what_a_hostile_producer_sends_stops_nothing(hostile: Lake) -> None:
    producer = Producer({**client_config(hostile.settings), "message.max.bytes": 8 << 20, "linger.ms": 50})
    sent = 0
    at = int(DAY.timestamp() * 1000)
    for payload, partition, headers in everything():
        while True:
            try:
                producer.produce(TOPIC, payload, b"k", partition, timestamp=at, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        sent += 1
    assert producer.flush(60) == 0
    producer.close()
    bad = sum(map(len, BAD.values()))
    good = sent - bad
    hostile.ok("run")
    assert landed(hostile) == sent
    found: Counter[str] = Counter()
    for reason in hostile.ok("quarantine", "sales", "--json").json:
        found[reason["code"]] += reason["rows"]
    assert found == {code: len(payloads) for code, payloads in BAD.items()}
    [staged] = hostile.staging("select count(*) as n, count(distinct order_id) as keys from sales_staging.sales")
    assert (staged["n"], staged["keys"]) == (good, good)
    [old] = hostile.staging("select count(distinct _window) as n from sales_staging.sales where _window < '0100-01-01'")
    assert old["n"] == WINDOWS
    long_groups = len(ODD["a group of 100 kB"])
    wait_until(lambda: counted(hostile) == good - long_groups)
    [(late,)] = query(hostile, "select count(*) from metrics.sales_by_product_late")
    assert late == len(ODD["the year 2099"])


def counted(lake: Lake) -> int:
    """The events that the metric's tables hold, counted or set aside."""
    [(orders,)] = query(
        lake,
        "select (select coalesce(sum(orders), 0) from metrics.sales_by_product_shards) "
        "+ (select count(*) from metrics.sales_by_product_late)",
    )
    return int(orders)


def query(lake: Lake, text: str) -> list[tuple[int, ...]]:
    with psycopg.connect(lake.settings.postgres.conninfo("lake")) as session:
        return session.execute(text.encode()).fetchall()
