"""What a restart costs when a million groups have an open window.

    python -m bench.stream_restart [--states 1000000]

Starts Kafka in a lake of its own, counts one event for each state, ends the instance, and starts it again: seconds
from the start of the process to the first committed row of a new event, and memory.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator

from confluent_kafka import Consumer, TopicPartition

from bench.stream import CONTRACT, METRIC, PARTITIONS
from bench.stream_lake import StreamLake, stop, stream_lake
from lake_assets.landing.produce import produce_lines


def events(first: int, count: int) -> Iterator[bytes]:
    for number in range(first, first + count):
        yield json.dumps(
            {"order_id": f"o{number}", "region": f"r{number}", "quantity": 1, "amount": "1.00",
             "ordered_at": "2026-03-01T10:00:00Z"}
        ).encode()  # fmt: skip


def wait_for_rows(lake: StreamLake, deadline: float) -> Iterator[None]:
    """Yields at the first committed row after the moment of the call."""
    reader = Consumer(
        {"bootstrap.servers": lake.settings.kafka, "group.id": "bench", "isolation.level": "read_committed"}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=1_000_000)
    count = parser.parse_args().states
    metric = METRIC.format(name="plain").replace("window: 1m", "window: 1d")
    with stream_lake(CONTRACT.format(name="plain", key="", suffix=""), metric, ["kafka"]) as lake:
        print(f"{count:,} states, load {os.getloadavg()[0]:.1f}")
        produce_lines(lake.settings, lake.asset, events(0, count))
        process, began = lake.start("one"), time.monotonic()
        while lake.numbers("one").get("open_rows", 0) < count:
            time.sleep(0.2)
        print(f"counting them      {time.monotonic() - began:5.1f} s, {process.memory_info().rss / 2**20:,.0f} MB")
        stop(process)
        row = wait_for_rows(lake, time.monotonic() + 300)
        next(row)
        produce_lines(lake.settings, lake.asset, events(count, 1))
        process, began = lake.start("one"), time.monotonic()
        next(row)
        seconds = time.monotonic() - began
        while not (numbers := lake.numbers("one")).get("restore_seconds"):
            time.sleep(0.1)
        print(
            f"start to first row {seconds:5.1f} s, of which restoring {numbers['restore_seconds']:.1f} s "
            f"({numbers['restored_records']:,} records), {process.memory_info().rss / 2**20:,.0f} MB"
        )
        stop(process)


if __name__ == "__main__":
    main()
