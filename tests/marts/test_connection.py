"""DuckDB sessions on the lake."""

import re
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from lake_assets.errors import Unavailable
from lake_assets.home import Home
from lake_assets.settings import Settings
from lake_assets.spill import spill_root
from lake_assets.stack.passwords import read_passwords
from lake_assets.warehouse.local.connection import connect, link_extensions
from tests.support.mart_rows import Dbt


def test_a_session_sees_staging_and_postgres_and_shows_times_in_utc(lake: Settings) -> None:
    with connect(lake) as connection:
        assert connection.execute("select count(*) from lake.leads_staging.leads").fetchone() == (300,)
        assert connection.execute("select count(*) from serving.pg_catalog.pg_roles").fetchone() is not None
        first = "select cast(min(created_at) as varchar) from lake.leads_staging.leads"
        assert connection.execute(first).fetchone() == ("2026-01-01 00:00:00+00",)


def test_a_read_only_session_changes_neither_staging_nor_postgres(lake: Settings) -> None:
    with connect(lake, read_only=True) as connection:
        for table in ("lake.leads_staging.leads", "serving.funnel_data_mart.anything"):
            with pytest.raises(duckdb.Error, match="read-only"):
                connection.execute(f"create table {table}_copy (i integer)")


def test_a_session_writes_nothing_outside_the_lake(
    lake: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with connect(lake) as connection:
        folder, spill = connection.execute(
            "select current_setting('extension_directory'), current_setting('temp_directory')"
        ).fetchone() or ("", "")
    assert Path(folder).is_relative_to(lake.home)
    assert Path(spill).is_relative_to(lake.home)
    assert list(tmp_path.iterdir()) == []


def test_dbt_spills_to_a_folder_of_its_own_call(lake: Settings, dbt: Dbt) -> None:
    shown = dbt("--quiet", "show", "--inline", "select current_setting('temp_directory') as folder", "--output", "json")
    [folder] = re.findall(r'"folder": "(.+?)"', shown.stdout)
    assert Path(folder).parent == spill_root(lake.home)
    assert Path(folder).name.startswith("spill-")
    assert not Path(folder).exists()


def test_extensions_are_found_again_after_the_environment_moved(lake: Settings) -> None:
    link = next(link_extensions(lake).rglob("ducklake.duckdb_extension"))
    right = link.readlink()
    link.unlink()
    link.symlink_to("/somewhere/else/ducklake.duckdb_extension")
    with connect(lake, serving=False):
        assert link.readlink() == right


def test_no_password_is_shown_by_a_session(lake: Settings) -> None:
    passwords = read_passwords(Home(lake.home)).values()
    with connect(lake) as connection:
        shown = str(connection.execute("from duckdb_databases()").fetchall())
    assert passwords
    assert lake.postgres.host in shown
    assert not any(password in shown for password in passwords)


def test_a_postgres_that_does_not_answer_is_named_with_what_to_do(lake: Settings) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer \(Connection refused\).*lake up"):
        connect(replace(lake, postgres=replace(lake.postgres, port=1)))


def test_before_the_first_start_the_error_names_the_start_command(lake: Settings) -> None:
    with pytest.raises(Unavailable, match="start it with `lake up`"):
        connect(replace(lake, postgres=replace(lake.postgres, port=0)))
