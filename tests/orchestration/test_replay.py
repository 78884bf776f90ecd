"""Quarantined events are judged again once their contract was mended: by the refresh that makes every window."""

import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Snapshot

from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.cli.new import command as new
from lake_assets.compile.raw_table import raw_table
from lake_assets.errors import LakeError
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.why import verdict
from lake_assets.orchestration.evolve import propose
from lake_assets.orchestration.refresh import Refresh, observe, out_of_date, refresh
from lake_assets.orchestration.replay import Replayed, replay, select
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.lifecycle import down, up
from lake_assets.warehouse.connection import connect
from lake_assets.warehouse.ducklake import DuckLake
from tests.conform.records import Record, write_raw
from tests.landing.synthetic import File, data_file

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
  - {property: landing, value: {eventTime: came_at, window: day, start: 2026-01-01, partitions: 2}}
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


@dataclass
class Visits:
    """One asset with its tables, and raw rows that are put there by hand instead of by Kafka Connect."""

    settings: Settings
    path: Path
    landed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asset(self) -> Asset:
        return parse_contract(self.path.read_text("utf-8"), self.path)

    def apply(self, old: str = "", new: str = "") -> None:
        """Changes the contract's text and applies it, but asks for no window: that is what a replay is for."""
        text = self.path.read_text("utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new), "utf-8")
        DuckLake(self.settings).ensure(self.asset)
        with Ledger(self.settings) as ledger:
            ledger.save_contract(self.asset, self.path.read_text("utf-8"))

    def land(self, *payloads: bytes) -> None:
        """One snapshot with a file for each day, as the sink writes them."""
        with self.lock, raw_catalog(self.settings) as catalog:
            table = catalog.load_table(raw_table(self.asset).identifier)
            by_day: dict[datetime, list[Record]] = {}
            for payload in payloads:
                at = datetime.fromisoformat(json.loads(payload)["came_at"]).replace(tzinfo=UTC)
                record = Record(payload, self.landed % 2, self.landed // 2, at)
                by_day.setdefault(at.replace(hour=0, minute=0), []).append(record)
                self.landed += 1
            files: list[DataFile] = []
            for day, records in by_day.items():
                path = Path(table.location().removeprefix("file:")) / f"{uuid.uuid4()}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_raw(path, records, self.asset.topic)
                files.append(data_file(table, File((day - _EPOCH).days, len(records)), str(path)))
            with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
                for file in files:
                    append.append_data_file(file)

    def drop_raw(self, day: datetime) -> None:
        """What retention does to a window."""
        with raw_catalog(self.settings) as catalog:
            table = catalog.load_table(raw_table(self.asset).identifier)
            gone = [
                entry.data_file
                for manifest in cast("Snapshot", table.current_snapshot()).manifests(table.io)
                for entry in manifest.fetch_manifest_entry(table.io)
                if entry.data_file.partition[0] == (day - _EPOCH).days
            ]
            with table.transaction() as transaction, transaction.update_snapshot().overwrite() as overwrite:
                for file in gone:
                    overwrite.delete_data_file(file)

    def refresh(self) -> Refresh:
        """All that has landed and all that is queued."""
        with Ledger(self.settings) as ledger:
            observe(self.settings, ledger, [self.asset], ledger.cursors())
            return self._made(ledger, lambda: set(out_of_date(ledger, self.asset, lambda _: True)))

    def _made(self, ledger: Ledger, chosen: Callable[[], set[str]]) -> Refresh:
        def no_spark(_: object) -> Any:
            raise AssertionError("these windows are small")

        made = refresh(
            self.settings, ledger, DuckLake(self.settings), self.asset, chosen, "run", lambda _: None, no_spark
        )
        done = [output.window for output in (*made.published, *made.held_back)]
        ledger.dequeue(self.asset, done, made.sequence)
        return made

    def replay(self, code: str | None = None, window: str | None = None, where: str | None = None) -> Replayed:
        def make(pending: Sequence[Pending]) -> dict[str, str]:
            with Ledger(self.settings) as ledger:
                return self._made(ledger, lambda: {entry.window for entry in pending}).failed

        return replay(self.settings, self.asset, select(self.settings, self.asset, code, window, where), make)

    def rows(self, columns: str, quarantine: bool = False) -> list[tuple[Any, ...]]:
        asset = self.asset
        name = asset.quarantine_table if quarantine else asset.table
        with connect(self.settings, read_only=True, serving=False) as session:
            return session.execute(f"select {columns} from lake.{asset.staging_schema}.{name} order by all").fetchall()

    def staged(self) -> list[str]:
        return [visit_id for (visit_id,) in self.rows("visit_id")]

    def kept(self) -> list[tuple[Any, ...]]:
        return self.rows('partition, "offset", payload, first_seen', quarantine=True)

    def in_balance(self) -> bool:
        """Whether the tables hold what the ledger says, and the ledger accounts for every raw row."""
        with Ledger(self.settings) as ledger:
            known = {entry.window: entry for entry in ledger.windows(self.asset)}
        tables = DuckLake(self.settings).window_rows(self.asset)
        return {window: entry.raw_rows for window, entry in known.items()} == window_rows(
            self.settings, self.asset
        ) and all(tables.get(window, (0, 0)) == (entry.good, entry.quarantined) for window, entry in known.items())


@pytest.fixture(scope="module")
def lake() -> Generator[Settings]:
    """A lake whose Postgres alone runs."""
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(home))
        try:
            up(parts=("postgres",))
            with Ledger(load_settings()) as ledger:
                ledger.ensure()
            yield load_settings()
        finally:
            down()
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    """Three good events, and five in quarantine: two by their door, two by their guests, one by both."""
    name = f"visits{next(_names)}"
    made = Visits(lake, tmp_path / "assets" / f"{name}.yaml")
    made.path.parent.mkdir()
    made.path.write_text(CONTRACT.replace("NAME", name), "utf-8")
    ensure_raw_tables(lake, [raw_table(made.asset)])
    made.apply()
    made.land(
        visit(1, 1), visit(2, 1, "south"), visit(3, 1, guests="many"), visit(4, 2), visit(5, 2, "south"),
        visit(6, 2, "south", 99), visit(7, 3), visit(8, 3, guests=50),
    )  # fmt: skip
    made.refresh()
    assert made.staged() == ["v1", "v4", "v7"]
    return made


def told(replayed: Replayed) -> tuple[int, int, int]:
    return replayed.passed, replayed.repeats, replayed.failing


def test_looking_at_what_would_be_judged_changes_nothing(visits: Visits) -> None:
    before = visits.kept()
    found = select(visits.settings, visits.asset, "enum", None, None)
    assert (found.windows, found.rows, found.held_back) == (("2026-02-01", "2026-02-02"), 4, ())
    assert {(b.code, b.field, b.rows, b.windows) for b in found.broken} == {
        ("enum", "door", 3, 2), ("range", "guests", 1, 1), ("type", "guests", 1, 1),
    }  # fmt: skip
    assert visits.kept() == before
    with Ledger(visits.settings) as ledger:
        assert ledger.pending([visits.asset.name]) == []


def test_a_contract_that_is_not_applied_is_no_fix_yet(visits: Visits) -> None:
    visits.path.write_text(visits.path.read_text("utf-8").replace("[north]", "[north, south]"), "utf-8")
    with pytest.raises(LakeError, match="is not the one that is applied: run 'lake apply' first"):
        select(visits.settings, visits.asset, None, None, None)


def test_events_that_pass_now_enter_their_window_and_the_others_keep_their_history(visits: Visits) -> None:
    before = set(visits.kept())
    visits.apply("[north]", "[north, south]")
    assert told(visits.replay()) == (2, 0, 3)
    assert visits.staged() == ["v1", "v2", "v4", "v5", "v7"]
    assert len(visits.kept()) == 3
    assert set(visits.kept()) < before
    assert visits.in_balance()


def test_a_second_replay_changes_nothing_more(visits: Visits) -> None:
    visits.apply("[north]", "[north, south]")
    visits.replay()
    rows, kept = visits.staged(), visits.kept()
    assert told(visits.replay()) == (0, 0, 3)
    assert (visits.staged(), visits.kept()) == (rows, kept)


def test_only_windows_that_match_are_made_again(visits: Visits) -> None:
    visits.apply("maximum: 10", "maximum: 60")
    before = dict(visits.rows("visit_id, _loaded_at"))
    replayed = visits.replay(where="field = 'guests' and value = '50'")
    assert (replayed.windows, told(replayed)) == (("2026-02-03",), (1, 0, 0))
    after = dict(visits.rows("visit_id, _loaded_at"))
    assert {name for name in after if after[name] != before.get(name)} == {"v7", "v8"}


def test_an_event_that_repeats_a_later_one_is_told_apart_from_one_that_passed(visits: Visits) -> None:
    visits.land(visit(1, 1, "south"), visit(2, 1, "north", minute=5))
    visits.refresh()
    visits.apply("[north]", "[north, south]")
    # v1 came again later and now wins; v2 came again better before it was let in, and stays out.
    assert told(visits.replay(code="enum", window="2026-02-01")) == (1, 1, 1)
    assert visits.staged().count("v1") == visits.staged().count("v2") == 1
    assert visits.in_balance()


def test_what_lands_during_two_replays_at_once_is_neither_lost_nor_doubled(visits: Visits) -> None:
    visits.apply("maximum: 10", "maximum: 99")
    failed: list[BaseException] = []

    def tried(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failed.append(error)

        return run

    def send() -> None:
        for first in range(100, 160, 12):
            visits.land(*(visit(n, 1 + n % 3, guests=n) for n in range(first, first + 12)))
            visits.land(*(visit(n, 1 + n % 3, guests=n % 90) for n in range(first, first + 12)))

    threads = [threading.Thread(target=tried(work)) for work in (send, visits.replay, visits.refresh, visits.replay)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    visits.refresh()
    visits.replay()
    assert visits.staged() == sorted(["v1", "v4", "v7", "v8", *(f"v{n}" for n in range(100, 160))])
    assert visits.in_balance()


def test_a_window_whose_raw_rows_are_gone_is_judged_by_what_quarantine_kept(visits: Visits) -> None:
    visits.drop_raw(datetime(2026, 2, 2, tzinfo=UTC))
    before = {row[:2]: row[3] for row in visits.kept()}
    visits.apply("[north]", "[north, south]")
    replayed = visits.replay(window="2026-02-02")
    assert (replayed.failed, told(replayed)) == ({}, (1, 0, 1))
    assert visits.staged() == ["v1", "v4", "v5", "v7"]
    assert all(before[row[:2]] == row[3] for row in visits.kept())
    rows, kept = visits.staged(), visits.kept()
    assert told(visits.replay(window="2026-02-02")) == (0, 0, 1)
    assert (visits.staged(), visits.kept()) == (rows, kept)
    with Ledger(visits.settings) as ledger:
        (entry,) = ledger.windows(visits.asset, "2026-02-02")
    assert (entry.raw_rows, entry.good, entry.quarantined) == (3, 2, 1)


def test_a_replay_that_dies_leaves_its_windows_to_the_next_run(visits: Visits) -> None:
    visits.apply("[north]", "[north, south]")
    selection = select(visits.settings, visits.asset, None, None, None)

    def die(_: object) -> dict[str, str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(visits.settings, visits.asset, selection, die)
    assert [output.window for output in visits.refresh().published] == list(selection.windows)
    assert visits.staged() == ["v1", "v2", "v4", "v5", "v7"]


def test_a_held_back_window_is_told_with_its_check(visits: Visits) -> None:
    visits.apply("    properties:", "    quality: [{metric: rowCount, mustBeLessThan: 2}]\n    properties:")
    visits.apply("[north]", "[north, south]")
    replayed = visits.replay()
    assert replayed.held_back == {"2026-02-01": ("row_count",), "2026-02-02": ("row_count",)}
    assert told(replayed) == (0, 0, 5)
    assert visits.staged() == ["v1", "v4", "v7"]


def test_fields_that_the_contract_lacks_are_reported_and_proposed_and_appear_without_history(visits: Visits) -> None:
    more = json.loads(visit(20, 4)) | {"Shoe Size": 42, "note": "hi"}
    visits.land(json.dumps(more).encode(), visit(21, 4), json.dumps(json.loads(visit(22, 5)) | {"note": "x"}).encode())
    visits.refresh()
    found = propose(visits.settings, visits.asset)
    assert [(key.name, key.types, key.rows, key.of, key.first, key.last) for key in found.unknown] == [
        ("note", ["string"], 2, 3, "2026-02-04", "2026-02-05"),
        ("Shoe Size", ["integer"], 1, 3, "2026-02-04", "2026-02-04"),
    ]
    assert [(one.name, one.source, one.type.logical) for one in found.fields] == [
        ("shoe_size", "Shoe Size", "integer"), ("note", "note", "string"),
    ]  # fmt: skip
    before = visits.rows("visit_id, _loaded_at")
    visits.apply(found.before, found.after)
    assert visits.refresh().published == []
    assert visits.rows("visit_id, _loaded_at") == before
    visits.land(json.dumps(more | {"visit_id": "v23", "came_at": "2026-02-06T10:00:00"}).encode())
    visits.refresh()
    values = {visit_id: rest for visit_id, *rest in visits.rows("visit_id, shoe_size, note")}
    assert (values["v20"], values["v23"]) == ([None, None], [42, "hi"])
    assert propose(visits.settings, visits.asset).unknown == ()


def test_a_window_over_its_budget_is_held_back_and_says_why_while_others_flow(visits: Visits) -> None:
    landing = "  - {property: landing,"
    visits.apply(landing, f"  - {{property: quarantine, value: {{maxRows: 2, maxPercent: 60}}}}\n{landing}")
    visits.land(visit(31, 10, "west"), visit(32, 10, "west"), visit(33, 10), visit(34, 11, "west"), visit(35, 11))
    made = visits.refresh()
    assert [output.window for output in made.published] == ["2026-02-11"]
    assert (
        "2 of 3 rows broke a rule (2 enum of door), and its budget is 2 rows and 60 percent"
        in (made.sentences["2026-02-10"])
    )
    with Ledger(visits.settings) as ledger:
        (held,) = ledger.held_back(visits.asset)
    assert (held.window, held.checks, held.sentence) == ("2026-02-10", [BUDGET], made.sentences["2026-02-10"])
    state, _ = verdict(visits.asset, None, [], held)
    assert "its budget is" in state
    assert visits.staged() == ["v1", "v35", "v4", "v7"]
    visits.apply("maxPercent: 60", "maxPercent: 70")
    assert visits.replay(window="2026-02-10").held_back == {}
    assert visits.staged() == ["v1", "v33", "v35", "v4", "v7"]
    assert visits.in_balance()


def test_a_proposal_is_printed_as_a_diff_and_written_to_a_new_file_only(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path))
    visits.land(json.dumps(json.loads(visit(20, 4)) | {"note": "hi"}).encode())
    visits.refresh()
    before, name = visits.path.read_text("utf-8"), visits.asset.name
    shown = CliRunner().invoke(new, [name, "--evolve"])
    assert "+      - {name: note, logicalType: string}" in shown.output
    assert "-version: 1.0.0\n+version: 1.1.0" in shown.output
    out = tmp_path / "next.yaml"
    assert CliRunner().invoke(new, [name, "--evolve", "--out", str(out)]).exit_code == 0
    assert [field.name for field in parse_contract(out.read_text("utf-8"), out).fields][-1] == "note"
    for there in (out, visits.path):
        kept = there.read_text("utf-8")
        refused = CliRunner().invoke(new, [name, "--evolve", "--out", str(there)])
        assert "is there already" in str(refused.exception)
        assert there.read_text("utf-8") == kept
    assert visits.path.read_text("utf-8") == before
