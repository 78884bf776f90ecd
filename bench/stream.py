"""What counting exactly once costs: the loop against one that only consumes, on one broker and one topic, in one run.

    python -m bench.stream [--events 2000000] [--rounds 3] [--peers]

Starts Kafka in a lake of its own, which is removed afterwards. Events are JSON of about 110 bytes in the order of their
time. Two metrics: `plain`, whose source has no key, and `keyed`, which also knows repeats. Rates are those of the
second half of each run, after warm-up. With `--peers` also against Kafka Streams and Quix Streams (bench/peers).
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from bench.peers import kafka_streams, quix
from bench.peers.progress import Committed, second_half
from bench.peers.verify import check
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.settings import Settings
from stream_app.loop import Loop
from stream_app.status import Status

PARTITIONS = 4
START = datetime(2026, 3, 1, tzinfo=UTC)
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bench.{name}
name: {name}
version: 1.0.0
status: active
domain: bench
description: {{purpose: "One row per order."}}
team: {{name: bench, members: [{{username: bench@example.com, role: owner}}]}}
customProperties:
  - property: landing
    value: {{eventTime: ordered_at, start: 2026-01-01, partitions: 4, topic: bench.orders{suffix}}}
schema:
  - name: {name}
    properties:
      - {{name: order_id, logicalType: string, required: true{key}}}
      - {{name: region, logicalType: string, required: true}}
      - {{name: quantity, logicalType: integer, required: true}}
      - {{name: amount, logicalType: number, physicalType: "decimal(12,2)", required: true}}
      - {{name: ordered_at, logicalType: timestamp, required: true}}
"""
METRIC = """\
name: {name}_by_region
version: 1.0.0
description: Orders of each region and minute.
owners: [bench@example.com]
source: {name}
groupBy: [region]
window: 1m
lateness: 1m
measures:
  - {{name: orders, function: count, description: Orders.}}
  - {{name: quantity, function: sum, field: quantity, description: Pieces.}}
  - {{name: amount, function: sum, field: amount, description: Euros.}}
"""
REGIONS = ("north", "south", "east", "west")


def events(count: int) -> Iterator[bytes]:
    for number in range(count):
        moment = START + timedelta(microseconds=number * 600)
        yield json.dumps(
            {"order_id": f"o{number}", "region": REGIONS[number * 7 % 4], "quantity": 1 + number % 5,
             "amount": f"{number % 900}.{number % 100:02d}", "ordered_at": f"{moment:%Y-%m-%dT%H:%M:%S}Z"}
        ).encode()  # fmt: skip


def consume_only(kafka: str, topic: str, count: int) -> float:
    """Events a second of the second half, consumed and thrown away."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": f"bench-{time.time_ns()}", "isolation.level": "read_committed",
         "enable.auto.commit": False, "fetch.queue.backoff.ms": 5, "fetch.wait.max.ms": 50}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    seen, half = 0, 0.0
    while seen < count:
        seen += len(consumer.consume(5_000, 0.1))
        if not half and seen >= count // 2:
            half, at_half = time.perf_counter(), seen
    rate = (seen - at_half) / (time.perf_counter() - half)
    consumer.close()
    return rate


def count_once(loop: Loop, count: int, events: Callable[[], int] | None = None) -> float:
    """Events a second of the second half, counted exactly once; from the status that the loop tells, or `events`."""

    def watch() -> float:
        try:
            return second_half(events or (lambda: loop.status.events), count)
        finally:
            loop.stop()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        loop.run(lambda _: None)
        return watching.result()


def measure(home: Path, count: int, rounds: int, peers: bool) -> None:
    os.environ |= {"LAKE_HOME": str(home / "lake"), "LAKE_CATALOG": str(home / "catalog")}
    (home / "catalog" / "assets").mkdir(parents=True)
    (home / "catalog" / "metrics").mkdir()
    for name, key, suffix in (("plain", "", ""), ("keyed", ", primaryKey: true", "2")):
        text = CONTRACT.format(name=name, key=key, suffix=suffix)
        (home / "catalog" / "assets" / f"{name}.yaml").write_text(text, "utf-8")
        (home / "catalog" / "metrics" / f"{name}.yaml").write_text(METRIC.format(name=name), "utf-8")

    from lake_assets.compile.metric_topics import metric_topics
    from lake_assets.compile.topic import topic_spec
    from lake_assets.landing.produce import produce_lines
    from lake_assets.landing.topics import ensure_topics
    from lake_assets.project import read_catalog, read_metrics
    from lake_assets.settings import load_settings
    from lake_assets.stack.lifecycle import down, up

    up(lambda _: None, ["kafka"])
    try:
        settings = load_settings()
        assets = read_catalog(settings)
        metrics = read_metrics(settings, assets)
        plain = assets["plain"]
        ensure_topics(settings, [topic_spec(plain)])
        produce_lines(settings, plain, events(count))
        print(f"{count:,} events, load {os.getloadavg()[0]:.1f}; events/s of the second half")
        print(f"{'round':>5} {'consume only':>13} {'plain':>9} {'ratio':>6} {'keyed':>9} {'ratio':>6}")
        ratios: list[float] = []
        for number in range(rounds):
            bare = consume_only(settings.kafka, plain.topic, count)
            rates: dict[str, float] = {}
            for name in ("plain", "keyed"):
                metric = replace(metrics[f"{name}_by_region"], version=f"{number + 1}.0.0")
                source = replace(assets[name], topic=plain.topic)
                ensure_topics(settings, metric_topics(metric, source))
                status = Status(metric.table, "bench")
                loop = Loop(settings, source, metric, "bench", PARTITIONS, status)
                rates[name] = count_once(loop, count)
            ratios.append(rates["plain"] / bare)
            print(
                f"{number + 1:>5} {bare:>13,.0f} {rates['plain']:>9,.0f} {rates['plain'] / bare:>6.2f} "
                f"{rates['keyed']:>9,.0f} {rates['keyed'] / bare:>6.2f}"
            )
        print(f"median ratio of plain to consume only: {statistics.median(ratios):.2f}")
        if peers:
            measure_peers(settings, plain, metrics["plain_by_region"], count, rounds, home)
    finally:
        down()


def measure_peers(settings: Settings, plain: Asset, metric: Metric, count: int, rounds: int, work: Path) -> None:
    """The same events with the region as key, which spares Kafka Streams a second topic; everybody reads that topic.

    A rate is that of the offsets that are committed, and each output is checked against a fold of the input.
    """
    from lake_assets.compile.metric_topics import metric_topics
    from lake_assets.compile.topic import topic_spec
    from lake_assets.landing.produce import produce_lines
    from lake_assets.landing.topics import ensure_topics

    topic = f"{plain.topic}.by_region"
    by_region = replace(plain, topic=topic, key=("region",))
    ensure_topics(settings, [topic_spec(by_region)])
    produce_lines(settings, by_region, events(count))
    print(f"\nagainst peers, load {os.getloadavg()[0]:.1f}; a ratio is plain's to what is before it")
    print(
        f"{'round':>5} {'plain':>9} {'consume only':>13} {'ratio':>6} "
        f"{'Kafka Streams':>13} {'2 threads':>9} {'ratio':>6} {'Quix':>6} {'ratio':>6}"
    )
    ratios: list[tuple[float, float, float]] = []
    for number in range(rounds):
        bare = consume_only(settings.kafka, topic, count)
        mine = replace(metric, version=f"{rounds + number + 1}.0.0")
        source = replace(plain, topic=topic)
        ensure_topics(settings, metric_topics(mine, source))
        committed = Committed(settings.kafka, mine.topic, topic)
        loop = Loop(settings, source, mine, "bench", PARTITIONS, Status(mine.table, "bench"))
        ours = count_once(loop, count, committed.events)
        check(settings.kafka, topic, committed.offsets(), mine.topic)
        one, two = (kafka_streams.rate(settings.kafka, topic, count, work, threads) for threads in (1, 2))
        slow = quix.rate(settings.kafka, topic, count, work)
        ratios.append((ours / bare, ours / max(one, two), ours / slow))
        to_bare, to_streams, to_quix = ratios[-1]
        print(
            f"{number + 1:>5} {ours:>9,.0f} {bare:>13,.0f} {to_bare:>6.2f} "
            f"{one:>13,.0f} {two:>9,.0f} {to_streams:>6.2f} {slow:>6,.0f} {to_quix:>6.1f}"
        )
    to_bare, to_streams, to_quix = map(statistics.median, zip(*ratios, strict=True))
    print(
        f"median ratio of plain to consume only: {to_bare:.2f}, to the better Kafka Streams: {to_streams:.2f}, "
        f"to Quix: {to_quix:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="also Kafka Streams and Quix Streams, which are fetched")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="lake-bench-"))
    try:
        measure(home, options.events, options.rounds, options.peers)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
