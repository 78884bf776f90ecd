"""The order in which workers get the files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lake_assets.settings import PROJECT
from tests.results import seconds

REPORT = """<testsuites><testsuite>
<testcase classname="tests.stream.test_state" name="one" time="3.5"/>
<testcase classname="tests.stream.test_state" name="two" time="4"/>
<testcase classname="tests.faults.test_disk" name="three" time="20"/>
</testsuite></testsuites>"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone's own table; the last run's report is beside it."""
    monkeypatch.setattr(seconds, "LAST_RUN", tmp_path / "tests.xml")
    monkeypatch.setattr(seconds, "COMMITTED", tmp_path / "seconds.json")
    seconds.COMMITTED.write_text('{"tests/landing/test_produce.py": 10, "tests/faults/test_disk.py": 2}', "utf-8")
    return tmp_path / "tests.xml"


def ordered() -> list[str]:
    """Return the order of files of two tests each."""
    files = ("faults/test_disk", "landing/test_produce", "orchestration/test_new", "stream/test_state")
    items: list[Any] = [SimpleNamespace(path=PROJECT / "tests" / f"{file}.py", name=n) for file in files for n in "ba"]
    seconds.longest_first(items)
    assert [item.name for item in items] == list("ba" * 4), "a file's tests stay in their order"
    return [item.path.stem for item in items[::2]]


def test_fresh_clone_goes_by_its_table(table: Path) -> None:
    assert ordered() == ["test_produce", "test_disk", "test_new", "test_state"]


def test_durations_of_the_last_run_come_before_the_table(table: Path) -> None:
    table.write_text(REPORT, "utf-8")
    assert ordered() == ["test_disk", "test_produce", "test_state", "test_new"]


def test_report_cut_short_is_not_used(table: Path) -> None:
    table.write_text(REPORT[:-20], "utf-8")
    assert ordered() == ["test_produce", "test_disk", "test_new", "test_state"]


def test_table_names_files_that_are_there() -> None:
    for file in seconds.committed():
        assert (PROJECT / file).is_file(), f"{file}: renew the table, python -m tests.results.seconds"
