"""Two that do the same at once do it once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from lake_assets.catalog.parse import parse_contract
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.halted_refresh import POINTS, refresh_apart, refresh_halted
from tests.support.sales_events import landed, send
from tests.support.staging_readers import AFTER, BEFORE, reader, state
from tests.support.visits import Visits

WAITING = """\
select count(*) from pg_locks where locktype = 'advisory' and not granted
and database = (select oid from pg_database where datname = current_database())"""


def waiting(settings: Settings) -> int:
    """Return the number of sessions that wait for an asset's lock."""
    with psycopg.connect(settings.postgres.conninfo("lake")) as session:
        row = session.execute(WAITING).fetchone()
    assert row
    return row[0]


@pytest.mark.fault(
    "two processes refresh the same windows at once", "one waits for the other, and each row is there once"
)
def test_two_refreshes_of_the_same_windows_publish_each_row_once(visits: Visits, tmp_path: Path) -> None:
    effects = tmp_path / "of the second"
    with reader(visits) as seen, ExitStack() as running:
        with refresh_halted(visits, tmp_path, "tables are half changed") as first:
            second = running.enter_context(refresh_apart(visits, effects, "never"))
            wait_until(lambda: waiting(visits.settings) == 1)
            assert not effects.exists(), "it has begun amid the other's change"
        for process in (first, second):
            assert process.communicate(timeout=120)[1] == ""
            assert process.returncode == 0
    assert (tmp_path / "effects").read_text("utf-8").splitlines() == list(POINTS[:-1])
    assert seen <= {BEFORE, AFTER}
    assert state(visits) == AFTER
    assert len(visits.kept()) == 1
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"


@pytest.mark.fault("two `lake run` at once", "both end well, and each row is there once, down to the mart")
def test_two_runs_at_once_publish_each_row_once(lake: Lake) -> None:
    before = landed(lake)
    send(lake, (f"at once {number}" for number in range(500)))
    asset = parse_contract(lake.contract("sales").read_text("utf-8"), lake.contract("sales"))
    with ThreadPoolExecutor() as pool:
        with Ledger(lake.settings) as ledger, ledger.locked(f"dataset:{asset.dataset}"):
            runs = [pool.submit(lake, "run") for _ in range(2)]
            wait_until(lambda: waiting(lake.settings) == 2)
        answers = [run.result() for run in runs]
    assert [answer.code for answer in answers] == [0, 0], answers
    assert landed(lake) == before + 500
    assert "up to date" in lake.ok("run").out
