"""Cost of a restart when a million groups have an open window.

    python -m bench.stream_restart [--states 1000000] [--rounds 3]

One event is counted for each state, and the instance is stopped. Each round starts it: seconds from the start of the
process to the first committed row of a new event, and memory.
"""

import json
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, TopicPartition

from bench.figures import Figures, options
from bench.lake import add_running
from bench.stream import METRIC, PARTITIONS, contract
from bench.stream_lake import StreamLake, stop, stream_lake
from lake_assets.landing.broker import broker_options
from lake_assets.landing.produce import produce_lines


def events(first: int, count: int) -> Iterator[bytes]:
    for number in range(first, first + count):
        yield json.dumps(
            {"order_id": f"o{number}", "region": f"r{number}", "quantity": 1, "amount": "1.00",
             "ordered_at": "2026-03-01T10:00:00Z"}
        ).encode()  # fmt: skip


def wait_for_rows(lake: StreamLake, deadline: float) -> Iterator[None]:
    """Yield immediately, and a second time at the first committed row after that."""
    reader = Consumer(
        {
            **broker_options(lake.settings),
            "group.id": f"bench-{time.time_ns()}",
            "isolation.level": "read_committed",
        }
    )
    ends = [
        TopicPartition(lake.metric.topic, at, reader.get_watermark_offsets(TopicPartition(lake.metric.topic, at))[1])
        for at in range(PARTITIONS)
    ]
    reader.assign(ends)
    yield
    while time.monotonic() < deadline:
        message = reader.poll(0.05)
        if message is not None and message.error() is None:
            reader.close()
            yield
            return
    raise SystemExit("no row came")


def measure(lake: StreamLake, count: int, rounds: int) -> Figures:
    figures = Figures("bench.stream_restart", f"{count:,} groups with an open window")
    produce_lines(lake.settings, lake.asset, events(0, count))
    process, began = lake.start("one"), time.monotonic()
    while lake.numbers("one").get("open_rows", 0) < count:
        time.sleep(0.2)
    counting, held = time.monotonic() - began, process.memory_info().rss / 2**20
    stop(process)
    first: list[float] = []
    restored: list[float] = []
    memory: list[float] = []
    for number in range(rounds):
        row = wait_for_rows(lake, time.monotonic() + 300)
        next(row)
        produce_lines(lake.settings, lake.asset, events(count + number, 1))
        name = f"again-{number}"
        process, began = lake.start(name), time.monotonic()
        next(row)
        first.append(time.monotonic() - began)
        while not (numbers := lake.numbers(name)).get("restore_seconds"):
            time.sleep(0.1)
        restored.append(numbers["restore_seconds"])
        memory.append(process.memory_info().rss / 2**20)
        stop(process)
    figures.add("start to the first row", first)
    figures.add("of which restoring", restored)
    figures.add("memory after it", memory, "MB")
    figures.add("counting them, once", [counting])
    figures.add("memory then", [held], "MB")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--states", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    metric = METRIC.format(name="bench_restart").replace("window: 1m", "window: 1d")
    with stream_lake(contract("bench_restart"), metric, ["kafka"], given.running) as lake:
        measure(lake, given.states, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
