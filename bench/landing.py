"""Events a second that one task of Kafka Connect lands in a raw table, of a topic that is full when it begins.

    python -m bench.landing [--events 1000000] [--rounds 3]

There is no rival. Each round has a domain of its own, so its connector begins with the round, and is deleted after it.
The rate is that between the first commit that is seen and the last one, so the connector's start does not count. Events
have 201 bytes, and all are of one day. A commit is each second; broker, Postgres and worker share the machine.
"""

import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from bench.figures import Figures, options
from bench.lake import add_running, lake
from bench.late import CONTRACT, FIRST
from lake_assets.catalog.model import Asset
from lake_assets.settings import Settings

BYTES = 201
DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 0.1


def events(count: int, at: datetime) -> Iterator[bytes]:
    """Yield events of 201 bytes with all their keys different."""
    for number in range(count):
        begin = f'{{"reading": {number}, "read_at": "{at.isoformat()}", "text": "{number * 7_919:012}'
        yield f'{begin.ljust(BYTES - 2, "x")}"}}'.encode()


def measure(count: int, rounds: int, running: bool) -> Figures:
    names = [f"landing_{os.getpid()}_{number}" for number in range(rounds)]
    # A domain of its own: the connector of a domain lands all its topics.
    contracts = {name: CONTRACT.format(name=name).replace("domain: bench", f"domain: {name}") for name in names}
    contracts = {name: text.replace("partitions: 1", "partitions: 4") for name, text in contracts.items()}
    with lake(["kafka", "connect", "postgres"], contracts, running=running) as (settings, _):
        from lake_assets.compile.connector import connector_name
        from lake_assets.compile.raw_table import raw_table
        from lake_assets.compile.topic import control_topic, topic_spec
        from lake_assets.landing.connect import connector_for, delete_connector, ensure_connector
        from lake_assets.landing.produce import produce_lines
        from lake_assets.landing.raw_tables import ensure_raw_tables
        from lake_assets.landing.topics import ensure_topics
        from lake_assets.project import read_files

        assets = read_files(settings).assets
        rates: list[float] = []
        for name in names:
            asset = assets[name]
            ensure_topics(settings, [topic_spec(asset), control_topic(asset.domain)])
            ensure_raw_tables(settings, [raw_table(asset)])
            produce_lines(settings, asset, events(count, FIRST))
            ensure_connector(settings, connector_for(settings, asset.domain, [asset]))
            rates.append(landing_rate(settings, asset, count))
            delete_connector(settings, connector_name(asset.domain))
    figures = Figures("bench.landing", f"{count:,} events of {BYTES} bytes in four partitions, one task")
    figures.add("landed", rates, "events/s")
    return figures


def landing_rate(settings: Settings, asset: Asset, count: int) -> float:
    """Return the events a second from the first commit that is seen to the one with which all have landed."""
    from lake_assets.landing.connect import failures
    from lake_assets.landing.lag import positions

    began, first, last = time.monotonic(), 0, 0
    at_first = at_last = began
    while last < count and time.monotonic() - began < DEADLINE_SECONDS:
        assert (failed := failures(settings)) == {}, failed
        time.sleep(_POLL_SECONDS)
        _, landed = positions(settings, [asset])[asset.name]
        if landed > last:
            last, at_last = landed, time.monotonic()
            if not first:
                first, at_first = last, at_last
    assert last == count, f"{last:,} of {count:,} events have landed"
    # All in one commit: since the connector's start.
    return (last - first) / (at_last - at_first) if first < last else last / (at_last - began)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = add_running(options(__doc__, rounds=3))
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    measure(given.events, given.rounds, given.running).show(given.figures)


if __name__ == "__main__":
    main()
