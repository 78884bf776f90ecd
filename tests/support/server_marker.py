"""Marker of tests that need a server: those whose fixtures start one, directly or not, and marked ones."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar
from unittest import mock

import pytest

from lake_assets.stack.supervisor import Supervisor

F = TypeVar("F", bound=Callable[..., object])


def starts_server(fixture: F) -> F:
    """Mark the function of a fixture; stands below `pytest.fixture`."""
    fixture.starts_server = True  # type: ignore[attr-defined]
    return fixture


def needs_server(item: pytest.Item) -> bool:
    """Return whether a fixture of the test starts a server, or its engine is Spark."""
    if not isinstance(item, pytest.Function):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs
    if any(getattr(found.func, "starts_server", False) for found in (f for fs in fixtures.values() for f in fs)):
        return True
    return hasattr(item, "callspec") and "spark" in item.callspec.params.values()


@contextmanager
def no_servers() -> Generator[None]:
    """Fail what starts a stack in this process, so that no test lacks the marker."""

    def refuse(_: Supervisor) -> None:
        pytest.fail("this test starts servers: give it the marker `server`, or its fixture `starts_server`")

    with mock.patch.object(Supervisor, "start", refuse):
        yield
