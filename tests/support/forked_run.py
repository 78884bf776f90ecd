"""A process as that of a run, forked ahead of one: `python -m tests.support.forked_run` prints what it has.

These are its threads, the conformed assets in the definitions that it has loaded, and whether it has pyarrow.
"""

import sys
from multiprocessing.queues import Queue

import psutil

from lake_assets.settings import lake_home
from lake_assets.stack.run_process import run_context


def report(results: "Queue[tuple[int, int, bool]]") -> None:
    definitions = sys.modules["lake_assets.definitions"]
    keys = definitions.defs.get_repository_def().asset_graph.get_all_asset_keys()
    conformed = sum(key.path[0] == "conformed" for key in keys)
    results.put((psutil.Process().num_threads(), conformed, "pyarrow" in sys.modules))


def main() -> None:
    context = run_context(lake_home())
    results: Queue[tuple[int, int, bool]] = context.Queue()
    process = context.Process(target=report, args=[results])
    process.start()
    print(*results.get(timeout=120))
    process.join()


if __name__ == "__main__":
    main()
