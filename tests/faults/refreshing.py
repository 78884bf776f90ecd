"""One refresh in a process of its own, which kills itself at a named point: `python -m tests.faults.refreshing ...`.

What it has done stands in a file, one effect a line, written before the process can die of it.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lake_assets.orchestration.refresh as refreshing
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import load_settings
from lake_assets.warehouse.ducklake import DuckLake
from tests.orchestration.visits import Visits

# In the order in which a refresh comes by them; the last is no death at all.
POINTS = (
    "files are to be written",
    "files are written",
    "tables are to change",
    "tables have changed",
    "ledger is to change",
    "ledger has changed",
    "queue is to change",
    "queue has changed",
    "never",
)


def main(contract: Path, effects: Path, point: str) -> None:
    def reach(name: str) -> None:
        with effects.open("a", encoding="utf-8") as log:
            log.write(f"{name}\n")
            log.flush()
            os.fsync(log.fileno())
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(place: Any, name: str, before: str, after: str) -> None:
        genuine: Callable[..., Any] = getattr(place, name)

        def marked(*arguments: Any, **named: Any) -> Any:
            reach(before)
            answer = genuine(*arguments, **named)
            reach(after)
            return answer

        setattr(place, name, marked)

    around(refreshing, "conform_apart", *POINTS[0:2])
    around(DuckLake, "replace_windows", *POINTS[2:4])
    around(Ledger, "publish", *POINTS[4:6])
    around(Ledger, "dequeue", *POINTS[6:8])
    Visits(load_settings(), contract).refresh()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
