"""Readers of staging and marts that poll all the while, and the states they must never see."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from math import inf
from typing import Any, NamedTuple

import duckdb
import psycopg

from lake_assets.errors import LakeError
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect
from tests.support.exactness import Prefixes
from tests.support.traffic import PARTITIONS, SALES, TAPS

_PAUSE_SECONDS = 0.2
# To read all of staging takes a core for a moment.
_STAGING_PAUSE_SECONDS = 0.5
_STAGING = """\
select 'ASSET', _window, _kafka_partition, count(*), max(_offset), sum(NUMBER)::bigint, 0, -1
from lake.ASSET_staging.ASSET group by all
union all
select 'ASSET', _window, partition, 0, -1, 0, count(*), max("offset")
from lake.ASSET_staging.ASSET_quarantine group by all"""
_TAPS = "select lane, hour, taps, last, total from taps_data_mart.taps"
_SALES = "select region, day, orders, quantity, amount from sales_data_mart.sales"


class Place(NamedTuple):
    """A window of an asset, as far as it comes from one Kafka partition."""

    asset: str
    window: datetime
    partition: int


class Part(NamedTuple):
    """Good rows, the newest offset of them and the sum of their numbers; bad rows, and the newest offset of those."""

    good: int
    newest_good: int
    total: int
    bad: int
    newest_bad: int

    @property
    def newest(self) -> int:
        return max(self.newest_good, self.newest_bad)


class Onlooker:
    """Reader in a thread from `start` to `stop`. `errors` has failed reads with their time, of `time.monotonic`."""

    def __init__(self) -> None:
        self.looks = 0
        self.errors: list[tuple[float, str]] = []
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._looking: Future[None] | None = None

    def start(self) -> None:
        self._looking = self._pool.submit(self._look_on)

    def stop(self) -> None:
        """Raise what ended the looking."""
        self._over.set()
        assert self._looking is not None
        self._looking.result()
        self._pool.shutdown()

    def give_up(self) -> None:
        """End now, for a test that has failed."""
        self._over.set()
        self._pool.shutdown()

    def _look_on(self) -> None:
        while not self._over.is_set():
            try:
                self._session()
            except (duckdb.Error, psycopg.Error, LakeError) as error:
                self.errors.append((time.monotonic(), f"{type(error).__name__}: {error}"))
                self._over.wait(_PAUSE_SECONDS)

    def _session(self) -> None:
        """Connect, and look again and again."""
        raise NotImplementedError

    def _each(self, look: Callable[[], None], pause: float = _PAUSE_SECONDS) -> None:
        while not self._over.is_set():
            look()
            self.looks += 1
            self._over.wait(pause)

    def unexplained(self, outages: Iterable[tuple[float, float]]) -> list[str]:
        """The errors that came while the server was there."""
        spans = list(outages)
        return [sentence for at, sentence in self.errors if not any(low <= at <= high for low, high in spans)]


class StagingReader(Onlooker):
    """Reader of staging and quarantine of both assets, each in one statement. It must see whole windows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.seen: set[tuple[Place, Part]] = set()
        self._settings = settings
        self._last: dict[Place, int] = {}

    def _session(self) -> None:
        with connect(self._settings, read_only=True, serving=False) as session:
            self._each(lambda: self._look(session), _STAGING_PAUSE_SECONDS)

    def _look(self, session: duckdb.DuckDBPyConnection) -> None:
        for asset, number in ((SALES, "quantity"), (TAPS, "step")):
            query = _STAGING.replace("ASSET", asset).replace("NUMBER", number)
            self.add(asset, session.execute(query).fetchall())

    def add(self, asset: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """One look at an asset's tables."""
        parts: dict[Place, Part] = {}
        for name, window, partition, *numbers in rows:
            place, part = Place(name, window, partition), Part(*numbers)
            other = parts.get(place)
            parts[place] = _joined(part, other) if other else part
        for place, newest in self._last.items():
            if place.asset == asset and (place not in parts or parts[place].newest < newest):
                self.wrong.append(f"{place} went back from offset {newest} to {parts.get(place)}")
        for place, part in parts.items():
            self._last[place] = part.newest
            self.seen.add((place, part))

    def half(self, prefixes: Prefixes) -> list[str]:
        """The windows that were not what the topic holds up to the newest offset that was seen in them."""
        found: list[str] = []
        for place, part in self.seen:
            whole = prefixes.staging(place.asset, place.window, place.partition, part.newest)
            if whole != (part.good, part.total, part.bad):
                found.append(f"{place} showed {part}, and up to that offset the topic has {whole}")
        return found


def _joined(one: Part, other: Part) -> Part:
    return Part(
        one.good + other.good,
        max(one.newest_good, other.newest_good),
        one.total + other.total,
        one.bad + other.bad,
        max(one.newest_bad, other.newest_bad),
    )


class MartReader(Onlooker):
    """Reader of both marts as the analyst. `newest` has by lane and time the newest tap that was seen."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.seen: set[tuple[Any, ...]] = set()
        self.newest: list[tuple[float, Mapping[int, int]]] = []
        self._conninfo = settings.postgres.conninfo("analyst")
        self._last: dict[tuple[Any, ...], int] = {}

    def _session(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as session:
            self._each(lambda: self._look(session))

    def _look(self, session: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.add(session.execute(_TAPS).fetchall(), session.execute(_SALES).fetchall())

    def add(self, taps: Iterable[tuple[Any, ...]], sales: Iterable[tuple[Any, ...]]) -> None:
        """One look at the marts."""
        counts: dict[tuple[Any, ...], int] = {}
        newest: dict[int, int] = {}
        for lane, hour, number, last, total in taps:
            counts[TAPS, lane, hour] = number
            newest[lane] = max(newest.get(lane, 0), last)
            self.seen.add((lane, hour, number, last, total))
        for region, day, orders, quantity, amount in sales:
            counts[SALES, region, day] = orders
            if amount * 4 != quantity * 5:
                self.wrong.append(f"{region} {day}: {quantity} pieces for {amount}")
        for key, before in self._last.items():
            if counts.get(key, 0) < before:
                self.wrong.append(f"the mart's row {key} went back from {before} to {counts.get(key)}")
        self._last = counts
        self.newest.append((time.monotonic(), newest))

    def are_there(self) -> bool:
        """Return whether both marts have been built; earlier reads fail."""
        names = "to_regclass('sales_data_mart.sales'), to_regclass('taps_data_mart.taps')"
        with psycopg.connect(self._conninfo) as session:
            return None not in session.execute(f"select {names}".encode()).fetchall()[0]

    def seconds_until(self, moment: float, number: int) -> float:
        """Return the seconds from a moment until so many taps were in the mart; infinite when they never were."""
        # A tap that is broken or late is not the newest of its lane: one a few steps before it shows as much.
        step = number // PARTITIONS - 3
        return next(
            (at - moment for at, newest in self.newest if at >= moment and min(newest.values(), default=0) >= step), inf
        )

    def half(self, prefixes: Prefixes) -> list[str]:
        """The rows of the taps' mart that do not hold all taps up to their newest."""
        return [
            f"{row} is not all of its taps, which are {whole}"
            for row in self.seen
            if (whole := prefixes.taps(str(row[0]), row[1], row[3])) != (row[2], row[4])
        ]
