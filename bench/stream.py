"""Cost of counting exactly once: the loop against one that only consumes, on one broker and one topic, in one run.

    python -m bench.stream [--events 2000000] [--rounds 3] [--peers]

Events are JSON of about 110 bytes in the order of their time. Two metrics: `keyed`, which detects duplicates by the key
of its source, like the metric of `sales`, and `plain`, whose source has no key. Rates are those of the second half of
each run, after warm-up. `--peers` also runs `plain` against Kafka Streams and Quix Streams (bench/peers), which detect
no duplicates either; Quix counts only the first 50,000 events, because it takes as long for them.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from bench.figures import Figures, in_turns, options
from bench.lake import add_running, lake
from bench.peers import kafka_streams, quix
from bench.peers.progress import Committed, second_half
from bench.peers.verify import check
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.landing.broker import broker_options
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
    value: {{eventTime: ordered_at, partitions: 4, topic: bench.{topic}}}
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


def events(count: int, first: int = 0) -> Iterator[bytes]:
    for number in range(first, first + count):
        moment = START + timedelta(microseconds=number * 600)
        yield json.dumps(
            {"order_id": f"o{number}", "region": REGIONS[number * 7 % 4], "quantity": 1 + number % 5,
             "amount": f"{number % 900}.{number % 100:02d}", "ordered_at": f"{moment:%Y-%m-%dT%H:%M:%S}Z"}
        ).encode()  # fmt: skip


def consume_only(settings: Settings, topic: str, count: int) -> float:
    """Measure events per second of the second half, consumed and discarded."""
    consumer = Consumer(
        {**broker_options(settings), "group.id": f"bench-{time.time_ns()}", "isolation.level": "read_committed",
         "enable.auto.commit": False, "fetch.queue.backoff.ms": 5, "fetch.wait.max.ms": 200}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    seen, half, at_half = 0, 0.0, 0
    while seen < count:
        seen += len(consumer.consume(min(5_000, count // 4), 0.1))
        if not half and seen >= count // 2:
            half, at_half = time.perf_counter(), seen
    rate = (seen - at_half) / (time.perf_counter() - half)
    consumer.close()
    return rate


def count_once(loop: Loop, count: int, events: Callable[[], int] | None = None) -> float:
    """Measure events per second of the second half, counted exactly once, by the loop's status or by `events`."""

    def watch() -> float:
        try:
            return second_half(events or (lambda: loop.status.events), count)
        finally:
            loop.stop()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        loop.run(lambda _: None)
        return watching.result()


def contract(name: str, topic: str = "", key: str = "") -> str:
    return CONTRACT.format(name=name, topic=topic or name, key=key)


def measure(count: int, rounds: int, peers: bool, running: bool) -> Iterator[Figures]:
    contracts = {
        "bench_plain": contract("bench_plain"),
        "bench_keyed": contract("bench_keyed", key=", primaryKey: true"),
    }
    metrics = {name: METRIC.format(name=name) for name in contracts}
    with lake(["kafka"], contracts, metrics, running) as (settings, folder):
        from lake_assets.compile.metric_topics import metric_topics
        from lake_assets.compile.topic import topic_spec
        from lake_assets.landing.produce import produce_lines
        from lake_assets.landing.topics import ensure_topics
        from lake_assets.project import read_files

        catalog = read_files(settings)
        assets, read = catalog.assets, catalog.metrics
        plain = assets["bench_plain"]
        ensure_topics(settings, [topic_spec(plain)])
        produce_lines(settings, plain, events(count))
        runs = 0

        def counted(name: str) -> float:
            nonlocal runs
            runs += 1
            metric = replace(read[f"{name}_by_region"], version=f"{runs}.0.0")
            source = replace(assets[name], topic=plain.topic)
            ensure_topics(settings, metric_topics(metric, source))
            return count_once(Loop(settings, source, metric, "bench", PARTITIONS, Status(metric.table, "bench")), count)

        figures = Figures("bench.stream", f"{count:,} events, counted exactly once by one process, after warm-up")
        rates = in_turns(
            {
                "plain": lambda: counted("bench_plain"),
                "keyed": lambda: counted("bench_keyed"),
                "only": lambda: consume_only(settings, plain.topic, count),
            },
            rounds,
        )
        own = figures.add("metric with a key, which knows repeats", rates["keyed"], "events/s")
        figures.add_rival("only consuming, beside the metric with a key", rates["only"], own)
        own = figures.add("metric without a key", rates["plain"], "events/s")
        figures.add_rival("only consuming, beside the metric without a key", rates["only"], own)
        yield figures
        if peers:
            yield measure_peers(settings, plain, read["bench_plain_by_region"], count, rounds, folder)


def measure_peers(settings: Settings, plain: Asset, metric: Metric, count: int, rounds: int, work: Path) -> Figures:
    """Measure the peers on the same events with the region as key, which saves Kafka Streams a second topic.

    A rate is that of the committed offsets, and each output is checked against a fold of the input.
    """
    from lake_assets.compile.metric_topics import metric_topics
    from lake_assets.compile.topic import topic_spec
    from lake_assets.landing.produce import produce_lines
    from lake_assets.landing.topics import ensure_topics

    topic = f"{plain.topic}.by_region"
    by_region = replace(plain, topic=topic, key=("region",))
    ensure_topics(settings, [topic_spec(by_region)])
    produce_lines(settings, by_region, events(count))
    runs = 0

    def ours() -> float:
        nonlocal runs
        runs += 1
        mine = replace(metric, version=f"{1000 + runs}.0.0")
        source = replace(plain, topic=topic)
        ensure_topics(settings, metric_topics(mine, source))
        committed = Committed(settings, mine.topic, topic)
        loop = Loop(settings, source, mine, "bench", PARTITIONS, Status(mine.table, "bench"))
        rate = count_once(loop, count, committed.events)
        check(settings, topic, committed.offsets(), mine.topic)
        return rate

    figures = Figures("bench.stream --peers", f"{count:,} events keyed by region, counted exactly once, after warm-up")
    rates = in_turns(
        {
            "metric without a key": ours,
            "Kafka Streams, one thread": lambda: kafka_streams.rate(settings, topic, count, work, 1),
            "Kafka Streams, two threads": lambda: kafka_streams.rate(settings, topic, count, work, 2),
            f"Quix Streams, the first {min(count, quix.MOST):,} events": lambda: quix.rate(
                settings, topic, count, work
            ),
            "only consuming": lambda: consume_only(settings, topic, count),
        },
        rounds,
    )
    (name, values), *rivals = rates.items()
    own = figures.add(name, values, "events/s")
    for name, values in rivals:
        figures.add_rival(name, values, own)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--peers", action="store_true", help="also Kafka Streams and Quix Streams, which are fetched")
    given = parser.parse_args(arguments)
    for figures in measure(given.events, given.rounds, given.peers, given.running):
        figures.show(given.figures)


if __name__ == "__main__":
    main()
