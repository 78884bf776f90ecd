"""Comparison of raw, staging, quarantine, marts and the metric with the topics: each event exactly once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import psycopg

from lake_assets.landing.files import files, window_rows
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect
from tests.support.counted_metrics import read_topic
from tests.support.traffic import SALES, TAPS, TOPICS, Event, Sent, event_of

METRIC = "sales_by_region"
_SHOWN = 5


class Record(NamedTuple):
    """An event where the broker has it."""

    partition: int
    offset: int
    event: Event


Topics = Mapping[str, Sequence[Record]]


def read_topics(settings: Settings) -> Topics:
    """All records of both topics by asset, partition by partition in order, read by a plain consumer."""
    return {asset: [Record(*found) for found in _read(settings, topic)] for asset, topic in TOPICS.items()}


def _read(settings: Settings, topic: str) -> Iterable[tuple[int, int, Event]]:
    for message in read_topic(settings, topic):
        yield message.partition() or 0, message.offset() or 0, event_of(message.value() or b"")


def sender_differences(topics: Topics, sent: Sent, of_files: Iterable[str]) -> list[str]:
    """Return the differences between acknowledged events and the topics.

    An acknowledged event is where the broker put it, and once; one without an answer is there once or not at all; of
    a command that was killed each event is there at least once, for it was sent again.
    """
    found: list[str] = []
    files_names = {(SALES, name) for name in of_files}
    places: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for asset, records in topics.items():
        for record in records:
            places[asset, record.event.name].append((record.partition, record.offset))
    for name, place in sent.acknowledged.items():
        if places.get(name) != [place]:
            found.append(f"{name} was acknowledged at {place}, and is at {places.get(name)}")
    for name, there in places.items():
        if name in files_names or name in sent.acknowledged:
            continue
        if name not in sent.unknown or len(there) > 1:
            found.append(f"{name} is at {there}, and nobody knows of it")
    found += [f"{name} of a file is not there" for name in files_names - places.keys()]
    return found


@dataclass
class Prefixes:
    """Rows of each window up to each offset of each partition, and of each hour of taps up to each step."""

    _windows: dict[tuple[str, datetime, int], dict[int, tuple[int, int, int]]] = field(default_factory=dict)
    _hours: dict[tuple[str, datetime], dict[int, tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, topics: Topics) -> "Prefixes":
        made, known = cls(), set[tuple[str, str]]()
        state: dict[Any, tuple[int, ...]] = {}
        for asset, records in topics.items():
            for partition, offset, event in records:
                place = (asset, event.window, partition)
                good, total, bad = state.get(place, (0, 0, 0))
                # Of a sale that was sent twice the newer one stays, which is the same but for its offset.
                if not event.is_good:
                    bad += 1
                elif asset == TAPS or (asset, event.name) not in known:
                    good, total = good + 1, total + event.number
                known.add((asset, event.name))
                state[place] = (good, total, bad)
                made._windows.setdefault(place, {})[offset] = (good, total, bad)
                if asset == TAPS and event.is_good:
                    hour = (event.group, event.window)
                    taps, steps = state.get(hour, (0, 0))
                    state[hour] = (taps + 1, steps + event.number)
                    made._hours.setdefault(hour, {})[event.number] = (taps + 1, steps + event.number)
        return made

    def staging(self, asset: str, window: datetime, partition: int, newest: int) -> tuple[int, int, int] | None:
        """Good rows, the sum of their numbers, and bad rows of a window up to an offset that is in it."""
        return self._windows.get((asset, window, partition), {}).get(newest)

    def taps(self, lane: str, hour: datetime, last: int) -> tuple[int, int] | None:
        """Good taps of a lane's hour up to a step that is in it, and the sum of their steps."""
        return self._hours.get((lane, hour), {}).get(last)


def raw_differences(settings: Settings, topics: Topics) -> list[str]:
    """Return the records that raw lacks, has twice, or has besides those of the topics."""
    found: list[str] = []
    for name, asset in read_files(settings).assets.items():
        paths = [
            f.path for held in files(settings, asset, window_rows(settings, asset)).by_window.values() for f in held
        ]
        with duckdb.connect() as session:
            query = "select _partition, _offset, payload from read_parquet($1)"
            rows = Counter(session.execute(query, [paths]).fetchall())
        wanted = Counter((partition, offset, event.payload) for partition, offset, event in topics[name])
        found += _compared(f"raw of {name}", rows, wanted)
    return found


def table_differences(settings: Settings, topics: Topics) -> list[str]:
    """Return the differences in staging and quarantine: the newest offset of equal keys, and every tap."""
    found: list[str] = []
    with connect(settings, read_only=True, serving=False) as session:
        for asset, records in topics.items():
            name, number = ("order_id", "quantity") if asset == SALES else ("step * 4 + lane", "step")
            query = (
                f"select _kafka_partition, _offset, ({name})::text, _window, {number} from lake.{asset}_staging.{asset}"
            )
            newest = {r.event.name: r for r in records if r.event.is_good} if asset == SALES else {}
            good = list(newest.values()) or [record for record in records if record.event.is_good]
            wanted = Counter((r.partition, r.offset, r.event.name, r.event.window, r.event.number) for r in good)
            found += _compared(f"staging of {asset}", Counter(session.execute(query).fetchall()), wanted)
            query = f'select partition, "offset", payload, _window from lake.{asset}_staging.{asset}_quarantine'
            bad = Counter(
                (r.partition, r.offset, r.event.payload, r.event.window) for r in records if not r.event.is_good
            )
            found += _compared(f"quarantine of {asset}", Counter(session.execute(query).fetchall()), bad)
    return found


def mart_differences(settings: Settings, topics: Topics) -> list[str]:
    """Return the differences in the marts, as the analyst sees them."""
    sales: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0])
    for event in {r.event.name: r.event for r in topics[SALES] if r.event.is_good}.values():
        numbers = sales[event.group, event.at.date()]
        numbers[0] += 1
        numbers[1] += event.number
    taps: dict[tuple[int, datetime], list[int]] = defaultdict(list)
    for record in topics[TAPS]:
        if record.event.is_good:
            taps[int(record.event.group), record.event.window].append(record.event.number)
    with psycopg.connect(settings.postgres.conninfo("analyst")) as session:
        shown = session.execute("select region, day, orders, quantity, amount from sales_data_mart.sales").fetchall()
        wanted = Counter((*key, n, quantity, Decimal(quantity * 5) / 4) for key, (n, quantity) in sales.items())
        found = _compared("mart of sales", Counter(shown), wanted)
        shown = session.execute("select lane, hour, taps, last, total from taps_data_mart.taps").fetchall()
        wanted = Counter((*key, len(steps), max(steps), sum(steps)) for key, steps in taps.items())
        return found + _compared("mart of taps", Counter(shown), wanted)


def counted_differences(settings: Settings, topics: Topics, of_files: Iterable[str]) -> list[str]:
    """Return the differences in the metric: each sale is counted once, or late, and only those are late that were sent
    late or come from a file; broken records are set aside, each once."""
    with psycopg.connect(settings.postgres.conninfo("lake")) as session:
        columns = "region, window_start, shard, orders, quantity, amount"
        shown = session.execute(f"select {columns} from metrics.{METRIC}_shards".encode()).fetchall()
        late = session.execute(f"select shard, source_offset from metrics.{METRIC}_late".encode()).fetchall()
    late_places, files_names = set(late), set(of_files)
    cells: dict[tuple[str, datetime, int], set[tuple[str, int]]] = defaultdict(set)
    found: list[str] = []
    for partition, offset, event in topics[SALES]:
        if not event.is_good:
            continue
        if (partition, offset) not in late_places:
            hour = event.at.replace(minute=0, second=0, microsecond=0)
            cells[event.group, hour, partition].add((event.name, event.number))
        elif not event.is_late and event.name not in files_names:
            found.append(f"{event.name} was set aside as late, and was sent in time")
    if strange := late_places - {(r.partition, r.offset) for r in topics[SALES] if r.event.is_good}:
        found.append(f"set aside as late, and no good record: {sorted(strange)[:_SHOWN]}")
    wanted = Counter(
        (*cell, len(sales), (pieces := sum(number for _, number in sales)), pieces * 125)
        for cell, sales in cells.items()
    )
    found += _compared("metric", Counter(shown), wanted)
    undecodable = Counter[Any]()
    for message in read_topic(settings, f"metric-{METRIC}-undecodable"):
        headers = {name: value for name, value in message.headers() or [] if isinstance(value, bytes)}
        undecodable[int(headers["partition"]), int(headers["offset"])] += 1
    broken = Counter((r.partition, r.offset) for r in topics[SALES] if not r.event.is_good)
    return found + _compared("undecodable records", undecodable, broken)


def _compared(what: str, shown: Counter[Any], wanted: Counter[Any]) -> list[str]:
    missing, besides = wanted - shown, shown - wanted
    return [
        f"{what}: {sum(rows.values())} rows are {how}, such as {sorted(rows, key=str)[:_SHOWN]}"
        for how, rows in (("missing", missing), ("there besides or more than once", besides))
        if rows
    ]
