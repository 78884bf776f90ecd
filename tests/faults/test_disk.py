"""The disk that the whole embedded stack is on."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from lake_assets.settings import PROJECT, load_settings
from lake_assets.stack.lifecycle import status, up
from tests.buckets.conftest import copy_contracts, remove_live_charts
from tests.end_to_end.conftest import Lake
from tests.support.conditions import COMMAND_SECONDS, wait_until
from tests.support.refusing_folders import small
from tests.support.sales_events import landed, send
from tests.support.server_marker import starts_server
from tests.support.stack_removal import end_stack


@pytest.fixture
@starts_server
def lake(tmp_path: Path) -> Generator[Lake]:
    """A stack of its own with all its data on a small disk, and the example's sales."""
    # As short as the sockets in it need.
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    with pytest.MonkeyPatch.context() as patch, small(home, 400_000):
        patch.setenv("LAKE_HOME", str(home))
        patch.setenv("LAKE_CATALOG", str(tmp_path / "catalog"))
        patch.setenv("LAKE_DBT_PROJECT", str(tmp_path / "dbt"))
        copy_contracts(tmp_path / "catalog", "", ["sales"])
        shutil.copytree(PROJECT / "dbt_project", tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
        remove_live_charts(tmp_path / "dbt" / "models" / "marts" / "sales_data_mart" / "sales.yml")
        try:
            up()
            made = Lake(load_settings(), tmp_path, dict(os.environ))
            made.ok("apply")
            yield made
        finally:
            end_stack(home)
    shutil.rmtree(home, ignore_errors=True)


def fill(log: Path) -> None:
    """Leave no room on the disk."""
    with log.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


@pytest.mark.fault(
    "the disk with everything on it is full, of logs for example: servers end, and start again in vain",
    "`lake status` reports it; with room all come back by themselves, and every event is there once",
)
def test_a_disk_full_of_logs_stops_everything_and_costs_nothing(lake: Lake) -> None:
    home = lake.settings.home
    send(lake, (f"before{n}" for n in range(500)))
    lake.ok("run")
    log = home / "logs" / "of_somebody_else.log"
    later = "\n".join(str(n) * 100 for n in range(10_000))

    def has_stopped() -> bool:
        fill(log)
        lake("produce", "sales", "-", "--format", "jsonl", stdin=later)
        return any(part.health for part in status())

    wait_until(has_stopped)
    answer = lake("status")
    assert answer.code == 3
    assert "MB left: make room there" in answer.out
    log.unlink()
    wait_until(lambda: [part for part in status() if part.health] == [])
    send(lake, (f"after{n}" for n in range(500)))
    wait_until(lambda: lake("run").code == 0, every=COMMAND_SECONDS)
    landed(lake)
    orders = "select count(distinct order_id) as n from sales_staging.sales"
    assert lake.staging(orders) == [{"n": 1_000}]
