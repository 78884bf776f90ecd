"""How long after an event its number is in the database, at a steady rate, and what the commit interval costs.

    python -m bench.stream_latency [--rate 5000] [--seconds 80] [--commit 100]

Starts Kafka, Connect and Postgres in a lake of its own. One event in ten is timed: from the call that sends it until
a reader that polls the database finds a row of its partition that counts its offset. The first 40 seconds are left out,
in which the JVM of Kafka Connect warms up. The processor time is that of the application alone, in cores.
"""

import argparse
import os
import statistics
import threading
import time
from dataclasses import dataclass, field
from functools import partial

import psycopg
from confluent_kafka import Message, Producer

from bench.stream import CONTRACT, METRIC, REGIONS
from bench.stream_lake import StreamLake, stop, stream_lake

WARM_UP_SECONDS = 40.0
EACH = 10


@dataclass
class Sent:
    """When which offset of which partition was sent, and when it was seen; times are of the monotonic clock."""

    waiting: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def delivered(self, _: object, message: Message, at: float) -> None:
        with self.lock:
            self.waiting.setdefault(message.partition() or 0, []).append((message.offset() or 0, at))

    def seen(self, partition: int, below: int) -> None:
        now = time.monotonic()
        with self.lock:
            waiting = self.waiting.get(partition, [])
            self.taken += [now - at for offset, at in waiting if offset < below]
            self.waiting[partition] = [(offset, at) for offset, at in waiting if offset >= below]


def send(lake: StreamLake, rate: int, seconds: float, sent: Sent) -> None:
    producer = Producer({"bootstrap.servers": lake.settings.kafka, "enable.idempotence": True, "linger.ms": 5})
    began, number = time.monotonic(), 0
    while (now := time.monotonic()) - began < seconds:
        while number < (now - began) * rate:
            moment = time.gmtime()
            payload = (
                f'{{"order_id": "o{time.time_ns()}-{number}", "region": "{REGIONS[number % 4]}", "quantity": 2, '
                f'"amount": "12.50", "ordered_at": "{time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)}"}}'
            )
            timed = number % EACH == 0 and now - began > WARM_UP_SECONDS
            noted = partial(sent.delivered, at=time.monotonic())
            producer.produce(
                lake.asset.topic,
                payload,
                str(number),
                on_delivery=noted if timed else None,
            )
            number += 1
        producer.poll(0.001)
    producer.flush(30)


def measure(lake: StreamLake, rate: int, seconds: float, commit_ms: int) -> None:
    process = lake.start(f"one-{commit_ms}", f"import stream_app.loop as l; l.COMMIT_SECONDS = {commit_ms / 1000}")
    sent = Sent()
    sender = threading.Thread(target=send, args=(lake, rate, seconds, sent))
    question = (
        f"select shard, max(source_offset) from metrics.{lake.metric.table}_shards "
        "where window_start > now() - interval '3 minutes' group by shard"
    ).encode()
    with psycopg.connect(lake.settings.postgres.conninfo("lake"), autocommit=True) as session:
        while not lake.numbers(f"one-{commit_ms}").get("partitions"):
            time.sleep(0.2)
        before, began = process.cpu_times(), time.monotonic()
        sender.start()
        deadline = began + seconds + 30
        while sender.is_alive() or any(sent.waiting.values()):
            for shard, offset in session.execute(question):
                sent.seen(shard, offset)
            if time.monotonic() > deadline:
                raise SystemExit("events are still missing in the database after 30 s")
            time.sleep(0.005)
    after = process.cpu_times()
    cores = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
    stop(process)
    taken = sorted(sent.taken)
    print(
        f"commit every {commit_ms:>4} ms: median {statistics.median(taken) * 1000:>5.0f} ms, "
        f"p99 {taken[len(taken) * 99 // 100] * 1000:>5.0f} ms, worst {taken[-1] * 1000:>5.0f} ms of "
        f"{len(taken):,} events; {cores:.2f} cores",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=80.0)
    parser.add_argument("--commit", type=int, nargs="+", default=[100])
    options = parser.parse_args()
    contract = CONTRACT.format(name="plain", key="", suffix="")
    with stream_lake(contract, METRIC.format(name="plain"), ["kafka", "connect", "postgres"]) as lake:
        print(f"{options.rate:,} events/s for {options.seconds:.0f} s, load {os.getloadavg()[0]:.1f}")
        for commit_ms in options.commit:
            measure(lake, options.rate, options.seconds, commit_ms)


if __name__ == "__main__":
    main()
