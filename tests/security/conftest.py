"""A lake's home whose Kafka, Connect and Postgres are a team's own, started as tests ask for them."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from lake_assets.settings import Settings, load_settings
from tests.support.connect_api import ask
from tests.support.own_servers import WAYS, Own, connect, kafka, postgres
from tests.support.server_marker import starts_server


@pytest.fixture(scope="module")
def own() -> Generator[Own]:
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    try:
        made = Own.make(home)
        made.write_passwords()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.environment().items():
                patch.setenv(name, value)
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
@starts_server
def own_kafka(own: Own) -> Generator[Settings]:
    with kafka(own):
        yield load_settings()


@pytest.fixture(scope="module")
@starts_server
def own_postgres(own: Own) -> Generator[Settings]:
    with postgres(own):
        yield load_settings()


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def own_lake(own: Own, own_kafka: Settings, own_postgres: Settings, way: str) -> Generator[Settings]:
    with own.way_in(way), connect(own) as settings:
        yield settings
        # The worker of the next way would start them as they are, with clients of the sink that do not get in that way:
        # each waits for a minute before it gives up, and the new configuration's task waits for it.
        for name in ask(settings, "GET", "/connectors").json():
            ask(settings, "DELETE", f"/connectors/{name}")
