"""A lake with Postgres and the resident dbt, the examples' staging tables, and a dbt project that may be changed."""

import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from lake_assets.catalog.model import Asset
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings, load_settings
from lake_assets.stack.lifecycle import up
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import mart_schemas, outdated_dbt_files, write_dbt_files
from tests.support.mart_rows import Dbt, call_dbt, fill_staging
from tests.support.server_marker import starts_server
from tests.support.stack_removal import end_stack


@pytest.fixture(scope="session")
def catalog() -> Mapping[str, Asset]:
    return read_files(load_settings()).assets


@pytest.fixture(scope="session")
@starts_server
def session_lake(catalog: Mapping[str, Asset]) -> Generator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    home.chmod(0o755)
    project = Path(shutil.copytree(PROJECT / "dbt_project", home / "dbt_project"))
    variables = {"LAKE_HOME": str(home), "LAKE_DBT_PROJECT": str(project)}
    try:
        # Only while it is made: tests of other folders have lakes of their own.
        with _environment(variables):
            up(parts=("postgres", "dbt"))
            settings = load_settings()
            write_dbt_files(outdated_dbt_files(settings, catalog.values()))
            PostgresMarts(settings).ensure(mart_schemas(settings))
            fill_staging(settings, catalog.values())
        yield settings
    finally:
        end_stack(home)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def lake(session_lake: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The lake's settings, named in the environment for this test."""
    monkeypatch.setenv("LAKE_HOME", str(session_lake.home))
    monkeypatch.setenv("LAKE_DBT_PROJECT", str(session_lake.dbt_project))
    return session_lake


@pytest.fixture
def dbt(lake: Settings) -> Dbt:
    """Return a function that calls `lake-dbt`, which must succeed."""

    def call(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        done = call_dbt(lake, *args, **variables)
        assert done.returncode == 0, done.stdout
        return done

    return call


@pytest.fixture(scope="session")
def _built(session_lake: Settings) -> None:
    """Both marts, made once for all tests that only read them."""
    done = call_dbt(session_lake, "--quiet", "build", "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout


@pytest.fixture
def built(lake: Settings, _built: None) -> Settings:
    return lake
