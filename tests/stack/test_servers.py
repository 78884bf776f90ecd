"""Tests that `make test-quick` leaves out, and proof that no other can start a stack."""

from pathlib import Path

import pytest

from lake_assets.home import Home
from lake_assets.stack.supervisor import Supervisor
from tests.support.server_marker import starts_server


@pytest.fixture
@starts_server
def server() -> str:
    return "would be started here"


@pytest.fixture
def behind(server: str) -> str:
    return server


@pytest.fixture
def marked(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("server") is not None


def test_a_test_whose_fixture_starts_a_server_is_marked(server: str, marked: bool) -> None:
    assert marked


def test_a_test_that_uses_such_a_fixture_by_another_one_is_marked(behind: str, marked: bool) -> None:
    assert marked


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_a_test_on_spark_is_marked(engine: str, marked: bool) -> None:
    assert marked == (engine == "spark")


def test_a_test_without_the_marker_cannot_start_a_stack(tmp_path: Path, marked: bool) -> None:
    assert not marked
    with pytest.raises(pytest.fail.Exception, match="marker"):
        Supervisor(Home(tmp_path)).start()
