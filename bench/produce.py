"""Events a second of `lake produce` from JSONL, beside a bare loop that only reads the lines and sends them.

    LAKE_HOME=... python bench/produce.py [--events 500000] [--rounds 3]

Needs a lake with a Kafka broker (`lake up --parts kafka`). Each round runs both, one after the other, on topics of
their own that are removed again. Both use the same producer settings, and both wait until every event is confirmed.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.compile.topic import topic_spec
from lake_assets.landing.broker import admin, client_config
from lake_assets.landing.lines import event_lines
from lake_assets.landing.produce import PRODUCER_CONFIG, produce_lines
from lake_assets.landing.topics import ensure_topics
from lake_assets.settings import Settings, load_settings


def asset(name: str) -> Asset:
    text = FieldType("string")
    fields = (Field("lead_id", text), Field("origin", text), Field("created_at", FieldType("timestamp")))
    return Asset(
        name, "bench", "1.0.0", "", ("bench@example.com",), fields, ("lead_id",), "created_at", date(2026, 1, 1),
        topic=f"bench.{name}",
    )  # fmt: skip


def write_events(path: Path, count: int) -> None:
    begin = datetime.now(UTC) - timedelta(days=20)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            instant = begin + timedelta(seconds=number)
            file.write(
                f'{{"lead_id": "L-{number:08d}", "origin": "web", "campaign": "spring", '
                f'"email": "a{number}@example.com", "country": "DE", "company_size": 12, "consent": true, '
                f'"created_at": "{instant.isoformat()}"}}\n'
            )


def bare(settings: Settings, topic: str, path: Path) -> None:
    producer = Producer({**client_config(settings), **PRODUCER_CONFIG})
    with path.open("rb") as file:
        for line in file:
            while True:
                try:
                    producer.produce(topic, line)
                    break
                except BufferError:
                    producer.poll(0.1)
    producer.flush()


def ours(settings: Settings, topic: str, path: Path) -> None:
    with path.open("rb") as file:
        produce_lines(settings, asset(topic.removeprefix("bench.")), event_lines(file, path.name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = load_settings()
    client = admin(settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        write_events(path, options.events)
        size = path.stat().st_size / options.events
        print(f"{options.events:,} events of {size:.0f} bytes, load {os.getloadavg()[0]:.1f}")
        print("round     bare loop  lake produce  ratio  CPU us an event: bare, ours")
        for number in range(1, options.rounds + 1):
            rates: list[float] = []
            cpus: list[float] = []
            for name, run in (("bare", bare), ("ours", ours)):
                topic = f"bench.{name}_{os.getpid()}_{number}"
                ensure_topics(settings, [topic_spec(asset(topic.removeprefix("bench.")))])
                cpu, started = time.process_time(), time.perf_counter()
                run(settings, topic, path)
                rates.append(options.events / (time.perf_counter() - started))
                cpus.append((time.process_time() - cpu) / options.events * 1e6)
                client.delete_topics([topic])[topic].result()
            print(
                f"{number:>5}  {rates[0]:>10,.0f}/s  {rates[1]:>10,.0f}/s  {rates[1] / rates[0]:>5.2f}  "
                f"{cpus[0]:>21.1f} {cpus[1]:>5.1f}"
            )


if __name__ == "__main__":
    main()
