"""What more than one test folder uses: a running stack of its own, apart from any lake of the user's."""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from lake_assets.settings import Settings, load_settings
from lake_assets.stack.lifecycle import down, up
from tests.stack.worker import CREDENTIALS, SMOKE

# dbt too: without the resident one, each `lake run` and each changed project starts a dbt of its own.
SERVERS = ("postgres", "kafka", "connect", "dbt")

# A JVM of the tests lives for minutes: what the second compiler would save later is less than what it takes.
JVM = "-XX:TieredStopAtLevel=1"


def pytest_configure() -> None:
    os.environ.setdefault("JAVA_TOOL_OPTIONS", JVM)


@pytest.fixture(scope="session")
def stack() -> Generator[Settings]:
    """The settings of a fresh lake whose Postgres, Kafka, Connect and dbt run; `LAKE_HOME` names it for the session.

    `lake_assets.stack.lifecycle.up()` inside a test adds the parts of Dagster to it.
    """
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    before = os.environ.get("LAKE_HOME")
    os.environ["LAKE_HOME"] = str(home)
    try:
        with pytest.MonkeyPatch.context() as patch:
            if SMOKE not in os.environ:
                for name, value in CREDENTIALS.items():
                    patch.setenv(name, value)
            up(parts=SERVERS)
        yield load_settings()
    finally:
        os.environ["LAKE_HOME"] = str(home)
        down()
        shutil.rmtree(home, ignore_errors=True)
        if before is None:
            del os.environ["LAKE_HOME"]
        else:
            os.environ["LAKE_HOME"] = before
