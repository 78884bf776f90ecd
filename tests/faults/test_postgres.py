"""Postgres has no connection left, or stops amid a change: one sentence reports it, and afterwards all works."""

import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from lake_assets.landing.connect import failures
from lake_assets.settings import Settings
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.connect_api import restart_connectors
from tests.support.halted_refresh import refresh_halted, refusal
from tests.support.part_faults import kill_part, restarting_sinks
from tests.support.sales_events import landed, send
from tests.support.staging_readers import AFTER, BEFORE, BY_WINDOW, reader, state
from tests.support.visits import Visits, visit


@pytest.fixture(scope="module", autouse=True)
def repaired(stack: Settings) -> Generator[None]:
    yield
    restart_connectors(stack)


@contextmanager
def exhausted(settings: Settings) -> Generator[None]:
    """Take all connections but those that are reserved for superusers, as role lake, which has no limit of its own."""
    with ExitStack() as held:
        try:
            while True:
                held.enter_context(psycopg.connect(settings.postgres.conninfo("lake")))
        except psycopg.OperationalError:
            yield


@pytest.mark.fault(
    "Postgres has no connection left amid a refresh",
    "one sentence reports it; with connections, the next one makes it good",
)
def test_a_refresh_that_gets_no_connection_changes_nothing(visits: Visits, tmp_path: Path) -> None:
    with ExitStack() as others:
        with refresh_halted(visits, tmp_path, "files are written") as process:
            others.enter_context(exhausted(visits.settings))
        assert re.search("Postgres at .* has no connection left .* raise its max_connections", refusal(process))
    # The server frees a connection a moment after its client has disconnected.
    wait_until(lambda: can_connect(visits.settings))
    assert state(visits) == BEFORE
    visits.refresh()
    assert state(visits) == AFTER
    assert visits.in_balance()


def can_connect(settings: Settings) -> bool:
    try:
        with ExitStack() as held:
            for _ in range(10):
                held.enter_context(psycopg.connect(settings.postgres.conninfo("lake")))
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.fault(
    "Postgres has no connection left for `lake run` and `lake status`",
    "both end with 3 and report it in one sentence; with connections, `lake run` makes all that has landed",
)
def test_commands_without_a_connection_report_it_and_work_afterwards(lake: Lake, stack: Settings) -> None:
    before = landed(lake)
    send(lake, (f"no connection {number}" for number in range(300)))
    with exhausted(stack):
        run, status = lake("run"), lake("status", "--json")
        assert (run.code, status.code) == (3, 3)
        assert len(run.err.splitlines()) == 1
        assert "has no connection left" in run.err
        assert "has no connection left" in status.json["lag_unknown"]
        (health,) = (part["health"] for part in status.json["parts"] if part["name"] == "postgres")
        assert "connection slots" in health
    wait_until(lambda: can_connect(stack))
    with restarting_sinks(stack):
        lake.ok("run")
    assert landed(lake) == before + 300


@pytest.mark.fault(
    "Postgres is killed -9 amid `lake run`",
    "it reports it in one sentence, and the next one makes all that has landed",
)
def test_run_whose_postgres_dies_reports_it_in_one_sentence(lake: Lake, stack: Settings, tmp_path: Path) -> None:
    before, output = landed(lake), tmp_path / "output"
    send(lake, (f"postgres dies {number}" for number in range(300)))
    command = [str(Path(sys.executable).parent / "lake"), "run"]
    with output.open("wb") as log:
        run = subprocess.Popen(command, env=dict(lake.environment), stdout=log, stderr=subprocess.STDOUT)
    wait_until(lambda: "sales_data_mart.sales" in output.read_text("utf-8"))
    kill_part(stack, "postgres")
    assert run.wait(240) in (1, 3)
    assert "Traceback" not in output.read_text("utf-8")
    assert "does not answer" in output.read_text("utf-8").splitlines()[-1]
    with restarting_sinks(stack):
        lake.ok("run")
    assert landed(lake) == before + 300


@pytest.mark.fault(
    "Postgres is killed -9 while nothing happens",
    "the sinks take what comes next: no task fails for the connection that it had before",
)
def test_sinks_go_on_after_a_postgres_that_died_while_they_were_idle(lake: Lake, stack: Settings) -> None:
    send(lake, ["before it dies"])
    lake.ok("run")
    before = landed(lake)
    kill_part(stack, "postgres")
    send(lake, ["after it died"])
    lake.ok("run")
    assert landed(lake) == before + 1


@pytest.mark.fault(
    "a sink has failed, because Postgres did not let it in for a moment",
    "`lake run` starts it again and makes all that was produced meanwhile",
)
def test_run_restarts_a_sink_that_failed_meanwhile(lake: Lake, stack: Settings) -> None:
    send(lake, ["before the sink fails"])
    lake.ok("run")
    before = landed(lake)
    with psycopg.connect(stack.postgres.conninfo("lake_admin"), autocommit=True) as admin:
        admin.execute("alter role connect nologin")
        try:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'connect'")
            send(lake, ["while nobody lets it in"])
            wait_until(lambda: any("terminating connection" in cause for cause in failures(stack).values()))
        finally:
            admin.execute("alter role connect login")
    assert "restarting raw-" in lake.ok("run").err
    assert landed(lake) == before + 1


@pytest.mark.fault(
    "Postgres is killed -9 amid the transaction that changes the tables, or that changes the ledger",
    "old rows or new ones, whole; one sentence reports it, and the next run makes it good",
)
@pytest.mark.parametrize("point", ["tables are half changed", "ledger is half changed"])
def test_postgres_killed_during_a_publication_published_all_or_nothing(
    visits: Visits, tmp_path: Path, point: str
) -> None:
    with refresh_halted(visits, tmp_path, point) as process:
        kill_part(visits.settings, "postgres")
    assert re.match(r"Postgres at .* does not answer \(.*postmaster", refusal(process))
    with reader(visits) as seen:
        assert state(visits) == (BEFORE if point.startswith("tables") else AFTER)
        assert seen <= {BEFORE, AFTER}
        visits.refresh()
    assert seen <= BY_WINDOW
    assert state(visits) == AFTER
    assert [row[2] for row in visits.kept()] == [visit(5, 2, "nowhere")]
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"
