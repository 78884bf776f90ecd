"""Fixtures of more than one test folder: a running stack of its own, apart from any lake of the user's."""

import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from lake_assets.settings import Settings, load_settings
from lake_assets.stack import postgres
from lake_assets.stack.lifecycle import up
from tests.results.junit import REPORTS
from tests.results.seconds import longest_first
from tests.support import spark_archive
from tests.support.alone import turn
from tests.support.connect_api import CREDENTIALS, SMOKE, remove_connectors_but
from tests.support.server_marker import needs_server, no_servers, starts_server
from tests.support.stack_removal import end_stack

# dbt too: without the resident one, each `lake run` and each changed project starts a dbt of its own.
SERVERS = ("postgres", "kafka", "connect", "dbt")

EXAMPLES = ["contracts", "leads", "sales", "sales_by_region"]
# The beginnings of theirs, and of those of the sales that tests/faults has in a lake beside the session's.
CONNECTORS = ("raw-crm", "raw-shop", "metric-sales_by_region")

# A JVM of the tests lives for minutes: what the second compiler would save later is less than what it takes.
JVM = "-XX:TieredStopAtLevel=1"


# As a shell in the foreground gives them: one that starts the tests in the background has SIGINT ignored, and what runs
# a container ignores both. Processes that tests start inherit them, and would never end.
SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

# A process that is killed loses nothing by it, only a machine that loses its power.
POSTGRES = "fsync = off\n"


# The time of one example depends on the machine only.
hypothesis.settings.register_profile("lake", deadline=None)


def pytest_configure() -> None:
    restore_signals()
    hypothesis.settings.load_profile("lake")
    os.environ.setdefault("JAVA_TOOL_OPTIONS", JVM)
    postgres.CONFIG += POSTGRES
    spark_archive.use()


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if needs_server(item):
            item.add_marker("server")
    if hasattr(config, "workerinput"):
        longest_first(items)


def restore_signals() -> None:
    for number, handler in SIGNALS.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    restore_signals()
    with turn_of(item), nullcontext() if item.get_closest_marker("server") else no_servers():
        return (yield)


def turn_of(item: pytest.Item) -> AbstractContextManager[None]:
    """Return the wait for a test's turn among the workers of a run; a process without others does not wait."""
    if not hasattr(item.config, "workerinput"):
        return nullcontext()
    folder = REPORTS / "turns"
    folder.mkdir(parents=True, exist_ok=True)
    return turn(folder, alone=item.get_closest_marker("alone") is not None)


_STACKS: list[Settings] = []


@pytest.fixture(scope="module", autouse=True)
def _end_what_is_applied() -> None:
    """End what the test file before this one has applied to the session's stack, but for the examples: all later runs
    would make it, and a connector works each second although nothing comes. After the last file the stack itself ends.
    """
    for settings in _STACKS:
        with psycopg.connect(settings.postgres.conninfo("lake")) as session:
            for table, name in (("contract", "asset"), ("metric", "metric")):
                there = session.execute("select to_regclass(%s)", [f"ledger.{table}"]).fetchone()
                if there and there[0]:
                    statement = SQL("delete from ledger.{} where not {} = any(%s)")
                    session.execute(statement.format(Identifier(table), Identifier(name)), [EXAMPLES])
        remove_connectors_but(settings, *CONNECTORS)


@pytest.fixture(scope="session")
@starts_server
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
        settings = load_settings()
        _STACKS.append(settings)
        yield settings
    finally:
        _STACKS.clear()
        end_stack(home)
        shutil.rmtree(home, ignore_errors=True)
        if before is None:
            del os.environ["LAKE_HOME"]
        else:
            os.environ["LAKE_HOME"] = before
