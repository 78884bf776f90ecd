"""The step of a run; as a program, one whose process is killed while it makes a window."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import lake_assets.conform.duckdb as conforming
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import Lane
from lake_assets.operations.refresh import Refresh, RefreshContext, observe, refresh, windows_of_lane
from lake_assets.settings import load_settings
from tests.support.visits import Visits


def run(visits: Visits, lane: Lane) -> Refresh:
    """Do what the step of a run in that lane does."""
    with Ledger(visits.settings) as ledger:
        observe(visits.settings, ledger, [visits.asset], ledger.cursors())
        context = RefreshContext(
            visits.settings, ledger, visits.warehouse, visits.asset, run_id="run", log=lambda _: None,
            on_spark=lambda _: pytest.fail("these windows are small"),
        )  # fmt: skip
        made = refresh(context, lambda: windows_of_lane(ledger, visits.asset, lane))
        ledger.dequeue_windows(visits.asset, made.done, made.sequence)
    return made


def run_and_die(visits: Visits, lane: Lane, window: str) -> bool:
    """Return whether the process of such a run was killed while it built the window."""
    command = [sys.executable, "-m", "tests.support.lane_runs", str(visits.path), lane, window]
    ended = subprocess.run(command, check=False)
    assert ended.returncode in (0, -signal.SIGKILL)
    return ended.returncode != 0


def main(path: str, lane: Lane, window: str) -> None:
    genuine = conforming.conform

    def conform(asset: Asset, windows: Sequence[WindowInput], *rest: str) -> tuple[WindowOutput, ...]:
        if window in [one.window for one in windows]:
            os.kill(os.getpid(), signal.SIGKILL)
        return genuine(asset, windows, *rest)  # type: ignore[arg-type]

    conforming.conform = conform  # type: ignore[assignment]
    run(Visits(load_settings(), Path(path)), lane)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
