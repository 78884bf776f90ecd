"""`lake forget` leaves nothing of a person in the lake, everything of the others, and accounts that add up."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyiceberg.table import Table

from lake_assets.cli.forget import command
from lake_assets.conform.tokens import make_token_key
from lake_assets.errors import LakeError
from lake_assets.landing import replace_files as replacing
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.ledger.forgotten import receipts
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.settled_offsets import known_offsets
from lake_assets.operations.backfill import Undo, backfill, undo
from lake_assets.operations.erasure import search as module
from lake_assets.operations.erasure.limits import out_of_reach
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect
from tests.support.erasures import (
    STEPS,
    audited,
    confirm,
    die_at,
    holding,
    key,
    person,
    planned,
    problems,
    raw_rows,
    with_a_person,
)
from tests.support.visits import Visits, make_visits, visit


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    return with_a_person(lake, tmp_path)


def test_a_plan_shows_the_rows_of_each_place_and_removes_nothing(visits: Visits) -> None:
    found = planned(visits)
    rows = {window: (held.raw, held.staging, held.quarantine) for window, held in found.windows.items()}
    assert rows == {"2026-02-01": (2, 1, 0), "2026-02-02": (1, 0, 1)}
    assert (found.rows, found.of, len(found.files)) == (3, 8, 3)
    assert found.checksum == planned(visits).checksum
    assert visits.in_balance()


def test_the_audit_counts_what_is_forgotten_and_stays_in_balance(visits: Visits) -> None:
    confirm(visits)
    assert problems(visits) == []
    assert visits.in_balance()
    found = audited(visits)
    assert {window: one.forgotten for window, one in found.items()} == {
        "2026-02-01": 2, "2026-02-02": 1, "2026-02-03": 0,
    }  # fmt: skip
    windows = found.values()
    assert sum(one.good + one.quarantined + one.duplicates + one.forgotten for one in windows) == visits.landed
    with Ledger(visits.settings) as ledger:
        known = known_offsets(ledger, [visits.asset])
    assert sum(erased for _, erased in known.values()) == 3


def test_the_receipt_has_a_hash_of_the_person_and_never_the_key(
    visits: Visits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_TOKEN_KEY", str(tmp_path / "token_key"))
    other = f"v{person(visits) + 1_000}"
    visits.land(visit(int(other[1:]), 4))
    visits.refresh()
    for who, has_key in ((key(visits), False), (other, True)):
        if has_key:
            make_token_key(tmp_path / "token_key")
        receipt = confirm(visits, who)
        assert len(receipt.hash) == 64
        assert who not in str(receipt)
        assert (receipt.salt is None) == has_key
        assert [one.id for one in planned(visits, who).earlier] == [receipt.id]


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


def test_rows_are_found_by_another_field_and_an_earlier_event_comes_back(visits: Visits) -> None:
    visits.land(visit(7, 3, guests=2), visit(7, 3, guests=9, minute=9))
    visits.refresh()
    assert planned(visits, "guests=9", "visit_id=v7").rows == 1
    confirm(visits, "guests=9", "visit_id=v7")
    assert ("v7", 2) in visits.rows("visit_id, guests")
    assert problems(visits) == []


def test_a_window_whose_rows_are_all_erased_is_empty_and_stays_in_balance(visits: Visits) -> None:
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


def test_rows_are_erased_without_a_rebuild_where_an_entrypoint_lacks_raw(visits: Visits) -> None:
    visits.apply(
        "{property: landing, value: {",
        '{property: conform, value: {entrypoint: "visits:transform"}}\n  - {property: landing, value: {',
    )
    for day in (1, 2):
        visits.drop_raw(datetime(2026, 2, day, tzinfo=UTC))
    confirm(visits)
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v3", "v4", "v5"]
    with Ledger(visits.settings) as ledger:
        assert ledger.pending([visits.asset.name]) == []


def test_a_row_is_found_by_a_value_that_only_its_staging_table_holds(visits: Visits) -> None:
    asset = visits.asset
    with connect(visits.settings, serving=False) as session:
        session.execute(f"update lake.{asset.staging_schema}.{asset.name} set door = 'made-1' where visit_id = 'v4'")
    assert {window: asdict(rows) for window, rows in planned(visits, "door=made-1").windows.items()} == {
        "2026-02-03": {"raw": 1, "staging": 1, "quarantine": 0}
    }
    confirm(visits, "door=made-1")
    assert holding(visits, "made-1") == []
    assert visits.staged() == ["v1", "v3", "v5", key(visits)]
    assert problems(visits) == []


def test_a_dropped_field_finds_no_rows_without_raw_and_this_is_reported(visits: Visits) -> None:
    visits.apply(
        "{property: landing, value: {",
        "{property: protection, value: {drop: [door]}}\n  - {property: landing, value: {",
    )
    assert planned(visits, "door=north").windows
    visits.drop_raw(datetime(2026, 2, 1, tzinfo=UTC))
    with pytest.raises(LakeError, match="'door' is dropped before staging, and raw no longer has every window"):
        planned(visits, "door=north")


def test_a_removal_that_dies_at_each_step_is_finished_by_the_same_command(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process gets as far as the next step, where it dies as well."""
    visits.land(visit(person(visits), 6))
    visits.refresh()
    checksum = planned(visits).checksum
    for number, (step, before) in enumerate(STEPS, 11):
        die_at(visits, monkeypatch, step, before)
        # Life goes on: others' events land and their windows are made.
        visits.land(visit(number, 1))
        visits.refresh()
        assert problems(visits) == []
        again = planned(visits)
        assert (again.begun is not None, again.checksum) == (True, checksum)
    receipt = confirm(visits, checksum=checksum)
    assert receipt.done_at is not None
    assert holding(visits, key(visits)) == []
    assert visits.staged() == ["v1", "v11", "v12", "v13", "v14", "v3", "v4", "v5"]
    assert problems(visits) == []
    assert {window: one.forgotten for window, one in audited(visits).items() if one.forgotten} == {
        "2026-02-01": 2, "2026-02-02": 1, "2026-02-06": 1,
    }  # fmt: skip


def test_the_newest_snapshot_has_the_offsets_of_the_sink(visits: Visits) -> None:
    """The sink would land events twice otherwise: the snapshot with its offsets holds erased rows and is deleted."""
    properties = {"kafka.connect.offsets.control.group": '{"0":7}', "kafka.connect.commit-id": "c7"}
    with raw_catalog(visits.settings) as catalog:
        table = catalog.load_table(("ops", visits.asset.name))
        with table.transaction() as transaction, transaction.update_snapshot(properties).fast_append():
            pass
    confirm(visits)
    with raw_catalog(visits.settings) as catalog:
        (snapshot,) = catalog.load_table(("ops", visits.asset.name)).metadata.snapshots
    assert snapshot.summary is not None
    assert properties.items() <= snapshot.summary.additional_properties.items()


def test_a_sink_commit_in_between_is_not_followed_by_its_older_offsets(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier, name = ("ops", visits.asset.name), "kafka.connect.offsets.control.group"

    def commit(offsets: str) -> None:
        with raw_catalog(visits.settings) as catalog:
            table = catalog.load_table(identifier)
            with table.transaction() as transaction, transaction.update_snapshot({name: offsets}).fast_append():
                pass

    commit("older")
    real, calls = replacing.sink_properties, list[dict[str, str]]()

    def read(table: Table) -> dict[str, str]:
        calls.append(real(table))
        if len(calls) == 1:
            commit("newer")
        return calls[-1]

    monkeypatch.setattr(replacing, "sink_properties", read)
    confirm(visits)
    assert [word[name] for word in calls] == ["older", "newer"]
    with raw_catalog(visits.settings) as catalog:
        (snapshot,) = catalog.load_table(identifier).metadata.snapshots
    assert snapshot.summary is not None
    assert snapshot.summary.additional_properties[name] == "newer"
    assert holding(visits, key(visits)) == []


def test_more_rows_than_one_person_usually_has_need_force(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW_ROWS", 2)
    with pytest.raises(LakeError, match=r"3 of 8 rows are more than one person is likely to have: .* add --force"):
        confirm(visits)
    assert len(raw_rows(visits)) == 8
    confirm(visits, force=True)
    assert len(raw_rows(visits)) == 5


def test_a_key_that_is_not_clear_is_refused(visits: Visits) -> None:
    with pytest.raises(LakeError, match="the value of 'door' is empty"):
        planned(visits, "door=")
    with pytest.raises(LakeError, match="'door' is given twice"):
        planned(visits, "door=a", "door=b")


def test_the_command_shows_what_would_go_and_what_is_out_of_reach(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", "none")  # what is applied judges
    found = json.loads(
        CliRunner().invoke(command, [visits.asset.name, key(visits), "--json"], catch_exceptions=False).output
    )
    assert (found["rows"], found["files"], found["needs_even_so"]) == (3, 3, False)
    assert (found["dataset"], "asset" in found) == (visits.asset.dataset, False)
    assert any("Metrics have counted these events already" in sentence for sentence in found["out_of_reach"])
    shown = CliRunner().invoke(command, [visits.asset.name, key(visits)], catch_exceptions=False).output
    assert f"Nothing was erased. To erase these rows: the same command with --confirm {found['checksum']}" in shown
    assert visits.in_balance()


def keys_in(visits: Visits, monkeypatch: pytest.MonkeyPatch, *arguments: str, given: str | None = None) -> Result:
    monkeypatch.setenv("LAKE_CATALOG", "none")  # what is applied judges
    return CliRunner().invoke(command, [visits.asset.name, *arguments], input=given, catch_exceptions=False)


def test_keys_come_from_standard_input_when_none_is_on_the_command_line(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = f"visit_id={key(visits)}\r\ndoor=north\n"
    for place in ((), ("-",)):
        found = json.loads(keys_in(visits, monkeypatch, *place, "--json", given=given).stdout)
        assert found["checksum"] == planned(visits, f"visit_id={key(visits)}", "door=north").checksum
        with pytest.raises(LakeError, match="standard input has no KEY"):
            keys_in(visits, monkeypatch, *place, given="\n")


def test_a_key_of_several_fields_is_given_field_by_field(visits: Visits) -> None:
    visits.apply("version: 1.0.0", "version: 2.0.0")
    visits.apply(
        "{name: door, logicalType: string,", "{name: door, logicalType: string, required: true, primaryKey: true,"
    )
    visits.apply("validValues: [north]", "validValues: [north, south]")
    visits.rebuild("2026-02-01", "2026-02-02", "2026-02-03")
    with pytest.raises(LakeError, match="has no key of one field: write visit_id=VALUE and door=VALUE"):
        planned(visits, key(visits))
    who = f"visit_id={key(visits)}"
    assert list(planned(visits, who).windows) == ["2026-02-01", "2026-02-02"]
    assert list(planned(visits, "door=south", who).windows) == ["2026-02-02"]
    confirm(visits, "door=south", who)
    assert visits.rows("visit_id, door") == [
        ("v1", "north"), ("v2", "south"), ("v3", "north"), ("v4", "north"), ("v5", "north"), (key(visits), "north"),
    ]  # fmt: skip
    assert problems(visits) == []


def older(visits: Visits, table: str = "") -> list[str]:
    """Return the rows in the tables of the earlier version."""
    name = visits.asset.dataset
    with connect(visits.settings, read_only=True, serving=False) as session:
        found = session.execute(f"from lake.{name}_staging.{name}{table}").fetchall()
    return [str(row) for row in found]


def test_rows_of_an_older_major_version_go_too(visits: Visits) -> None:
    visits.apply("version: 1.0.0", "version: 2.0.0")
    visits.rebuild("2026-02-01", "2026-02-02", "2026-02-03")
    assert key(visits) in str(older(visits))
    assert key(visits) in str(older(visits, "_quarantine"))
    confirm(visits)
    assert len(older(visits)) == 4
    assert holding(visits, key(visits)) == []
    assert problems(visits) == []


def test_what_only_an_older_version_can_read_of_an_event_is_found_by_it(visits: Visits) -> None:
    """The older version read the same field from another place of the payload, which no later one reads."""
    visits.apply("version: 1.0.0", "version: 2.0.0")
    visits.apply("{name: visit_id, logicalType: string,", "{name: visit_id, physicalName: number, logicalType: string,")
    visits.rebuild("2026-02-01", "2026-02-02", "2026-02-03")
    assert visits.staged() == []
    found = planned(visits)
    assert {window: rows.raw for window, rows in found.windows.items()} == {"2026-02-01": 2, "2026-02-02": 1}
    confirm(visits)
    assert holding(visits, key(visits)) == []


def test_a_table_of_an_older_version_that_was_dropped_is_no_hindrance(visits: Visits) -> None:
    visits.apply("version: 1.0.0", "version: 2.0.0")
    visits.rebuild("2026-02-01", "2026-02-02", "2026-02-03")
    with connect(visits.settings, serving=False) as session:
        session.execute(f"drop table lake.{visits.asset.dataset}_staging.{visits.asset.dataset}")
    confirm(visits)
    assert holding(visits, key(visits)) == []


def test_an_older_version_without_the_field_is_unsearched_without_raw(visits: Visits) -> None:
    visits.apply("version: 1.0.0", "version: 2.0.0")
    visits.apply("      - {name: came_at", "      - {name: note, logicalType: string}\n      - {name: came_at")
    visits.rebuild("2026-02-01", "2026-02-02", "2026-02-03")
    assert planned(visits, "note=x").unsearched == ()
    visits.drop_raw(datetime(2026, 2, 1, tzinfo=UTC))
    found = planned(visits, "note=x")
    assert found.unsearched == (visits.asset.dataset,)
    sentences = out_of_reach(visits.settings, visits.asset, found)
    assert any(
        sentence.startswith(f"{visits.asset.dataset} of older versions cannot be searched") for sentence in sentences
    )
    assert planned(visits).unsearched == ()


def test_an_older_version_may_have_shorter_windows(lake: Settings, tmp_path: Path) -> None:
    visits = make_visits(lake, tmp_path, "hour")
    who = person(visits)
    visits.land(visit(1, 1), visit(who, 1), visit(who, 1, "south"), visit(2, 2))
    visits.refresh()
    assert key(visits) in str(older(visits))
    visits.apply("version: 1.0.0", "version: 2.0.0")
    visits.apply("window: hour", "window: day")
    visits.rebuild("2026-02-01", "2026-02-02")
    confirm(visits)
    assert holding(visits, key(visits)) == []
    assert len(older(visits)) == 2
    with Ledger(lake) as ledger:
        of_hours = {w.window: (w.good, w.quarantined) for w in ledger.windows(replace(visits.asset, version="1.0.0"))}
    assert of_hours == {"2026-02-01-10:00": (1, 0), "2026-02-02-10:00": (1, 0)}
    assert problems(visits) == []


def test_after_a_person_was_forgotten_a_later_backfill_can_be_undone(visits: Visits) -> None:
    """Files that the windows were rebuilt from stay in the bucket, also those of quarantine."""
    confirm(visits)
    rows, asset = visits.rows("*"), visits.asset
    first, last = "2026-02-01", "2026-02-03"
    backfill(visits.settings, {asset.name: asset}, asset, first, last, visits.make, log=lambda _: None)
    done = undo(visits.settings, asset, lambda _: None)
    assert done == Undo(("2026-02-01", "2026-02-02", "2026-02-03"), {})
    assert visits.rows("*") == rows
    assert visits.in_balance()
