"""One refresh in a process of its own, which sends itself a signal at a named point.

What it has done stands in a file, one effect a line, written before the process can die of it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

import lake_assets.operations.refresh.conform as conforming
import lake_assets.operations.refresh.publish as publishing
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import PROJECT, load_settings
from lake_assets.warehouse.local import ducklake
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.conditions import wait_until
from tests.support.visits import Visits

# In the order in which a refresh comes by them; at the last it gets no signal at all.
POINTS = (
    "files are to be written",
    "files are written",
    "tables are to change",
    "tables are half changed",
    "tables have changed",
    "ledger is to change",
    "ledger is half changed",
    "ledger has changed",
    "queue is to change",
    "queue has changed",
    "never",
)


def refresh_apart(visits: Visits, effects: Path, point: str, number: int = signal.SIGKILL) -> "subprocess.Popen[str]":
    """Start the process, which reports on stderr why it could not do all that was due, and then ends with 1."""
    command = [sys.executable, "-m", "tests.support.halted_refresh", str(visits.path), str(effects), point, str(number)]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


@contextmanager
def refresh_halted(visits: Visits, folder: Path, point: str) -> "Generator[subprocess.Popen[str]]":
    """A refresh that stands still at a point, and continues when the block ends; see `refusal` for its error then."""
    process = refresh_apart(visits, folder / "effects", point, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)


def refusal(process: "subprocess.Popen[str]") -> str:
    """The one sentence with which a refresh ends that could not do what was due."""
    sentence = process.communicate(timeout=120)[1].strip()
    assert process.returncode == 1, sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def main(contract: Path, effects: Path, point: str, number: int) -> None:
    reached: list[str] = []

    def reach(name: str) -> None:
        reached.append(name)
        with effects.open("a", encoding="utf-8") as log:
            log.write(f"{name}\n")
            log.flush()
            os.fsync(log.fileno())
        if name == point:
            os.kill(os.getpid(), number)

    def around(place: Any, name: str, before: str, after: str) -> None:
        genuine: Callable[..., Any] = getattr(place, name)

        def marked(*arguments: Any, **named: Any) -> Any:
            reach(before)
            answer = genuine(*arguments, **named)
            reach(after)
            return answer

        setattr(place, name, marked)

    def within(place: Any, name: str, before: str, amid: str) -> None:
        """Mark a point in the transaction that begins when the point before it has just been reached."""
        genuine: Callable[..., AbstractContextManager[Any]] = getattr(place, name)

        @contextmanager
        def marked(*arguments: Any) -> Generator[Any]:
            with genuine(*arguments) as held:
                yield held
                if reached and reached[-1] == before:
                    reach(amid)

        setattr(place, name, marked)

    around(conforming, "conform_apart", *POINTS[0:2])
    within(ducklake, "durable_transaction", *POINTS[2:4])
    around(DuckLake, "replace_windows", POINTS[2], POINTS[4])
    within(psycopg.Connection, "transaction", *POINTS[5:7])
    around(publishing, "publish_windows", POINTS[5], POINTS[7])
    around(Ledger, "dequeue_windows", *POINTS[8:10])
    try:
        made = Visits(load_settings(), contract).refresh()
    except LakeError as error:
        sys.exit(str(error))
    sys.exit(next(iter(made.failed.values()), None))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
