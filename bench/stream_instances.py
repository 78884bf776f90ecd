"""Throughput by number of instances of the application.

    python -m bench.stream_instances [--events 4000000] [--partitions 6] [--instances 1 2 3] [--rounds 3]

Events per second, from the time when all instances have partitions to the last commit. Each round has its own topic.
"""

import os
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition

from bench.figures import Figures, in_turns, options
from bench.lake import add_running
from bench.stream import METRIC, contract, events
from bench.stream_lake import StreamLake, stop, stream_lake
from lake_assets.landing.broker import broker_options
from lake_assets.landing.produce import produce_lines


def committed(lake: StreamLake, partitions: int) -> int:
    """Return the number of events whose count is committed."""
    reader = Consumer({**broker_options(lake.settings), "group.id": lake.metric.topic})
    places = reader.committed([TopicPartition(lake.asset.topic, at) for at in range(partitions)], timeout=30)
    reader.close()
    return sum(max(place.offset, 0) for place in places)


def rate(count: int, partitions: int, instances: int, name: str, running: bool) -> float:
    """Measure events per second with this number of instances, over a new topic."""
    text = contract(name).replace("partitions: 4", f"partitions: {partitions}")
    names = [f"i{number}" for number in range(instances)]
    with stream_lake(text, METRIC.format(name=name), ["kafka"], running) as lake:
        produce_lines(lake.settings, lake.asset, events(count))
        processes = [lake.start(name) for name in names]
        while not all(lake.numbers(name).get("partitions") for name in names):
            time.sleep(0.1)
        before, began = committed(lake, partitions), time.monotonic()
        while committed(lake, partitions) < count:
            time.sleep(0.05)
        seconds = time.monotonic() - began
        for process in processes:
            stop(process)
    return (count - before) / seconds


def measure(count: int, partitions: int, instances: Sequence[int], rounds: int, running: bool) -> Figures:
    runs = 0

    def run(number: int) -> float:
        nonlocal runs
        runs += 1
        return rate(count, partitions, number, f"bench_instances_{runs}", running)

    figures = Figures("bench.stream_instances", f"{count:,} events, {partitions} partitions, {os.cpu_count()} cores")
    for number, rates in in_turns({n: lambda n=n: run(n) for n in instances}, rounds).items():
        figures.add(f"instances: {number}", rates, "events/s")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 2, 3])
    given = parser.parse_args(arguments)
    measure(given.events, given.partitions, given.instances, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
