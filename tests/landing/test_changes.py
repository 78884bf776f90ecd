"""Changed windows and their files, from metadata alone."""

from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.changes import WindowChange, changes
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.landing.snapshots import RawTableError, entries, read_table
from lake_assets.settings import Settings
from tests.support.raw_assets import example_asset
from tests.support.synthetic_commits import File, commit

DAY = 20_779  # 2026-11-22


def make(settings: Settings, name: str, **options: Any) -> tuple[Asset, Table]:
    asset = example_asset(name, "changes", **options)
    ensure_raw_tables(settings, [raw_table(asset)])
    return asset, load(settings, asset)


def load(settings: Settings, asset: Asset) -> Table:
    with raw_catalog(settings) as catalog:
        return catalog.load_table(raw_table(asset).identifier)


def read_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The manifests that are opened from now on."""
    opened: list[str] = []
    fetch = ManifestFile.fetch_manifest_entry

    def record(self: ManifestFile, *args: Any, **options: Any) -> Any:
        opened.append(self.manifest_path)
        return fetch(self, *args, **options)

    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", record)
    return opened


def test_changes_are_windows_of_new_snapshots_and_reported_once(stack: Settings) -> None:
    asset, table = make(stack, "twice")
    assert changes(stack, [asset], {}).windows == {}
    commit(table, [File(DAY, 10, 100), File(DAY, 5, 40), File(DAY - 1, 1, 7)])
    first = changes(stack, [asset], {})
    assert first.windows == {
        "twice": (
            WindowChange("2026-11-21", 1, rows=1, bytes=10, files=1,
                         min_offset=7, max_offset=7),
            WindowChange("2026-11-22", 1, rows=15, bytes=150, files=2,
                         min_offset=40, max_offset=109),
        )
    }  # fmt: skip
    assert changes(stack, [asset], first.cursors).windows == {}
    commit(table, [File(DAY, 2, 110)])
    commit(table, [File(DAY, 3, 112), File(DAY - 30, 1, 115)])
    (late, today) = changes(stack, [asset], first.cursors).windows["twice"]
    assert (late.window, late.rows, late.sequence) == ("2026-10-23", 1, 3)
    assert (today.window, today.rows, today.files, today.sequence) == ("2026-11-22", 5, 2, 3)
    assert (today.min_offset, today.max_offset) == (110, 114)


def test_only_manifests_newer_than_the_cursor_are_opened(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asset, table = make(stack, "long")
    for number in range(12):
        commit(table, [File(DAY - number, 1)])
    cursors = changes(stack, [asset], {}).cursors
    commit(table, [File(DAY, 1)])
    opened = read_paths(monkeypatch)
    assert len(changes(stack, [asset], cursors).windows["long"]) == 1
    assert len(opened) == 1
    assert changes(stack, [asset], changes(stack, [asset], cursors).cursors).windows == {}
    assert len(opened) == 2


def test_a_table_that_did_not_move_is_not_loaded(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asset, table = make(stack, "still")
    commit(table, [File(DAY, 1)])
    cursors = changes(stack, [asset], {}).cursors
    monkeypatch.setattr("lake_assets.landing.changes.read_table", lambda *_: pytest.fail("it was loaded"))
    assert changes(stack, [asset], cursors).cursors == cursors


def test_a_merged_manifest_yields_only_what_is_new_in_it(stack: Settings) -> None:
    asset, table = make(stack, "merged")
    with table.transaction() as transaction:
        transaction.set_properties({"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "3"})
    cursors = changes(stack, [asset], {}).cursors
    for number in range(10):
        commit(table, [File(DAY - number, number + 1)], merge=True)
        found = changes(stack, [asset], cursors)
        ((change,), cursors) = found.windows["merged"], found.cursors
        assert (change.rows, change.sequence) == (number + 1, number + 1)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) < 10
    assert sum(window_rows(stack, asset).values()) == 55


def test_expired_snapshots_do_not_matter(stack: Settings) -> None:
    asset, table = make(stack, "expired")
    commit(table, [File(DAY, 1)])
    cursors = changes(stack, [asset], {}).cursors
    for number in range(3):
        commit(table, [File(DAY + number, 2)])
    for snapshot in table.metadata.snapshots[:-1]:
        table.maintenance.expire_snapshots().by_id(snapshot.snapshot_id).commit()
    assert len(load(stack, asset).metadata.snapshots) == 1
    found = changes(stack, [asset], cursors).windows["expired"]
    assert [(change.window, change.rows) for change in found] == [
        ("2026-11-22", 2), ("2026-11-23", 2), ("2026-11-24", 2)
    ]  # fmt: skip


def test_a_recreated_table_yields_all_its_windows(stack: Settings) -> None:
    asset, table = make(stack, "anew")
    for _ in range(3):
        commit(table, [File(DAY, 1)])
    cursors = changes(stack, [asset], {}).cursors
    with raw_catalog(stack) as catalog:
        catalog.drop_table(raw_table(asset).identifier)
    _, table = make(stack, "anew")
    for _ in range(4):
        commit(table, [File(DAY, 1)])
    assert [change.rows for change in changes(stack, [asset], cursors).windows["anew"]] == [4]


def test_an_asset_without_a_table_is_left_out_and_its_files_ask_for_apply(stack: Settings) -> None:
    asset = example_asset("nowhere", "changes")
    found = changes(stack, [asset], {})
    assert (found.windows, found.cursors) == ({}, {})
    with pytest.raises(RawTableError, match="lake apply"):
        files(stack, asset, ["2026-11-22"])


def test_a_property_that_changed_is_no_changed_window(stack: Settings) -> None:
    asset, table = make(stack, "property")
    commit(table, [File(DAY, 1)])
    cursors = changes(stack, [asset], {}).cursors
    with table.transaction() as transaction:
        transaction.set_properties({"a": "b"})
    found = changes(stack, [asset], cursors)
    assert found.windows == {}
    assert found.cursors != cursors


def test_records_without_a_time_stamp_or_statistics_are_counted_too(stack: Settings) -> None:
    asset, table = make(stack, "untimed")
    commit(table, [File(None, 4, None), File(DAY, 1, None)])
    zero, today = changes(stack, [asset], {}).windows["untimed"]
    assert (zero.window, zero.rows, zero.min_offset, zero.max_offset) == ("1970-01-01", 4, None, None)
    assert today.window == "2026-11-22"
    assert window_rows(stack, asset) == {"1970-01-01": 4, "2026-11-22": 1}
    assert [file.rows for file in files(stack, asset, ["1970-01-01"]).by_window["1970-01-01"]] == [4]


def test_files_are_those_of_the_windows_and_other_manifests_stay_closed(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, table = make(stack, "files")
    for number in range(5):
        commit(table, [File(DAY - number, 10), File(DAY - number, 20)])
    opened = read_paths(monkeypatch)
    found = files(stack, asset, ["2026-11-22", "2026-11-20", "2020-01-01"])
    assert {window: sorted(file.rows for file in of) for window, of in found.by_window.items()} == {
        "2026-11-20": [10, 20], "2026-11-22": [10, 20]
    }  # fmt: skip
    assert len(opened) == 2
    assert found.sequence == 5
    paths = [file.path for of in found.by_window.values() for file in of]
    assert all(path.startswith("/") for path in paths) or not stack.bucket.startswith("file:")


def test_an_empty_table_has_no_files(stack: Settings) -> None:
    asset, _ = make(stack, "empty")
    found = files(stack, asset, ["2026-11-22"])
    assert (found.sequence, found.by_window) == (0, {})
    assert window_rows(stack, asset) == {}


def test_hours_are_windows_of_their_own_and_parts_of_days(stack: Settings) -> None:
    asset, table = make(stack, "hours", window="hour")
    commit(table, [File(DAY * 24 + 9, 1), File(DAY * 24 + 10, 2)])
    assert window_rows(stack, asset) == {"2026-11-22-09:00": 1, "2026-11-22-10:00": 2}
    assert window_rows(stack, example_asset("hours", "changes")) == {"2026-11-22": 3}


def test_a_table_cut_by_day_cannot_serve_hours(stack: Settings) -> None:
    _, table = make(stack, "coarse")
    commit(table, [File(DAY, 1)])
    found = changes(stack, [example_asset("coarse", "changes", window="hour")], {})
    assert "partitioned by day, which does not separate windows of one hour" in found.unreadable["coarse"]
    assert found.windows == {}


def test_delete_files_are_refused() -> None:
    manifest = SimpleNamespace(content=ManifestContent.DELETES)
    snapshot = SimpleNamespace(manifests=lambda io: [manifest])
    table: Any = SimpleNamespace(current_snapshot=lambda: snapshot, io=None)
    with pytest.raises(RawTableError, match="delete files"):
        list(entries(table, example_asset("deleted")))


def test_metadata_that_was_removed_meanwhile_is_read_at_the_newest_pointer(stack: Settings) -> None:
    asset, table = make(stack, "removed")
    commit(table, [File(DAY, 7)])
    missing = table.metadata_location.replace("metadata.json", "gone.metadata.json")
    assert read_table(stack, asset, lambda found: found.metadata_location, missing) == table.metadata_location
