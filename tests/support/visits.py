"""An asset with raw rows that are put there by hand instead of by Kafka Connect, and its refresh."""

import json
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import duckdb
from pyarrow.fs import FileSelector
from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Snapshot

from lake_assets.bucket import opened, written
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.table_counts import TableName
from lake_assets.compile.ddl import QUARANTINE, staging_columns
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.files import plain_path, window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.refresh import Refresh, RefreshContext, RequestedWindows, observe, queued_windows, refresh
from lake_assets.operations.replay import Replayed, replay, select
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.local.ducklake import DuckLake
from lake_assets.warehouse.protocol import Warehouse
from tests.support.conform_records import Record, write_raw
from tests.support.landed_records import read_raw
from tests.support.synthetic_commits import File, data_file

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.NAME
name: NAME
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per visit.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: came_at, window: day, partitions: 2}}
schema:
  - name: NAME
    properties:
      - {name: visit_id, logicalType: string, required: true, primaryKey: true}
      - {name: door, logicalType: string, quality: [{metric: invalidValues, arguments: {validValues: [north]}, mustBe: 0}]}
      - {name: guests, logicalType: integer, logicalTypeOptions: {maximum: 10}}
      - {name: came_at, logicalType: timestamp, required: true}
"""  # noqa: E501
_names = count(1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def visit(number: int, day: int, door: str = "north", guests: object = 1, minute: int = 0) -> bytes:
    came_at = f"2026-02-{day:02d}T10:{minute:02d}:00"
    return json.dumps({"visit_id": f"v{number}", "door": door, "guests": guests, "came_at": came_at}).encode()


# A file's path, when it was written (in nanoseconds) and its size.
State = tuple[str, int | None, int | None]


@dataclass
class Visits:
    """One asset with its tables, and raw rows that are put there by hand instead of by Kafka Connect. `older` are files
    of the bucket that were there before its own, where a test has looked."""

    settings: Settings
    path: Path
    landed: int = 0
    older: frozenset[State] = frozenset()
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def warehouse(self) -> Warehouse:
        return warehouse_for(self.settings)

    @property
    def asset(self) -> Asset:
        return parse_contract(self.path.read_text("utf-8"), self.path)

    def apply(self, old: str = "", new: str = "") -> None:
        """Changes the contract's text and applies it, but asks for no window: that is what a replay is for."""
        text = self.path.read_text("utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new), "utf-8")
        self.warehouse.ensure(self.asset)
        with Ledger(self.settings) as ledger:
            ledger.save_contract(self.asset, self.path.read_text("utf-8"))

    def unapply(self) -> None:
        """Remove what is applied of it: commands for all assets are about others from now on."""
        with Ledger(self.settings) as ledger:
            ledger.connection.execute("delete from ledger.contract where asset = %s", (self.asset.name,))

    def alone(self) -> "Visits":
        """Remove what other tests have applied on this lake."""
        with Ledger(self.settings) as ledger:
            ledger.connection.execute("delete from ledger.contract where asset <> %s", (self.asset.name,))
        return self

    def beside(self, old: str = "", new: str = "") -> "Visits":
        """The next major version of the contract, changed, as an asset on the same raw table; applied."""
        following = self.asset.major + 1
        path = self.path.with_name(f"{self.asset.dataset}_v{following}.yaml")
        text = self.path.read_text("utf-8").replace(f"version: {self.asset.version}", f"version: {following}.0.0")
        path.write_text(text, "utf-8")
        made = Visits(self.settings, path)
        made.apply(old, new)
        return made

    def land(self, *payloads: bytes) -> None:
        """One snapshot with a file for each day or hour, as the sink writes them."""
        with self.lock, raw_catalog(self.settings) as catalog:
            table = catalog.load_table(raw_table(self.asset).identifier)
            hours = 1 if str(table.spec().fields[0].transform) == "hour" else 24
            pieces: dict[int, list[Record]] = {}
            for payload in payloads:
                at = datetime.fromisoformat(json.loads(payload)["came_at"]).replace(tzinfo=UTC)
                headers = (("number", b"%d" % self.landed), ("", None))[: self.landed % 3]
                record = Record(payload, self.landed % 2, self.landed // 2, at, headers=headers)
                pieces.setdefault((at - _EPOCH) // timedelta(hours=hours), []).append(record)
                self.landed += 1
            files: list[DataFile] = []
            for piece, records in pieces.items():
                url = f"{plain_path(table.location())}/{uuid.uuid4()}.parquet"
                with written(url) as path:
                    write_raw(path, records, self.asset.topic)
                    size = path.stat().st_size
                files.append(data_file(table, File(piece, len(records), size=size), url))
            with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
                for file in files:
                    append.append_data_file(file)

    def drop_raw(self, day: datetime) -> None:
        """Remove a window from raw, as retention does."""
        with raw_catalog(self.settings) as catalog:
            table = catalog.load_table(raw_table(self.asset).identifier)
            expired = [
                entry.data_file
                for manifest in cast("Snapshot", table.current_snapshot()).manifests(table.io)
                for entry in manifest.fetch_manifest_entry(table.io)
                if entry.data_file.partition[0] == (day - _EPOCH).days
            ]
            with table.transaction() as transaction, transaction.update_snapshot().overwrite() as overwrite:
                for file in expired:
                    overwrite.delete_data_file(file)

    def refresh(self) -> Refresh:
        """All that has landed and all that is queued."""
        with Ledger(self.settings) as ledger:
            observe(self.settings, ledger, [self.asset], ledger.cursors())
            return self._made(ledger, lambda: set(queued_windows(ledger, self.asset)))

    def _made(self, ledger: Ledger, chosen: Callable[[], set[str]]) -> Refresh:
        def no_spark(_: object) -> Any:
            raise AssertionError("these windows are small")

        context = RefreshContext(
            self.settings, ledger, self.warehouse, self.asset, run_id="run", log=lambda _: None, on_spark=no_spark
        )
        made = refresh(context, lambda: RequestedWindows(chosen()))
        ledger.dequeue_windows(self.asset, made.done, made.sequence)
        return made

    def rebuild(self, *windows: str) -> Refresh:
        """Rebuild these windows, as an applied contract requires, and all queued ones."""
        with Ledger(self.settings) as ledger:
            ledger.queue_windows(self.asset, windows)
        return self.refresh()

    def replay(self, code: str | None = None, window: str | None = None, where: str | None = None) -> Replayed:
        return replay(self.settings, self.asset, select(self.settings, self.asset, code, window, where), self.make)

    def make(self, pending: Sequence[Pending]) -> dict[str, str]:
        """Build these entries of the queue."""
        with Ledger(self.settings) as ledger:
            return self._made(ledger, lambda: {entry.window for entry in pending}).failed

    def rows(self, columns: str, quarantine: bool = False) -> list[tuple[Any, ...]]:
        """Return rows in one statement where there is one, as a concurrent reader sees them."""
        asset, table = self.asset, cast("TableName", "quarantine" if quarantine else "staging")
        if isinstance(self.warehouse, DuckLake):
            with connect(self.settings, read_only=True, serving=False) as session:
                return session.execute(self._query(columns, quarantine)).fetchall()
        names = [column.name for column in (QUARANTINE if quarantine else staging_columns(asset))]
        held = self.warehouse.rows(asset, table, list(self.warehouse.window_rows(asset)), names)
        with duckdb.connect() as session:
            session.execute("set timezone = 'UTC'")
            session.register("held", held)
            return session.execute(f"select {columns} from held order by all").fetchall()

    def _query(self, columns: str, quarantine: bool) -> str:
        name = self.asset.quarantine_table if quarantine else self.asset.name
        return f"select {columns} from lake.{self.asset.staging_schema}.{name} order by all"

    def both(self, good: str, bad: str) -> list[list[tuple[Any, ...]]]:
        """Return these columns of staging and of quarantine, in one session where there is one: opening takes long."""
        if isinstance(self.warehouse, DuckLake):
            with connect(self.settings, read_only=True, serving=False) as session:
                queries = self._query(good, quarantine=False), self._query(bad, quarantine=True)
                return [session.execute(query).fetchall() for query in queries]
        return [self.rows(good), self.rows(bad, quarantine=True)]

    def staged(self) -> list[str]:
        return [visit_id for (visit_id,) in self.rows("visit_id")]

    def kept(self) -> list[tuple[Any, ...]]:
        return self.rows('partition, "offset", payload, first_seen', quarantine=True)

    def conformed(self) -> int:
        """Return the number of conformed files that were written for it."""
        system, path = opened(f"{self.settings.conformed}/{self.asset.dataset}")
        return sum(found.is_file for found in system.get_file_info(FileSelector(path, recursive=True)))

    def in_balance(self) -> bool:
        """Return whether the tables hold the ledger's counts and no more, and the ledger accounts for every raw row.

        DuckLake's rows must also be those of their own raw records.
        """
        with Ledger(self.settings) as ledger:
            known = {entry.window: entry for entry in ledger.windows(self.asset)}
        tables = self.warehouse.window_rows(self.asset)
        raw = window_rows(self.settings, self.asset)
        return (
            {window: entry.raw_rows for window, entry in known.items()} == raw
            and all(tables.pop(window, (0, 0)) == (entry.good, entry.quarantined) for window, entry in known.items())
            and not any(map(any, tables.values()))
            and (not isinstance(self.warehouse, DuckLake) or self._is_of_raw())
        )

    def _is_of_raw(self) -> bool:
        sent = {(r.partition, r.offset): r.payload for r in read_raw(self.settings, self.asset)}
        good, bad = self.both("_kafka_partition, _offset, visit_id", 'partition, "offset", payload')
        places = [row[:2] for row in (*good, *bad)]
        return (
            len(places) == len(set(places))
            and all(json.loads(sent[partition, offset] or b"")["visit_id"] == id for partition, offset, id in good)
            and all(sent[partition, offset] == payload for partition, offset, payload in bad)
        )


def make_visits(settings: Settings, folder: Path, window: str = "day", domain: str = "ops") -> Visits:
    """A new asset, applied, without rows; its contract is below the folder."""
    name = f"visits{next(_names)}"
    made = Visits(settings, folder / "assets" / f"{name}.yaml")
    made.path.parent.mkdir()
    text = CONTRACT.replace("NAME", name).replace("window: day", f"window: {window}")
    made.path.write_text(text.replace("domain: ops", f"domain: {domain}"), "utf-8")
    with Ledger(settings) as ledger:
        ledger.ensure_schema()
    ensure_raw_tables(settings, [raw_table(made.asset)])
    made.apply()
    return made


def made_often(settings: Settings, folder: Path) -> Visits:
    """A window that was made five times, with a good row more and one in quarantine each time."""
    made = make_visits(settings, folder)
    for number in range(5):
        made.land(visit(number, 1), visit(100 + number, 1, "south"))
        made.refresh()
    return made
