"""Folders of data that DuckDB spills."""

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_assets.duckdb_session import duckdb_session
from lake_assets.settings import PROJECT, load_settings
from lake_assets.spill import remove_orphans, spill_folder, spill_root
from lake_assets.warehouse.local.connection import connect
from stream_app.validate import Judge
from tests.support.metric_examples import metric, orders

# Prints "ready" with a folder of spilled data, and stays or works as long as it is let.
SPILL = """
import sys
from lake_assets.duckdb_session import duckdb_session
from lake_assets.settings import load_settings
from lake_assets.spill import spill_root
from lake_assets.warehouse.local.connection import connect
way, seed = sys.argv[1], int(sys.argv[2])
if way == "warehouse":
    session = connect(load_settings(), lake=False, serving=False)
else:
    opened = duckdb_session(spill_root(load_settings().home))
    session = opened.__enter__()
session.execute("set memory_limit = '60MB'; set threads = 1")
print("ready", flush=True)
sys.stdin.readline()
n = 1_500_000
session.execute(
    f"create temp table x as select a, a * 7 + {seed} as b, md5(a::varchar) || '-{seed}' as c from range({n}) t(a)"
)
spilled = session.execute("select sum(size) from duckdb_temporary_files()").fetchone()[0]
wrong = session.execute(
    f"select count(*) from x where b <> a * 7 + {seed} or c <> md5(a::varchar) || '-{seed}'"
).fetchone()[0]
print(spilled > 0, wrong, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("LAKE_HOME", str(path))
    return path


def start(way: str, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SPILL, way, str(seed)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert line(process) == "ready\n"
    return process


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("way", ["warehouse", "conform"])
def test_two_processes_that_spill_at_once_both_finish(home: Path, way: str) -> None:
    both = [start(way, seed) for seed in (1, 2)]
    for process in both:
        go_on(process)
    assert [line(process) for process in both] == ["True 0\n"] * 2
    for process in both:
        process.communicate("\n")
    assert [process.returncode for process in both] == [0, 0]
    assert list(spill_root(home).iterdir()) == []


def test_spilled_data_of_a_killed_process_is_removed(home: Path) -> None:
    killed = start("conform", 1)
    go_on(killed)
    assert line(killed) == "True 0\n"
    with spill_folder(spill_root(home)) as live:
        assert remove_orphans(home) == 0, "both processes live"
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        [orphan] = set(spill_root(home).iterdir()) - {live}
        assert list(orphan.glob("duckdb_temp*"))
        assert orphan.stat().st_mode & 0o077 == 0
        assert remove_orphans(home) == 1
        assert list(spill_root(home).iterdir()) == [live]


def test_old_files_without_a_lock_are_orphans(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("duckdb", "conform"):
        folder = spill_root(home) / name
        folder.mkdir(parents=True)
        (folder / "duckdb_temp_storage_DEFAULT-0.tmp").write_text("payload", "utf-8")
    assert remove_orphans(home) == 0, "an older version's process may be using them"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90_000)
    assert remove_orphans(home) == 2
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_folder_removed_before_it_had_its_lock_is_created_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    make = tempfile.mkdtemp

    def remove_first(**arguments: Any) -> str:
        path = Path(make(**arguments))
        made.append(path)
        if len(made) == 1:
            path.rmdir()
        return str(path)

    monkeypatch.setattr(tempfile, "mkdtemp", remove_first)
    with spill_folder(spill_root(home)) as folder:
        assert made[1:] == [folder]


def test_no_session_spills_to_the_folder_of_its_caller(home: Path) -> None:
    setting = "select current_setting('temp_directory')"
    settings = replace(load_settings(), home=home)
    with duckdb_session() as session, closing(connect(settings, lake=False, serving=False)) as warehouse:
        folders = [Path(opened.execute(setting).fetchall()[0][0]) for opened in (session, warehouse)]
    assert {folder.parent for folder in folders} == {spill_root(home)}
    asset = orders()
    assert Judge(asset, metric(asset))._session.execute(setting).fetchall() == [("",)]
