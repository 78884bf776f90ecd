"""Events a second of `lake produce` from JSONL, beside a bare loop that only reads the lines and sends them.

    python -m bench.produce [--events 500000] [--rounds 3]

Each round runs both, in turns, on separate topics that are deleted afterwards. Both use the same producer settings, and
both wait until every event is confirmed. The loop reads neither key nor time and checks nothing.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Producer

from bench.figures import Figures, in_turns, options
from bench.lake import add_running, lake
from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.compile.topic import topic_spec
from lake_assets.landing.broker import admin, client_config
from lake_assets.landing.lines import event_lines
from lake_assets.landing.produce import PRODUCER_CONFIG, produce_lines
from lake_assets.landing.topics import ensure_topics
from lake_assets.settings import Settings


def asset(name: str) -> Asset:
    text = FieldType("string")
    fields = (Field("lead_id", text), Field("origin", text), Field("created_at", FieldType("timestamp")))
    return Asset(
        name, "bench", "1.0.0", "", ("bench@example.com",), fields, ("lead_id",), "created_at",
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


def measure(settings: Settings, events: int, rounds: int) -> Figures:
    client = admin(settings)
    made = 0

    def timed(run: Callable[[Settings, str, Path], None]) -> tuple[float, float]:
        """Measure events per second, and CPU microseconds per event."""
        nonlocal made
        made += 1
        topic = f"bench.produce_{os.getpid()}_{made}"
        ensure_topics(settings, [topic_spec(asset(topic.removeprefix("bench.")))])
        cpu, started = time.process_time(), time.perf_counter()
        run(settings, topic, path)
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
        client.delete_topics([topic])[topic].result()
        return events / seconds, used / events * 1e6

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        write_events(path, events)
        figures = Figures("bench.produce", f"{events:,} events of {path.stat().st_size / events:.0f} bytes")
        results = in_turns({"lake produce": lambda: timed(ours), "a bare loop": lambda: timed(bare)}, rounds)
    rates, cpus = ({name: [pair[part] for pair in pairs] for name, pairs in results.items()} for part in (0, 1))
    own = figures.add("lake produce", rates["lake produce"], "events/s")
    figures.add_rival("a bare loop", rates["a bare loop"], own)
    for name, values in cpus.items():
        figures.add(f"CPU an event, {name}", values, "us")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--events", type=int, default=500_000)
    given = parser.parse_args(arguments)
    with lake(["kafka"], running=given.running) as (settings, _):
        measure(settings, given.events, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
