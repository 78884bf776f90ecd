"""Time from an event to its number in the database, at a steady rate, and the cost of the commit interval.

    python -m bench.stream_latency [--rate 5000] [--seconds 40] [--warm-up 40] [--commit 100] [--rounds 3]

One event in ten is timed: from the call that sends it until a reader that polls the database finds a row of its
partition that counts its offset. The warm-up before the rounds is not measured, because the JVM of Kafka Connect
compiles its code then. The processor time is that of the application alone, in cores.
"""

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import psycopg
from confluent_kafka import Message, Producer

from bench.figures import Figures, in_turns, options
from bench.lake import add_running
from bench.stream import METRIC, REGIONS, contract
from bench.stream_lake import StreamLake, stop, stream_lake
from lake_assets.landing.broker import broker_options

EACH = 10


@dataclass
class Sent:
    """Times of sending and reading of each partition's offsets, by the monotonic clock."""

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
    producer = Producer({**broker_options(lake.settings), "enable.idempotence": True, "linger.ms": 5})
    began, number = time.monotonic(), 0
    while (now := time.monotonic()) - began < seconds:
        while number < (now - began) * rate:
            moment = time.gmtime()
            payload = (
                f'{{"order_id": "o{time.time_ns()}-{number}", "region": "{REGIONS[number % 4]}", "quantity": 2, '
                f'"amount": "12.50", "ordered_at": "{time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)}"}}'
            )
            timed = number % EACH == 0
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


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the timed events, and cores that the application used."""

    median: float
    p99: float
    worst: float
    cores: float


def run(lake: StreamLake, rate: int, seconds: float, commit_ms: int, name: str) -> Latency:
    process = lake.start(name, f"import stream_app.loop as l; l.COMMIT_SECONDS = {commit_ms / 1000}")
    sent = Sent()
    sender = threading.Thread(target=send, args=(lake, rate, seconds, sent))
    question = (
        f"select shard, max(source_offset) from metrics.{lake.metric.table}_shards "
        "where window_start > now() - interval '3 minutes' group by shard"
    ).encode()
    with psycopg.connect(lake.settings.postgres.conninfo("lake"), autocommit=True) as session:
        while not lake.numbers(name).get("partitions"):
            time.sleep(0.2)
        before, began = process.cpu_times(), time.monotonic()
        sender.start()
        deadline = began + seconds + 60
        while sender.is_alive() or any(sent.waiting.values()):
            for shard, offset in session.execute(question):
                sent.seen(shard, offset)
            if time.monotonic() > deadline:
                raise SystemExit("events are still missing in the database after a minute")
            time.sleep(0.005)
    after = process.cpu_times()
    cores = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
    stop(process)
    taken = sorted(value * 1000 for value in sent.taken)
    return Latency(statistics.median(taken), taken[len(taken) * 99 // 100], taken[-1], cores)


def measure(
    lake: StreamLake, rate: int, seconds: float, warm_up: float, commits: Sequence[int], rounds: int
) -> Figures:
    runs = 0

    def timed(commit_ms: int, length: float = seconds) -> Latency:
        nonlocal runs
        runs += 1
        return run(lake, rate, length, commit_ms, f"run-{runs}")

    if warm_up:
        timed(commits[0], warm_up)
    figures = Figures(
        "bench.stream_latency", f"{rate:,} events/s for {seconds:.0f} s, after {warm_up:.0f} s of warm-up"
    )
    for commit_ms, found in in_turns({ms: lambda ms=ms: timed(ms) for ms in commits}, rounds).items():
        for what in ("median", "p99", "worst"):
            figures.add(f"commit every {commit_ms} ms: {what}", [getattr(one, what) for one in found], "ms")
        figures.add(f"commit every {commit_ms} ms: application", [one.cores for one in found], "cores")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--warm-up", type=float, default=40.0)
    parser.add_argument("--commit", type=int, nargs="+", default=[100])
    given = parser.parse_args(arguments)
    name = "bench_latency"
    with stream_lake(contract(name), METRIC.format(name=name), ["kafka", "connect", "postgres"], given.running) as lake:
        measure(lake, given.rate, given.seconds, given.warm_up, given.commit, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
