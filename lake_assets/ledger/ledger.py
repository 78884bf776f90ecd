"""The ledger: the queue of each window, and the inputs and outputs of each published window."""

import os
import socket
import sys
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg.rows import class_row

from lake_assets.advisory_locks import take_lock, waited_in_vain
from lake_assets.catalog.model import Asset
from lake_assets.catalog.silence import Arrival
from lake_assets.catalog.window_results import PartitionCount, WindowOutput
from lake_assets.errors import Unavailable
from lake_assets.ledger.migration import NEWEST, migrate_schema, schema_version
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Landed:
    """Rows that one or more raw snapshots added to a window; offsets are inclusive bounds over all partitions."""

    window: str
    sequence: int
    rows: int
    bytes: int
    files: int
    min_offset: int | None
    max_offset: int | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A window of an asset that is out of date, and the reason: rows `landed`, or the `contract` changed.

    `requested_at` is the time of the last run request, None if there was none.
    """

    id: int
    asset: str
    window: str
    sequence: int
    reason: str
    rows: int
    bytes: int
    files: int
    min_offset: int | None
    max_offset: int | None
    seen_at: datetime
    requested_at: datetime | None


@dataclass(frozen=True, slots=True)
class PublishedWindow:
    """The inputs and counts of a window's last publication; times are UTC."""

    asset: str
    window: str
    sequence: int
    contract_version: str
    run_id: str
    engine: str
    raw_rows: int
    good: int
    quarantined: int
    duplicates: int
    raw_bytes: int
    seconds: float
    published_at: datetime
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A window that failed blocking checks and was not published; `sentence` adds a reason to the checks' names."""

    asset: str
    window: str
    run_id: str
    checks: list[str]
    held_at: datetime
    sentence: str | None


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A key of the payloads that the contract does not declare.

    It has the JSON types of its values, and `rows` with the key `of` all rows since the `first` window that has one.
    `last` is the last such window.
    """

    name: str
    types: list[str]
    rows: int
    first: str
    last: str
    of: int


NONE_UNREADABLE: Mapping[str, str] = MappingProxyType({})


class Ledger:
    """Access to the ledger. One instance has one connection and serves one thread; close it after use."""

    def __init__(self, settings: Settings) -> None:
        """Connect to Postgres. Raises Unavailable when it does not answer."""
        if settings.postgres.port == 0:
            raise Unavailable("this lake has no Postgres yet: start it with `lake up`.")
        self.home = settings.home
        self._postgres = settings.postgres
        try:
            self._connection = psycopg.connect(
                settings.postgres.conninfo("lake"),
                autocommit=True,
                options=f"-c timezone=UTC -c lock_timeout={settings.run_seconds}s",
                application_name=f"{Path(sys.argv[0]).name} {os.getpid()}@{socket.gethostname()}",
            )
        except psycopg.OperationalError as error:
            raise settings.postgres.not_reached(error) from None

    @property
    def connection(self) -> psycopg.Connection:
        """The connection for modules that own other tables of the ledger."""
        return self._connection

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close the connection.

        Raises Unavailable instead of an error caused by Postgres ending the session or a wait for a lock.
        """
        broken = self._connection.broken
        if isinstance(error, psycopg.errors.LockNotAvailable) and not broken:
            with self._connection:
                raise waited_in_vain(self._connection) from error
        self._connection.close()
        if broken and isinstance(error, psycopg.Error):
            raise self._postgres.not_reached(error) from error

    def ensure_schema(self) -> None:
        """Create the ledger's tables, or upgrade those of an older lake."""
        migrate_schema(self._connection)

    def exists(self) -> bool:
        """Return True if `lake apply` has created the ledger. The ledger of an older lake is upgraded here."""
        version = schema_version(self._connection)
        if version is not None and version < NEWEST:
            self.ensure_schema()
        return version is not None

    @contextmanager
    def locked(self, name: str) -> Generator[None]:
        """Hold the lock of that name across processes; it is released when the holder dies.

        Raises Unavailable when another process holds it for longer than a run may take.
        """
        take_lock(self._connection, name)
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (name,))

    @contextmanager
    def locked_if_free(self, names: Collection[str]) -> Generator[set[str]]:
        """Hold those of the locks that are free, and yield their names; it never waits."""
        rows = self._connection.execute(
            "select name from unnest(%s::text[]) as wanted (name) "
            "where pg_try_advisory_lock(hashtextextended(name, 0))",
            (sorted(names),),
        ).fetchall()
        free = {name for (name,) in rows}
        try:
            yield free
        finally:
            if not self._connection.closed:
                self._connection.execute(
                    "select pg_advisory_unlock(hashtextextended(name, 0)) from unnest(%s::text[]) as held (name)",
                    (sorted(free),),
                )

    @contextmanager
    def alone(self, name: str) -> Generator[bool]:
        """Take the lock of that name if it is free, and yield whether it is held; never waits."""
        row = self._connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
        acquired = bool(row and row[0])
        try:
            yield acquired
        finally:
            if acquired and not self._connection.closed:
                self._connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (name,))

    def contracts(self, asset: str | None = None) -> dict[str, str]:
        """Return the applied contract texts by asset; with `asset`, only that one's."""
        query = "select asset, text from ledger.contract where %(asset)s::text is null or asset = %(asset)s"
        return dict(self._connection.execute(query, {"asset": asset}).fetchall())

    def metrics(self) -> dict[str, str]:
        """Return the applied metric texts by name."""
        return dict(self._connection.execute("select metric, text from ledger.metric").fetchall())

    def save_metrics(self, texts: Mapping[str, str]) -> None:
        """Store these metrics as applied, and no others."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("delete from ledger.metric where metric <> all(%s)", (list(texts),))
            cursor.executemany(
                "insert into ledger.metric (metric, text) values (%s, %s) on conflict (metric) do update "
                "set text = excluded.text, applied_at = now() where ledger.metric.text <> excluded.text",
                list(texts.items()),
            )

    def save_contract(self, asset: Asset, text: str) -> None:
        """Store a contract as applied."""
        self.save_contracts([(asset, text)])

    def save_contracts(self, contracts: Sequence[tuple[Asset, str]]) -> None:
        """Record contracts, each with its text, as applied, in one statement. Unchanged ones are not written."""
        self._connection.execute(
            "insert into ledger.contract (asset, version, text) "
            "select * from unnest(%s::text[], %s::text[], %s::text[]) on conflict (asset) do update "
            "set version = excluded.version, text = excluded.text, applied_at = now() "
            "where contract.text <> excluded.text",
            (
                [asset.name for asset, _ in contracts],
                [asset.version for asset, _ in contracts],
                [text for _, text in contracts],
            ),
        )

    def cursors(self) -> dict[str, str]:
        """Return the position up to which each asset's raw table has been read."""
        return dict(self._connection.execute("select asset, cursor from ledger.raw_cursor").fetchall())

    def record_landed(
        self,
        cursors: Mapping[str, str],
        landed: Mapping[str, Sequence[Landed]],
        unreadable: Mapping[str, str] = NONE_UNREADABLE,
        readable: Collection[str] = (),
    ) -> None:
        """Add windows to the queue and move these cursors, in one transaction; idempotent.

        `unreadable` has the cause by asset whose raw table could not be read; it replaces what was recorded before.
        Nothing stays recorded of the `readable` ones.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                'insert into ledger.pending (asset, "window", sequence, reason, rows, bytes, files, min_offset, '
                "max_offset) select %(asset)s, %(window)s, %(sequence)s, 'landed', %(rows)s, %(bytes)s, %(files)s, "
                "%(min_offset)s, %(max_offset)s "
                # A run may have read a snapshot before the sensor did; windows that it published are not due again.
                "where not exists (select from ledger.window as w where w.asset = %(asset)s "
                'and w."window" = %(window)s and w.sequence >= %(sequence)s) on conflict do nothing',
                [{"asset": asset, **asdict(w)} for asset, windows in landed.items() for w in windows],
            )
            cursor.execute(
                "insert into ledger.raw_cursor (asset, cursor) select * from unnest(%s::text[], %s::text[]) "
                "on conflict (asset) do update set cursor = excluded.cursor, observed_at = now()",
                ([*cursors], [*cursors.values()]),
            )
            cursor.execute("delete from ledger.unreadable_raw where asset = any(%s)", ([*readable],))
            cursor.executemany(
                "insert into ledger.unreadable_raw (asset, cause) values (%s, %s) on conflict (asset) do update "
                "set cause = excluded.cause where unreadable_raw.cause <> excluded.cause",
                [(asset, cause.replace("\0", "\\0")) for asset, cause in unreadable.items()],
            )

    def unreadable_raw(self, asset: Asset) -> str | None:
        """Return why the asset's raw table could not be read when it was last looked at; None when it could."""
        row = self._connection.execute(
            "select cause from ledger.unreadable_raw where asset = %s", (asset.name,)
        ).fetchone()
        return row[0] if row else None

    def arrivals(self) -> dict[str, Arrival]:
        """Return the last recorded arrival of each asset with an expected frequency."""
        query = 'select asset, "end", end_at, landed, waiting_since from ledger.arrival'
        return {asset: Arrival(*numbers) for asset, *numbers in self._connection.execute(query).fetchall()}

    def save_arrivals(self, arrivals: Mapping[str, Arrival]) -> None:
        """Store these assets' arrivals."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                'insert into ledger.arrival (asset, "end", end_at, landed, waiting_since) '
                "values (%(asset)s, %(end)s, %(end_at)s, %(landed)s, %(waiting_since)s) on conflict (asset) "
                'do update set ("end", end_at, landed, waiting_since) = '
                '(excluded."end", excluded.end_at, excluded.landed, excluded.waiting_since)',
                [{"asset": asset, **asdict(arrival)} for asset, arrival in arrivals.items()],
            )

    def queue_windows(self, asset: Asset, windows: Sequence[str]) -> None:
        """Queue windows that must be rebuilt because the contract changed."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                'insert into ledger.pending (asset, "window", sequence, reason, rows, bytes, files) '
                "select %(asset)s, %(window)s, coalesce(max(sequence), 0), 'contract', 0, 0, 0 "
                'from ledger.window where asset = %(asset)s and "window" = %(window)s on conflict do nothing',
                [{"asset": asset.name, "window": window} for window in windows],
            )

    def pending(self, assets: Sequence[str] | None = None) -> list[Pending]:
        """Return the queue, oldest entry first; with `assets`, only theirs."""
        with self._connection.cursor(row_factory=class_row(Pending)) as cursor:
            return cursor.execute(
                'select id, asset, "window", sequence, reason, rows, bytes, files, min_offset, max_offset, '
                "seen_at, requested_at from ledger.pending "
                "where %(assets)s::text[] is null or asset = any(%(assets)s) order by id",
                {"assets": None if assets is None else list(assets)},
            ).fetchall()

    def mark_requested(self, entries: Sequence[Pending]) -> None:
        """Record that a run was requested for these entries now."""
        self._connection.execute(
            "update ledger.pending set requested_at = now() where id = any(%s)", ([entry.id for entry in entries],)
        )

    def dequeue_windows(self, asset: Asset, windows: Sequence[str], sequence: int) -> None:
        """Remove windows from the queue up to a snapshot's sequence number, with their failures."""
        with self._connection.transaction():
            self._connection.execute(
                'delete from ledger.pending where asset = %s and "window" = any(%s) and sequence <= %s',
                (asset.name, list(windows), sequence),
            )
            self._connection.execute(
                'delete from ledger.failure where asset = %s and "window" = any(%s)', (asset.name, list(windows))
            )

    def hold_back(
        self, asset: Asset, run_id: str, outputs: Sequence[WindowOutput], sentences: Mapping[str, str]
    ) -> None:
        """Record windows that blocking checks held back, with a sentence for some of them."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                'insert into ledger.held_back (asset, "window", run_id, checks, sentence) '
                'values (%s, %s, %s, %s, %s) on conflict (asset, "window") do update set '
                "run_id = excluded.run_id, checks = excluded.checks, sentence = excluded.sentence, held_at = now()",
                [(asset.name, o.window, run_id, list(o.blocked_by), sentences.get(o.window)) for o in outputs],
            )

    def held_back(self, asset: Asset) -> list[HeldBack]:
        """Return the asset's windows that are held back, in window order."""
        with self._connection.cursor(row_factory=class_row(HeldBack)) as cursor:
            return cursor.execute(
                'select asset, "window", run_id, checks, held_at, sentence from ledger.held_back '
                'where asset = %s order by "window"',
                (asset.name,),
            ).fetchall()

    def held_back_counts(self) -> dict[str, int]:
        """Return how many windows are held back, by asset."""
        return dict(self._connection.execute("select asset, count(*) from ledger.held_back group by asset").fetchall())

    def windows(self, asset: Asset, window: str | None = None) -> list[PublishedWindow]:
        """Return the asset's published windows in window order, or one of them."""
        with self._connection.cursor(row_factory=class_row(PublishedWindow)) as cursor:
            return cursor.execute(
                'select asset, "window", sequence, contract_version, run_id, engine, raw_rows, good, '
                "quarantined, duplicates, raw_bytes, seconds, published_at, conflicts from ledger.window "
                'where asset = %(asset)s and (%(window)s::text is null or "window" = %(window)s) order by "window"',
                {"asset": asset.name, "window": window},
            ).fetchall()

    def first_window(self, asset: Asset) -> str | None:
        """Return the asset's earliest published window; None when there is none."""
        row = self._connection.execute(
            'select min("window") from ledger.window where asset = %s', (asset.name,)
        ).fetchone()
        return row[0] if row else None

    def partitions(self, asset: Asset, window: str | None = None) -> list[tuple[str, PartitionCount]]:
        """Return window and count for every published window (or one of them) and Kafka partition, in that order."""
        rows = self._connection.execute(
            'select "window", topic, partition, raw, good, quarantined, duplicates, redelivered, min_offset, '
            "max_offset from ledger.window_partition "
            'where asset = %(asset)s and (%(window)s::text is null or "window" = %(window)s) '
            'order by "window", topic, partition',
            {"asset": asset.name, "window": window},
        ).fetchall()
        return [(window_key, PartitionCount(*numbers)) for window_key, *numbers in rows]

    def partitions_by_asset(self, assets: Sequence[Asset]) -> dict[str, list[tuple[str, PartitionCount]]]:
        """Return the `partitions` of each of the assets, read in one statement."""
        counts: dict[str, list[tuple[str, PartitionCount]]] = {asset.name: [] for asset in assets}
        for asset, window, *numbers in self._connection.execute(
            'select asset, "window", topic, partition, raw, good, quarantined, duplicates, redelivered, min_offset, '
            'max_offset from ledger.window_partition where asset = any(%s) order by "window", topic, partition',
            ([*counts],),
        ).fetchall():
            counts[asset].append((window, PartitionCount(*numbers)))
        return counts

    def unknown_fields(self, asset: Asset) -> list[UnknownKey]:
        """Return the undeclared keys in published windows, most rows first."""
        with self._connection.cursor(row_factory=class_row(UnknownKey)) as cursor:
            return cursor.execute(
                "select name, array_agg(distinct type order by type) as types, sum(rows)::bigint as rows, "
                'min("window") as first, max("window") as last, '
                "(select sum(good + quarantined)::bigint from ledger.window as w where w.asset = %(asset)s "
                'and w."window" >= min(u."window")) as of '
                "from ledger.unknown_field as u where asset = %(asset)s group by name order by rows desc, name",
                {"asset": asset.name},
            ).fetchall()

    def no_records(self, topics: Sequence[str]) -> dict[tuple[str, int], list[tuple[int, int]]]:
        """Return by topic and partition the offset ranges (inclusive) that hold no record, as an earlier audit has
        shown, in order."""
        ranges: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for topic, partition, first, last in self._connection.execute(
            "select topic, partition, first, last from ledger.no_record where topic = any(%s) order by first",
            (list(topics),),
        ).fetchall():
            ranges.setdefault((topic, partition), []).append((first, last))
        return ranges

    def save_no_records(self, topic: str, partition: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Store offset ranges (inclusive) that hold no record, so that they are not read again."""
        if not ranges:
            return
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into ledger.no_record (topic, partition, first, last) values (%s, %s, %s, %s) "
                "on conflict (topic, partition, first) do update "
                "set last = greatest(no_record.last, excluded.last)",
                [(topic, partition, first, last) for first, last in ranges],
            )
