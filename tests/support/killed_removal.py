"""One removal in a process of its own, which kills itself when a named step has been taken.

Run as `python -m tests.support.killed_removal ASSET CHECKSUM STEP`, with the lake in the environment.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from lake_assets.ledger.ledger import Ledger
from lake_assets.operations import remove
from lake_assets.orchestration import partitions
from lake_assets.orchestration.dagster_records import DagsterRecords
from lake_assets.settings import load_settings
from lake_assets.warehouse.local.ducklake import DuckLake

# In the order in which a removal takes them, each with the place that it is called from.
STEPS: dict[str, Any] = {
    "decide_to_remove": remove,
    "_unsubscribe": remove,
    "delete_topics": remove,
    "delete_topic_rows": remove,
    "drop_raw_table": remove,
    "drop": DuckLake,
    "_remove_folder": remove,
    "_remove_generated": remove,
    "delete_asset_rows": remove,
    "_remove_rows": remove,
    "delete_windows": partitions,
    "delete_asset": DagsterRecords,
    "write_applied": remove,
}


def main(name: str, checksum: str, step: str) -> None:
    genuine: Callable[..., Any] = getattr(STEPS[step], step)

    def deadly(*arguments: Any, **named: Any) -> None:
        genuine(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(STEPS[step], step, deadly)
    settings = load_settings()
    with Ledger(settings) as ledger:
        asset = remove.removable(ledger)[name]
        remove.remove_asset(settings, ledger, DagsterRecords(settings), asset, (), checksum, on_progress=print)


if __name__ == "__main__":
    main(*sys.argv[1:])
