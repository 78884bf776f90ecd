"""The same lake in every kind of bucket."""

import os
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from lake_assets.demo.generator import expected, generate
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import status
from tests.end_to_end.conftest import Lake
from tests.support.buckets import DOUBLES
from tests.support.conditions import wait_until
from tests.support.sales_events import landed, send

END = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, ROWS = 5, 500


@pytest.mark.parametrize("scheme", DOUBLES)
def test_events_go_from_the_topic_into_the_bucket_and_to_the_analyst(
    lake_on: Callable[[str], Lake], scheme: str
) -> None:
    lake = lake_on(scheme)
    events = b"\n".join(generate("sales", ROWS, 7, END, DAYS))
    lake.ok("produce", "sales", "-", "--format", "jsonl", stdin=events)
    lake.ok("run")
    wanted, found = expected("sales", ROWS, 7, END, DAYS), lake.audit("sales")
    assert found["in_balance"]
    assert sum(window["good"] for window in found["windows"]) == wanted.good
    counted = {row["code"]: row["rows"] for row in lake.ok("quarantine", "sales", "--json").json}
    assert counted == dict(wanted.quarantined)
    assert lake.mart("select sum(orders) from sales_data_mart.sales") == [(wanted.good,)]


@pytest.mark.fault(
    "Kafka Connect's worker is killed -9 amid a commit to a folder, S3, GCS (doubles) and HDFS",
    "every event lands once, whether the catalog still took the commit or not",
)
def test_a_killed_worker_loses_and_doubles_nothing_in_any_bucket(lake_on: Callable[[str], Lake]) -> None:
    lakes = [lake_on(scheme) for scheme in DOUBLES]
    before = [landed(lake) for lake in lakes]
    with ExitStack() as held:
        for lake in lakes:
            held.enter_context(commits_held(lake.settings))
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda lake: send(lake, map(str, range(ROWS))), lakes))
        for lake in lakes:
            wait_until(lambda lake=lake: commits(lake.settings))
        (worker,) = (part for part in status() if part.name == "connect")
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
        # The other two commits are done once they are released, and no client gets an answer.
        for lake in lakes[:2]:
            end_commits(lake.settings)
    for lake in lakes:
        send(lake, map(str, range(ROWS, 2 * ROWS)))
    for lake, at_first in zip(lakes, before, strict=True):
        lake.ok("run")
        assert landed(lake) == at_first + 2 * ROWS


@contextmanager
def commits_held(settings: Settings) -> Generator[None]:
    """The catalog takes no commit meanwhile: a sink has written the files of one and waits."""
    with psycopg.connect(settings.postgres.conninfo("lake_admin")) as session:
        session.execute("lock table raw.iceberg_tables in exclusive mode")
        yield


def commits(settings: Settings) -> int:
    """Return the number of commits that wait."""
    return _of_commits(settings, "count(*)")


def end_commits(settings: Settings) -> None:
    assert _of_commits(settings, "count(pg_terminate_backend(pid))") == 1


def _of_commits(settings: Settings, what: str) -> int:
    query = (
        f"select {what} from pg_stat_activity where datname = current_database() and usename = 'connect' "
        "and wait_event_type = 'Lock' and query ilike 'update %iceberg_tables%'"
    )
    with psycopg.connect(settings.postgres.conninfo("lake_admin"), autocommit=True) as session:
        row = session.execute(query.encode()).fetchone()
    assert row
    return row[0]
