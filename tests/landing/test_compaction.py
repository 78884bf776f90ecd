"""Choice of files for compaction where windows are longer than the partitions of the table."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.changes import Cursor, changes
from lake_assets.landing.compaction import MIN_FILES, compact, small_files
from lake_assets.landing.files import files
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.landing.snapshots import entries
from lake_assets.settings import Settings
from tests.support.conform_records import Record, write_raw
from tests.support.raw_assets import example_asset
from tests.support.synthetic_commits import File, data_file

DAY, HOUR = "2026-11-22", 20_779 * 24


def load(settings: Settings, asset: Asset) -> Table:
    with raw_catalog(settings) as catalog:
        return catalog.load_table(raw_table(asset).identifier)


def land(settings: Settings, asset: Asset, hours: list[int], bytes_each: int = 100) -> None:
    """One snapshot with a file of one row for each of these partition values."""
    table = load(settings, asset)
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for hour in hours:
            path = Path(table.location().removeprefix("file:")) / "data" / f"{uuid.uuid4()}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
            write_raw(path, [Record(b"x" * bytes_each, timestamp=at)], asset.topic)
            append.append_data_file(data_file(table, File(hour, 1, size=path.stat().st_size), str(path)))


def cursors(settings: Settings, asset: Asset) -> list[Cursor]:
    return [Cursor.parse(changes(settings, [asset], {}).cursors[asset.name])]


def test_a_day_of_a_table_that_is_cut_by_hours_keeps_a_file_for_each_hour(stack: Settings) -> None:
    by_hour = example_asset("cut_by_hours", "compaction", window="hour")
    ensure_raw_tables(stack, [raw_table(by_hour)])
    asset = example_asset("cut_by_hours", "compaction")
    for _ in range(MIN_FILES):
        land(stack, asset, [HOUR + 9, HOUR + 10])
    land(stack, asset, [HOUR + 11])
    known = cursors(stack, asset)
    assert [one.count for one in small_files(stack, asset, [DAY], known).values()] == [2 * MIN_FILES]
    done = compact(stack, asset, [DAY], known, lambda _: None)
    assert done is not None
    assert (done.windows, done.before.count, done.after.count) == ((DAY,), 2 * MIN_FILES, 2)
    held = [entry.data_file for _, entry in entries(load(stack, asset), asset)]
    assert Counter((file.partition[0] - HOUR, file.record_count) for file in held) == {
        (9, MIN_FILES): 1, (10, MIN_FILES): 1, (11, 1): 1
    }  # fmt: skip
    hours = [f"{DAY}-09:00", f"{DAY}-10:00", f"{DAY}-11:00"]
    assert list(files(stack, by_hour, hours).by_window) == hours


def test_files_of_an_older_cut_are_left_alone(stack: Settings) -> None:
    asset = example_asset("cut_anew", "compaction", window="hour")
    ensure_raw_tables(stack, [raw_table(asset)])
    for _ in range(MIN_FILES):
        land(stack, asset, [HOUR])
    day = example_asset("cut_anew", "compaction")
    table = load(stack, day)
    assert small_files(stack, day, [DAY], cursors(stack, day)).keys() == {DAY}
    with table.update_spec() as update:
        update.remove_field("event_hour")
        update.add_field("_timestamp", "day", "event_day")
    assert load(stack, day).spec() != PartitionSpec()
    assert small_files(stack, day, [DAY], cursors(stack, day)) == {}
    assert compact(stack, day, [DAY], cursors(stack, day), lambda _: None) is None


def test_large_files_are_left_alone(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = example_asset("with_large_ones", "compaction", window="hour")
    ensure_raw_tables(stack, [raw_table(asset)])
    for _ in range(MIN_FILES):
        land(stack, asset, [HOUR])
    known, window = cursors(stack, asset), f"{DAY}-00:00"
    [found] = small_files(stack, asset, [window], known).values()
    assert found.count == MIN_FILES
    # All have the same content, and so the same size.
    monkeypatch.setattr("lake_assets.landing.compaction.SMALL_BYTES", found.bytes // MIN_FILES)
    assert small_files(stack, asset, [window], known) == {}
