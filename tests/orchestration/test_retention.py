"""Retention removes whole old windows, in two steps, and what it removed stays accounted for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from lake_assets.cli.maintain import command
from lake_assets.errors import LakeError
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.ledger.audit import WindowAudit, audit_windows
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import removed_offsets
from lake_assets.ledger.settled_offsets import known_offsets
from lake_assets.ledger.why import verdict
from lake_assets.ledger.window_states import WindowState, window_states
from lake_assets.operations import retention
from lake_assets.operations.retention import RetentionPlan, expire, maintain, plan_retention, settle_removals
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.visits import Visits, make_visits, visit

# On the twentieth the windows of the first and of the second are older than ten days, that of the fifteenth is not.
NOW = datetime(2026, 2, 20, tzinfo=UTC)
OLD = ["2026-02-01", "2026-02-02"]


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    """Two old windows and a new one, each with a good row and one in quarantine."""
    made = make_visits(stack, tmp_path)
    made.land(*(visit(10 * day + n, day, door) for day in (1, 2, 15) for n, door in enumerate(("north", "south"))))
    made.refresh()
    return made


def keep(visits: Visits, *elements: str, days: int = 10) -> None:
    """Apply a contract that keeps these elements for this number of days."""
    listed = ", ".join(f"{{property: retention, element: {one}, value: {days}, unit: d}}" for one in elements)
    visits.apply("customProperties:", f"slaProperties: [{listed}]\ncustomProperties:")


def planned(visits: Visits) -> RetentionPlan:
    with Ledger(visits.settings) as ledger:
        return plan_retention(visits.settings, ledger, DuckLake(visits.settings), [visits.asset], NOW)


def confirm(visits: Visits, checksum: str | None = None) -> RetentionPlan:
    wanted = checksum or planned(visits).checksum
    with Ledger(visits.settings) as ledger:
        return maintain(visits.settings, ledger, DuckLake(visits.settings), [visits.asset], NOW, wanted)


def audited(visits: Visits) -> dict[str, WindowAudit]:
    """The audit of the windows, apart from the broker."""
    settings, asset = visits.settings, visits.asset
    with Ledger(settings) as ledger:
        found = audit_windows(
            window_states(ledger, asset), window_rows(settings, asset), DuckLake(settings).window_rows(asset)
        )
    return {one.window: one for one in found}


def problems(visits: Visits) -> list[str]:
    return [problem for one in audited(visits).values() for problem in one.problems]


def removals(visits: Visits) -> dict[str, WindowState]:
    with Ledger(visits.settings) as ledger:
        return {window: state for window, state in window_states(ledger, visits.asset).items() if state.removed_at}


def raw_files(visits: Visits) -> set[Path]:
    with raw_catalog(visits.settings) as catalog:
        location = catalog.load_table(("ops", visits.asset.name)).location()
    return set(Path(urlsplit(location).path).glob("*.parquet"))


def test_a_dry_run_shows_old_windows_and_removes_nothing(visits: Visits) -> None:
    keep(visits, "raw", "staging", "quarantine")
    found = planned(visits)
    assert [(one.element, dict(one.rows), one.files) for one in found.removals] == [
        ("raw", dict.fromkeys(OLD, 2), 2),
        ("staging", dict.fromkeys(OLD, 1), 0),
        ("quarantine", dict.fromkeys(OLD, 1), 0),
    ]  # fmt: skip
    assert found == planned(visits)
    assert found.checksum == planned(visits).checksum
    assert visits.in_balance()
    assert removals(visits) == {}


def test_a_contract_without_retention_keeps_everything(visits: Visits) -> None:
    assert planned(visits) == RetentionPlan((), ())


def test_confirmed_windows_are_removed_with_their_files_and_audits_balance(visits: Visits) -> None:
    keep(visits, "raw", "staging", "quarantine")
    before = raw_files(visits)
    confirm(visits)
    assert window_rows(visits.settings, visits.asset) == {"2026-02-15": 2}
    assert visits.staged() == ["v150"]
    assert len(visits.kept()) == 1
    assert problems(visits) == []
    assert (len(before), len(raw_files(visits))) == (3, 1)
    assert planned(visits) == RetentionPlan((), ())


def test_the_ledger_keeps_every_offset_that_was_removed(visits: Visits) -> None:
    """Two Kafka partitions take turns, so the old windows hold offsets 0 and 1 of each."""
    keep(visits, "raw")
    confirm(visits)
    with Ledger(visits.settings) as ledger:
        offsets = removed_offsets(ledger, visits.asset)
    held = sorted((c.partition, c.min_offset, c.max_offset) for counts in offsets.values() for c in counts)
    assert held == [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]
    with Ledger(visits.settings) as ledger:
        known = known_offsets(ledger, [visits.asset])
    assert known == {(visits.asset.topic, 0): (0, 2), (visits.asset.topic, 1): (0, 2)}


def test_another_checksum_removes_nothing(visits: Visits) -> None:
    keep(visits, "raw", "staging")
    checksum = planned(visits).checksum
    visits.land(visit(99, 1))
    visits.refresh()
    with pytest.raises(LakeError, match=f"has not the checksum {checksum}: look again"):
        confirm(visits, checksum)
    assert visits.in_balance()


def test_a_window_that_is_not_published_stays(visits: Visits) -> None:
    keep(visits, "raw")
    visits.land(visit(99, 1))
    found = planned(visits)
    assert [list(one.rows) for one in found.removals] == [["2026-02-02"]]
    assert "raw: 1 windows from 2026-02-01 to 2026-02-01 stay until they are published" in found.kept_back[0]


def test_all_that_an_asset_has_is_never_removed(visits: Visits) -> None:
    keep(visits, "raw")
    with Ledger(visits.settings) as ledger:
        found = plan_retention(
            visits.settings, ledger, DuckLake(visits.settings), [visits.asset], NOW + timedelta(days=365)
        )
    assert found.removals == ()
    assert "all 3 windows are too old, and everything is never removed" in found.kept_back[0]


def test_a_late_event_of_a_removed_window_is_counted_and_wipes_nothing(visits: Visits) -> None:
    keep(visits, "raw")
    confirm(visits)
    visits.land(visit(99, 1), visit(98, 2))
    visits.refresh()
    assert visits.staged() == ["v10", "v150", "v20"]
    assert {window: (one.late, one.removed) for window, one in audited(visits).items()} == {
        "2026-02-01": (1, 2), "2026-02-02": (1, 2), "2026-02-15": (0, 0),
    }  # fmt: skip
    assert problems(visits) == []
    with Ledger(visits.settings) as ledger:
        assert ledger.pending([visits.asset.name]) == []
    confirm(visits)
    assert window_rows(visits.settings, visits.asset) == {"2026-02-15": 2}
    assert {window: one.removed for window, one in audited(visits).items()}["2026-02-01"] == 3
    assert problems(visits) == []


def test_a_late_event_changes_no_window_that_cannot_be_judged_again(visits: Visits) -> None:
    keep(visits, "raw", "quarantine")
    confirm(visits)
    visits.land(visit(99, 1))
    assert visits.refresh().unchanged == ("2026-02-01",)
    assert visits.staged() == ["v10", "v150", "v20"]
    assert problems(visits) == []


def test_where_raw_is_kept_a_late_event_rebuilds_its_window_until_removed(visits: Visits) -> None:
    keep(visits, "staging")
    confirm(visits)
    assert visits.staged() == ["v150"]
    assert problems(visits) == []
    visits.land(visit(99, 1))
    visits.refresh()
    assert visits.staged() == ["v10", "v150", "v99"]
    assert problems(visits) == []
    confirm(visits)
    assert visits.staged() == ["v150"]
    assert problems(visits) == []


def test_rows_that_raw_lost_without_retention_are_still_missed(visits: Visits) -> None:
    keep(visits, "raw")
    confirm(visits)
    visits.drop_raw(datetime(2026, 2, 15, tzinfo=UTC))
    assert problems(visits) == ["raw holds 0 rows but the ledger accounts for 2"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("step", "before"), [("remove_windows", True), ("remove_windows", False), ("expire_snapshots", True)]
)
def test_a_process_that_dies_between_two_steps_leaves_the_accounts_right(
    visits: Visits, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    keep(visits, "raw")
    real = getattr(retention, step)

    def die(*args: object) -> None:
        if not before:
            real(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(retention, step, die)
        with pytest.raises(Killed):
            confirm(visits)
    # A late event comes before anybody has looked.
    visits.land(visit(99, 1))
    visits.refresh()
    assert {"v10", "v20", "v150"} <= set(visits.staged())
    assert problems(visits) == []
    confirm(visits)
    assert window_rows(visits.settings, visits.asset) == {"2026-02-15": 2}
    assert len(raw_files(visits)) == 1
    assert problems(visits) == []


@pytest.mark.parametrize("before", [True, False])
def test_a_process_that_dies_at_a_tables_removal_leaves_the_accounts_right(
    visits: Visits, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    keep(visits, "staging")
    real = DuckLake.remove_windows

    def die(*args: Any) -> None:
        if not before:
            real(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(DuckLake, "remove_windows", die)
        with pytest.raises(Killed):
            confirm(visits)
    with Ledger(visits.settings) as ledger:
        settle_removals(visits.settings, ledger, DuckLake(visits.settings), visits.asset)
    assert problems(visits) == []
    confirm(visits)
    assert visits.staged() == ["v150"]
    assert problems(visits) == []


def test_a_process_that_dies_while_removing_files_leaves_none_behind(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(visits, "raw")

    def die(_: str) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("lake_assets.landing.expire.remove", die)
        with pytest.raises(Killed):
            confirm(visits)
    assert len(raw_files(visits)) == 3
    with Ledger(visits.settings) as ledger:
        expire(visits.settings, ledger, visits.asset, datetime.now(UTC))
    assert len(raw_files(visits)) == 1


def test_the_sinks_newest_offsets_outlive_every_expiry(visits: Visits) -> None:
    """Kafka Connect looks for them from the newest snapshot backwards; without them it would land events twice."""
    offsets = {"kafka.connect.offsets.control.group": '{"0":7}'}
    identifier = ("ops", visits.asset.name)
    with raw_catalog(visits.settings) as catalog:
        table = catalog.load_table(identifier)
        with table.transaction() as transaction, transaction.update_snapshot(offsets).fast_append():
            pass
    keep(visits, "raw")
    confirm(visits)
    with raw_catalog(visits.settings) as catalog:
        metadata = catalog.load_table(identifier).metadata
    (sink, newest) = sorted(metadata.snapshots, key=lambda one: one.sequence_number or 0)
    assert sink.summary is not None
    assert offsets.items() <= sink.summary.additional_properties.items()
    assert newest.parent_snapshot_id == sink.snapshot_id


def test_the_command_removes_only_with_the_checksum_that_it_has_shown(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(visits, "raw", days=(datetime.now(UTC) - datetime(2026, 2, 10, tzinfo=UTC)).days)
    visits.alone()
    shown = CliRunner().invoke(command, [], catch_exceptions=False).output
    assert "Nothing was deleted. To delete these windows: `lake maintain --confirm " in shown
    assert visits.in_balance()
    checksum = shown.split()[-1].rstrip("`")
    assert "Deleted." in CliRunner().invoke(command, ["--confirm", checksum], catch_exceptions=False).output
    assert window_rows(visits.settings, visits.asset) == {"2026-02-15": 2}
    assert "No windows have expired." in CliRunner().invoke(command, [], catch_exceptions=False).output


def test_why_reports_what_retention_removed(visits: Visits) -> None:
    keep(visits, "raw")
    confirm(visits)
    with Ledger(visits.settings) as ledger:
        (entry,) = ledger.windows(visits.asset, OLD[0])
    state, following = verdict(visits.asset, entry, [], None, removed_at=removals(visits)[OLD[0]].removed_at)
    assert state.startswith("Removed by retention: raw on 20")
    assert following == "Nothing."
