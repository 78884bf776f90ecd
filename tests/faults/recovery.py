"""How long a lake needs after a server was killed: `python -m tests.faults.recovery` writes the figures to a file.

Each server is killed -9 while the whole embedded stack runs; at that moment an event is sent, again until the broker
takes it. `tests.faults.table` shows the figures.
"""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psycopg

from lake_assets.settings import PROJECT, load_settings
from lake_assets.stack.lifecycle import down, status, up
from tests.end_to_end.conftest import Lake
from tests.faults.figures import FIGURES, Recovery
from tests.faults.sales import sale
from tests.stack.conditions import wait_until

NOTHING = "nothing"
PARTS = (NOTHING, "kafka", "connect", "postgres", "daemon")
ROUNDS = 2


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    os.environ["LAKE_HOME"] = str(home)
    try:
        lake = _lake(home)
        found = [_worst(lake, part) for part in PARTS]
    finally:
        down()
        shutil.rmtree(home, ignore_errors=True)
    FIGURES.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n", "utf-8")


def _lake(home: Path) -> Lake:
    """The asset `sales` and its mart, with every part running."""
    catalog = home / "catalog"
    (catalog / "assets").mkdir(parents=True)
    shutil.copy(PROJECT / "lake_assets" / "catalog" / "assets" / "sales.yaml", catalog / "assets")
    shutil.copytree(PROJECT / "dbt_project", home / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    os.environ |= {"LAKE_CATALOG": str(catalog), "LAKE_DBT_PROJECT": str(home / "dbt")}
    up(print)
    lake = Lake(load_settings(), home, dict(os.environ))
    lake.ok("apply")
    return lake


def _worst(lake: Lake, part: str) -> Recovery:
    rounds = [_round(lake, part, number) for number in range(ROUNDS)]
    return Recovery(part, max(answers for answers, _ in rounds), max(in_mart for _, in_mart in rounds))


def _round(lake: Lake, part: str, number: int) -> tuple[float, float]:
    wait_until(lambda: all(one.health is None for one in status()))
    before, pid = _orders(lake), _pid(part)
    began = time.monotonic()
    if pid:
        os.kill(pid, signal.SIGKILL)
    event = sale(f"{part} {number}").encode()
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(
            wait_until, lambda: lake("produce", "sales", "-", "--format", "jsonl", stdin=event).code == 0
        )
        answers = _seconds(began, lambda: _answers(part, pid)) if pid else 0.0
        in_mart = _seconds(began, lambda: _orders(lake) > before)
        sending.result()
    print(f"{part}: answers after {answers} s, in the mart after {in_mart} s")
    return answers, in_mart


def _seconds(began: float, condition: Callable[[], bool]) -> float:
    wait_until(condition)
    return round(time.monotonic() - began, 1)


def _pid(part: str) -> int | None:
    return next((one.pid for one in status() if one.name == part), None)


def _answers(part: str, before: int) -> bool:
    return any(one.name == part and one.pid not in (None, before) and one.health is None for one in status())


def _orders(lake: Lake) -> int:
    try:
        return int(lake.mart("select coalesce(sum(orders), 0) from sales_data_mart.sales")[0][0])
    except psycopg.Error:
        # It is away, or the mart is not made yet.
        return 0


if __name__ == "__main__":
    main()
