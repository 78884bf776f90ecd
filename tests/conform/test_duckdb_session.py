import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from lake_assets.duckdb_session import duckdb_session

_DRAWS = """
from lake_assets.duckdb_session import duckdb_session
with duckdb_session() as session:
    print(session.execute("select current_setting('enable_progress_bar')").fetchall())
"""


def test_a_slow_query_draws_no_bar_into_what_a_process_answers() -> None:
    """DuckDB draws one where Python has no main file, after two seconds: the JSON of a forked `lake` began with it."""
    answer = subprocess.run([sys.executable, "-c", _DRAWS], capture_output=True, text=True, check=True)
    assert answer.stdout == "[(False,)]\n"


def test_two_sessions_never_spill_to_one_folder(tmp_path: Path) -> None:
    """One overwrote the other's blocks: the names of the files are the same in every process."""
    with duckdb_session(tmp_path) as one, duckdb_session(tmp_path) as other:
        folders = {
            session.execute("select current_setting('temp_directory')").fetchall()[0][0] for session in (one, other)
        }
        assert {Path(folder) for folder in folders} == set(tmp_path.iterdir())
        assert len(folders) == 2
        assert {folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir()} == {0o700}
    assert not list(tmp_path.iterdir())


def limit_of(session: duckdb.DuckDBPyConnection) -> float:
    size, unit = session.execute("select current_setting('memory_limit')").fetchall()[0][0].split()
    return float(size) * 1024 ** ["KiB", "MiB", "GiB", "TiB"].index(unit)


@pytest.mark.parametrize("runs", [1, 2, 7])
def test_parallel_runs_share_the_memory_of_one(runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PARALLEL_RUNS", str(runs))
    with duckdb.connect() as bare, duckdb_session() as session:
        assert limit_of(session) * runs == pytest.approx(limit_of(bare), rel=0.05)
