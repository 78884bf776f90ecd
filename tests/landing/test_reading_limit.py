"""A limited reading of raw tables makes progress at every call, and leaves no table behind for ever."""

from collections.abc import Generator
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing import changes as module
from lake_assets.landing.changes import Limit, RawChanges, changes
from lake_assets.landing.raw_tables import create_raw_table
from lake_assets.settings import Settings, load_settings
from tests.support.raw_assets import example_asset
from tests.support.synthetic_commits import File, commit

AT_ONCE = 3
TABLES = 3 * AT_ONCE
DAY = 20_779
NO_LIMIT = 10**9


class Busy:
    """Raw tables of which each has a new commit before each reading, and a clock that each reading moves on."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = load_settings()
        self.assets: list[Asset] = [example_asset(f"busy_{number}", "busy") for number in range(TABLES)]
        self.seconds = 0.0
        self.cursors: dict[str, str] = {}
        self._lock = Lock()
        self._catalog = SqlCatalog("busy", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
        self._catalog.create_namespace("busy")
        for asset in self.assets:
            create_raw_table(self._catalog, raw_table(asset))

    def land(self, windows: int = 1) -> None:
        for asset in self.assets:
            table = self._catalog.load_table(raw_table(asset).identifier)
            commit(table, [File(DAY - number, 1) for number in range(windows)])

    def pointers(self, _: Settings, tables: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
        return {table: self._catalog.load_table(table).metadata_location for table in tables}

    def pass_second(self) -> None:
        with self._lock:
            self.seconds += 1

    def read(self, limit: Limit) -> RawChanges:
        result = changes(self.settings, self.assets, self.cursors, limit)
        self.cursors = result.cursors
        return result

    def close(self) -> None:
        self._catalog.close()


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Busy]:
    tables = Busy(tmp_path)
    read_table = module.read_table

    def slowly(*arguments: Any) -> Any:
        tables.pass_second()
        return read_table(*arguments)

    monkeypatch.setattr(module, "pointers", tables.pointers)
    monkeypatch.setattr(module, "read_table", slowly)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: tables.seconds))
    monkeypatch.setattr(module, "_AT_ONCE", AT_ONCE)
    yield tables
    tables.close()


def test_each_busy_table_has_its_turn_within_a_time_limit(busy: Busy) -> None:
    postponed: tuple[str, ...] = ()
    read: list[str] = []
    for _ in range(3):
        busy.land()
        result = busy.read(Limit(0.5, NO_LIMIT, postponed))
        assert len(result.windows) == AT_ONCE
        assert {*result.windows} | {*result.postponed} == {asset.name for asset in busy.assets}
        read += result.windows
        postponed = result.postponed
    assert sorted(read) == [asset.name for asset in busy.assets]


def test_postponed_tables_keep_their_cursors_and_lose_no_row(busy: Busy) -> None:
    busy.land()
    first = busy.read(Limit(0.5, NO_LIMIT))
    before = {name: busy.cursors[name] for name in first.postponed if name in busy.cursors}
    assert before == {}
    second = busy.read(Limit(NO_LIMIT, NO_LIMIT))
    assert sorted(second.windows) == sorted(first.postponed)
    assert second.postponed == ()


def test_number_of_windows_in_one_reading_is_bounded(busy: Busy) -> None:
    busy.land(windows=3)
    result = busy.read(Limit(NO_LIMIT, 4))
    assert sum(map(len, result.windows.values())) == 6
    rest = busy.read(Limit(NO_LIMIT, NO_LIMIT))
    assert len(rest.windows) == TABLES - 2


def test_tables_without_a_new_commit_are_not_read(busy: Busy) -> None:
    busy.land()
    busy.read(Limit(NO_LIMIT, NO_LIMIT))
    before = busy.seconds
    assert changes(busy.settings, busy.assets, busy.cursors).windows == {}
    assert busy.seconds == before
