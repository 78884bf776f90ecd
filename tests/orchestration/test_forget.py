"""`lake forget` leaves nothing of a person in the lake, everything of the others, and accounts that add up."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyiceberg.table import Table

from lake_assets.cli.forget import command
from lake_assets.conform.tokens import make_token_key
from lake_assets.errors import LakeError
from lake_assets.landing import replacing
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.ledger.audit import WindowAudit, audit_windows
from lake_assets.ledger.forgotten import Receipt, forgotten, receipts
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.removals import removed
from lake_assets.orchestration import forget as module
from lake_assets.orchestration.forget import Plan, forget, plan, wanted_fields
from lake_assets.orchestration.once import known_offsets
from lake_assets.orchestration.retention import settle_removals
from lake_assets.settings import Settings
from lake_assets.warehouse.ducklake import DuckLake
from tests.orchestration.visits import Visits, make_visits, visit


def person(visits: Visits) -> int:
    """A number that no other test of the same lake has anywhere."""
    return 770_000 + int(visits.asset.name.removeprefix("visits"))


def key(visits: Visits) -> str:
    return f"v{person(visits)}"


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    """The person has a good event and a repeat of it on the first, and one in quarantine on the second."""
    made = make_visits(stack, tmp_path)
    who = person(made)
    made.land(visit(1, 1), visit(who, 1), visit(2, 1, "south"), visit(3, 2), visit(who, 2, "south"), visit(4, 3))
    made.land(visit(who, 1, minute=5), visit(5, 1))
    made.refresh()
    return made


def planned(visits: Visits, *keys: str) -> Plan:
    with Ledger(visits.settings) as ledger:
        return plan(visits.settings, ledger, visits.asset, wanted_fields(visits.asset, keys or (key(visits),)))


def confirm(visits: Visits, *keys: str, checksum: str | None = None, even_so: bool = False) -> Receipt:
    checksum = checksum or planned(visits, *keys).checksum

    def make(_: Sequence[Pending]) -> dict[str, str]:
        return visits.refresh().failed

    with Ledger(visits.settings) as ledger:
        wanted = wanted_fields(visits.asset, keys or (key(visits),))
        receipt, failed = forget(visits.settings, ledger, visits.asset, wanted, checksum, even_so, make)
    assert failed == {}
    return receipt


def audited(visits: Visits) -> dict[str, WindowAudit]:
    """The audit of the windows, apart from the broker."""
    settings, asset = visits.settings, visits.asset
    with Ledger(settings) as ledger:
        settle_removals(settings, ledger, DuckLake(settings), asset)
        found = audit_windows(
            ledger.windows(asset), ledger.pending([asset.name]), [], window_rows(settings, asset),
            DuckLake(settings).window_rows(asset), removed(ledger, asset), forgotten(ledger, asset.dataset),
        )  # fmt: skip
    return {one.window: one for one in found}


def problems(visits: Visits) -> list[str]:
    return [problem for one in audited(visits).values() for problem in one.problems]


def holding(visits: Visits, text: str) -> list[str]:
    """Every file of the bucket that has the text in a value or in a footer, and every table of the lake's Postgres."""
    root = Path(urlsplit(visits.settings.bucket).path)
    found = [
        str(path)
        for path in root.rglob("*")
        if path.is_file()
        and (
            text.encode() in path.read_bytes()
            or (path.suffix == ".parquet" and text in str(pq.read_table(path, partitioning=None).to_pylist()))
        )
    ]
    with psycopg.connect(visits.settings.postgres.conninfo("lake")) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('ducklake', 'ledger')"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"select 1 from {table} as t where t::text like %s limit 1", (f"%{text}%",))  # pyright: ignore[reportCallIssue, reportArgumentType]
            if rows.fetchall():
                found.append(table)
    return found


def raw_rows(visits: Visits) -> dict[tuple[int, int], bytes]:
    held = files(visits.settings, visits.asset, window_rows(visits.settings, visits.asset).keys()).by_window.values()
    rows = [row for listed in held for file in listed for row in pq.ParquetFile(file.path).read().to_pylist()]
    return {(row["_partition"], row["_offset"]): row["payload"] for row in rows}


def test_a_plan_shows_the_rows_of_each_place_and_removes_nothing(visits: Visits) -> None:
    found = planned(visits)
    rows = {window: (held.raw, held.staging, held.quarantine) for window, held in found.windows.items()}
    assert rows == {"2026-02-01": (2, 1, 0), "2026-02-02": (1, 0, 1)}
    assert (found.rows, found.of, len(found.files)) == (3, 8, 3)
    assert found.checksum == planned(visits).checksum
    assert visits.in_balance()


def test_what_was_confirmed_is_nowhere_in_the_lake_and_the_others_are_as_they_were(visits: Visits) -> None:
    before = raw_rows(visits)
    kept = [row for row in visits.kept() if key(visits) not in str(row)]
    assert holding(visits, key(visits))
    receipt = confirm(visits)
    assert holding(visits, key(visits)) == []
    assert raw_rows(visits) == {
        place: payload for place, payload in before.items() if key(visits).encode() not in payload
    }
    assert visits.staged() == ["v1", "v3", "v4", "v5"]
    assert visits.kept() == kept
    assert (receipt.done_at is not None, len(receipt.files), receipt.files_deleted > 3) == (True, 3, True)


def test_the_audit_counts_what_is_forgotten_and_stays_in_balance(visits: Visits) -> None:
    confirm(visits)
    assert problems(visits) == []
    assert visits.in_balance()
    found = audited(visits)
    assert {window: one.forgotten for window, one in found.items()} == {
        "2026-02-01": 2, "2026-02-02": 1, "2026-02-03": 0,
    }  # fmt: skip
    told = found.values()
    assert sum(one.good + one.quarantined + one.duplicates + one.forgotten for one in told) == visits.landed
    with Ledger(visits.settings) as ledger:
        known = known_offsets(ledger, [visits.asset])
    assert sum(gone for _, gone in known.values()) == 3


def test_a_second_run_says_that_nothing_is_left_and_finds_the_receipt(visits: Visits) -> None:
    receipt = confirm(visits)
    again = planned(visits)
    assert (dict(again.windows), [one.id for one in again.earlier]) == ({}, [receipt.id])
    assert planned(visits, "v1").earlier == ()


@pytest.mark.parametrize("has_key", [False, True])
def test_the_receipt_has_a_hash_of_the_person_and_never_the_key(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_key: bool
) -> None:
    """Other tests' contracts may have given the session's lake a key of tokens, so this one names its own place."""
    monkeypatch.setenv("LAKE_TOKEN_KEY", str(tmp_path / "token_key"))
    if has_key:
        make_token_key(tmp_path / "token_key")
    receipt = confirm(visits)
    assert len(receipt.hash) == 64
    assert key(visits) not in str(receipt)
    assert (receipt.salt is None) == has_key
    assert [one.id for one in planned(visits).earlier] == [receipt.id]


def test_another_checksum_removes_nothing(visits: Visits) -> None:
    checksum = planned(visits).checksum
    visits.land(visit(person(visits), 3))
    with pytest.raises(LakeError, match=f"has not the checksum {checksum}: look again"):
        confirm(visits, checksum=checksum)
    assert len(raw_rows(visits)) == 9
    with Ledger(visits.settings) as ledger:
        assert receipts(ledger, visits.asset.dataset) == []


def test_events_of_others_that_land_meanwhile_change_no_checksum(visits: Visits) -> None:
    checksum = planned(visits).checksum
    visits.land(visit(6, 1))
    confirm(visits, checksum=checksum)
    assert visits.staged() == ["v1", "v3", "v4", "v5", "v6"]
    assert problems(visits) == []


def test_another_field_finds_its_rows_and_an_earlier_event_of_the_same_key_comes_back(visits: Visits) -> None:
    visits.land(visit(7, 3, guests=2), visit(7, 3, guests=9, minute=9))
    visits.refresh()
    assert planned(visits, "guests=9", "visit_id=v7").rows == 1
    confirm(visits, "guests=9", "visit_id=v7")
    assert ("v7", 2) in visits.rows("visit_id, guests")
    assert problems(visits) == []


def test_a_window_of_which_everything_is_forgotten_is_empty_and_stays_in_balance(visits: Visits) -> None:
    visits.land(visit(8, 5))
    visits.refresh()
    confirm(visits, "v8")
    assert holding(visits, '"v8"') == []
    assert "2026-02-05" not in window_rows(visits.settings, visits.asset)
    assert problems(visits) == []
    visits.land(visit(9, 5))
    visits.refresh()
    assert "v9" in visits.staged()
    assert problems(visits) == []


def test_rows_whose_raw_is_gone_are_found_by_what_the_tables_keep(visits: Visits) -> None:
    for day in (1, 2):
        visits.drop_raw(datetime(2026, 2, day, tzinfo=UTC))
    found = planned(visits)
    assert {window: (r.raw, r.staging, r.quarantine) for window, r in found.windows.items()} == {
        "2026-02-01": (0, 1, 0), "2026-02-02": (0, 0, 1),
    }  # fmt: skip
    confirm(visits)
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v3", "v4", "v5"]


def test_a_dropped_field_finds_nobody_where_raw_is_gone_and_says_so(visits: Visits) -> None:
    visits.apply(
        "{property: landing, value: {",
        "{property: protection, value: {drop: [door]}}\n  - {property: landing, value: {",
    )
    assert planned(visits, "door=north").windows
    visits.drop_raw(datetime(2026, 2, 1, tzinfo=UTC))
    with pytest.raises(LakeError, match="'door' is dropped before staging, and raw has not every window any more"):
        planned(visits, "door=north")


def test_a_window_that_a_check_holds_back_shows_nothing_of_the_person_all_the_same(visits: Visits) -> None:
    visits.apply(
        "{property: landing, value: {", "{property: quarantine, value: {maxRows: 0}}\n  - {property: landing, value: {"
    )
    visits.land(visit(10, 1))
    assert [one.window for one in visits.refresh().held_back] == ["2026-02-01"]
    confirm(visits)
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v3", "v4", "v5"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("step", "before"),
    [
        ("rewrite_without", True), ("rewrite_without", False), ("expire", True), ("remove_rows", True),
        ("remove_rows", False), ("set_counts", False), ("purge", True), ("purge", False),
    ],
)  # fmt: skip
def test_a_process_that_dies_between_two_steps_is_finished_by_the_same_command(
    visits: Visits, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    visits.land(visit(person(visits), 6))
    visits.refresh()
    checksum = planned(visits).checksum
    real = getattr(module, step)

    def die(*args: object) -> None:
        if not before:
            real(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, step, die)
        with pytest.raises(Killed):
            confirm(visits)
    # Life goes on: others' events land and their windows are made.
    visits.land(visit(11, 1))
    visits.refresh()
    assert problems(visits) == []
    again = planned(visits)
    assert (again.begun is not None, again.checksum) == (True, checksum)
    receipt = confirm(visits, checksum=checksum)
    assert receipt.done_at is not None
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v11", "v3", "v4", "v5"]
    assert problems(visits) == []
    assert {window: one.forgotten for window, one in audited(visits).items() if one.forgotten} == {
        "2026-02-01": 2, "2026-02-02": 1, "2026-02-06": 1,
    }  # fmt: skip


def test_the_newest_snapshot_says_how_far_the_sink_had_come(visits: Visits) -> None:
    """Without that the sink would land events twice: the snapshot that said it has the person's files, and goes."""
    said = {"kafka.connect.offsets.control.group": '{"0":7}', "kafka.connect.commit-id": "c7"}
    with raw_catalog(visits.settings) as catalog:
        table = catalog.load_table(("ops", visits.asset.name))
        with table.transaction() as transaction, transaction.update_snapshot(said).fast_append():
            pass
    confirm(visits)
    with raw_catalog(visits.settings) as catalog:
        (snapshot,) = catalog.load_table(("ops", visits.asset.name)).metadata.snapshots
    assert snapshot.summary is not None
    assert said.items() <= snapshot.summary.additional_properties.items()


def test_a_commit_of_the_sink_that_comes_between_is_not_followed_by_its_older_offsets(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier, name = ("ops", visits.asset.name), "kafka.connect.offsets.control.group"

    def commit(offsets: str) -> None:
        with raw_catalog(visits.settings) as catalog:
            table = catalog.load_table(identifier)
            with table.transaction() as transaction, transaction.update_snapshot({name: offsets}).fast_append():
                pass

    commit("older")
    real, calls = replacing.sinks_word, list[dict[str, str]]()

    def read(table: Table) -> dict[str, str]:
        calls.append(real(table))
        if len(calls) == 1:
            commit("newer")
        return calls[-1]

    monkeypatch.setattr(replacing, "sinks_word", read)
    confirm(visits)
    assert [word[name] for word in calls] == ["older", "newer"]
    with raw_catalog(visits.settings) as catalog:
        (snapshot,) = catalog.load_table(identifier).metadata.snapshots
    assert snapshot.summary is not None
    assert snapshot.summary.additional_properties[name] == "newer"
    assert holding(visits, key(visits)) == []


def test_more_than_one_person_is_likely_to_have_needs_to_be_said_twice(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEW_ROWS", 2)
    with pytest.raises(LakeError, match=r"3 of 8 rows are more than one person is likely to have: .* add --even-so"):
        confirm(visits)
    assert len(raw_rows(visits)) == 8
    confirm(visits, even_so=True)
    assert len(raw_rows(visits)) == 5


def test_a_key_that_is_not_clear_is_refused(visits: Visits) -> None:
    with pytest.raises(LakeError, match="the value of 'door' is empty"):
        planned(visits, "door=")
    with pytest.raises(LakeError, match="'door' is given twice"):
        planned(visits, "door=a", "door=b")


def test_the_command_shows_what_would_go_and_what_is_out_of_reach(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", str(visits.path.parent.parent))
    found = json.loads(
        CliRunner().invoke(command, [visits.asset.name, key(visits), "--json"], catch_exceptions=False).output
    )
    assert (found["rows"], found["files"], found["needs_even_so"]) == (3, 3, False)
    assert any("Metrics have counted these events already" in sentence for sentence in found["out_of_reach"])
    shown = CliRunner().invoke(command, [visits.asset.name, key(visits)], catch_exceptions=False).output
    assert f"Nothing was removed. To remove this: the same command with --confirm {found['checksum']}" in shown
    assert visits.in_balance()
