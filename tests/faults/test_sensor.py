"""A tick of the sensor that dies half-way is made good by the next one."""

import signal
import subprocess
import sys

import pytest

from lake_assets.catalog.parse import parse_contract
from lake_assets.landing.files import window_rows
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import PROJECT
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.sales_events import landed, send


def tick(lake: Lake, how: str) -> int:
    environment = {**lake.environment, "DAGSTER_HOME": str(lake.settings.home / "dagster")}
    command = [sys.executable, "-m", "tests.support.sensor_tick", how]
    return subprocess.run(command, cwd=PROJECT, env=environment, timeout=240, check=False).returncode


@pytest.mark.fault(
    "Dagster's daemon is killed -9 amid a tick, after it reported new windows and before it asked for their run",
    "the next tick asks for the run at once, and each row is there once",
)
def test_a_tick_that_dies_half_way_is_made_good_by_the_next_one(lake: Lake) -> None:
    before = landed(lake)
    send(lake, (f"tick {number}" for number in range(50)))
    asset = parse_contract(lake.contract("sales").read_text("utf-8"), lake.contract("sales"))
    wait_until(lambda: sum(window_rows(lake.settings, asset).values()) == before + 50)
    assert tick(lake, "killed") == -signal.SIGKILL
    with Ledger(lake.settings) as ledger:
        assert [entry.requested_at is not None for entry in ledger.pending()] == [True]
    assert tick(lake, "whole") == 0
    lake.ok("run")
    assert landed(lake) == before + 50
