"""How throughput grows with instances of the application.

    python -m bench.stream_instances [--events 4000000] [--partitions 6]

Starts Kafka in a lake of its own, for one, two and three instances: events a second, from the moment all instances
have partitions to the last commit.
"""

import argparse
import os
import time

import psutil
from confluent_kafka import Consumer, TopicPartition

from bench.stream import CONTRACT, METRIC, events
from bench.stream_lake import StreamLake, stop, stream_lake
from lake_assets.landing.produce import produce_lines


def committed(lake: StreamLake, partitions: int) -> int:
    """Events whose count is committed."""
    reader = Consumer({"bootstrap.servers": lake.settings.kafka, "group.id": lake.metric.topic})
    places = reader.committed([TopicPartition(lake.asset.topic, at) for at in range(partitions)], timeout=30)
    reader.close()
    return sum(max(place.offset, 0) for place in places)


def measure(count: int, partitions: int, instances: int) -> tuple[float, list[int]]:
    contract = CONTRACT.format(name="plain", key="", suffix="").replace("partitions: 4", f"partitions: {partitions}")
    names = [f"i{number}" for number in range(instances)]
    with stream_lake(contract, METRIC.format(name="plain"), ["kafka"]) as lake:
        produce_lines(lake.settings, lake.asset, events(count))
        processes: list[psutil.Popen] = [lake.start(name) for name in names]
        while not all(lake.numbers(name).get("partitions") for name in names):
            time.sleep(0.1)
        before, began = committed(lake, partitions), time.monotonic()
        while committed(lake, partitions) < count:
            time.sleep(0.05)
        rate = (count - before) / (time.monotonic() - began)
        time.sleep(1.5)  # each tells its numbers once a second
        shares = [lake.numbers(name).get("events", 0) for name in names]
        for process in processes:
            stop(process)
    return rate, shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--partitions", type=int, default=6)
    options = parser.parse_args()
    print(f"{options.events:,} events, {options.partitions} partitions, {os.cpu_count()} cores")
    alone = 0.0
    for instances in (1, 2, 3):
        load = os.getloadavg()[0]
        rate, shares = measure(options.events, options.partitions, instances)
        alone = alone or rate
        print(f"{instances} instances: {rate:,.0f} events/s, {rate / alone:.2f} of one; shares {shares}; {load:.1f}")


if __name__ == "__main__":
    main()
