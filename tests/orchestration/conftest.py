"""Lakes without Kafka, for what only tables and ledger are needed for: on this machine, and in each cloud's doubles."""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from lake_assets.settings import Settings, load_settings
from lake_assets.stack.lifecycle import up
from tests.support.cloud_lakes import CLOUDS, variables
from tests.support.second_lake import make_beside
from tests.support.server_marker import starts_server
from tests.support.stack_removal import end_stack

_numbers = count(1)


@pytest.fixture(scope="session")
@starts_server
def postgres() -> Generator[Settings]:
    """A lake whose Postgres alone runs."""
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    try:
        # Only while it starts: tests of other folders have lakes of their own.
        with variables({"LAKE_HOME": str(home)}):
            up(parts=("postgres",))
            settings = load_settings()
        yield settings
    finally:
        end_stack(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def lake(postgres: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Settings]:
    """A lake of the module's own on that Postgres."""
    home = tmp_path_factory.mktemp("beside") / "lake"
    with variables({"LAKE_HOME": str(home)}):
        make_beside(postgres, home, f"lake{next(_numbers)}")
        yield load_settings()


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest, lake: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Settings]:
    """The same in a cloud, whose environment is set meanwhile."""
    with _in_cloud(request.param, lake, tmp_path_factory) as settings:
        yield settings


@pytest.fixture(scope="module", params=["local", *CLOUDS])
def target(
    request: pytest.FixtureRequest, lake: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Settings]:
    """Return a lake on this machine or in a cloud, for behaviour that must be the same everywhere."""
    if request.param == "local":
        yield lake
        return
    with _in_cloud(request.param, lake, tmp_path_factory) as settings:
        yield settings


@contextmanager
def _in_cloud(name: str, lake: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Settings]:
    with CLOUDS[name](lake, tmp_path_factory.mktemp(name)) as made, variables(made.environment):
        yield made.settings
