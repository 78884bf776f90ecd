"""Dagster's code server, whose runs are forked from a process that has loaded the definitions.

`python -m lake_assets.stack.code_server` takes the arguments of `dagster api grpc`. Dagster starts a new interpreter
for each run. It imports Dagster and builds the definitions of all assets, which takes seconds of processor time: more
than the run itself, and more with each asset.
"""

import sys
from typing import Any


def main() -> None:
    from dagster._cli.api import api_cli
    from dagster._grpc import server

    from lake_assets.settings import lake_home
    from lake_assets.stack.run_process import run_context

    class Server(server.DagsterApiServer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            # Only now: two processes that load the definitions at the same time would delay the server.
            self._mp_ctx = run_context(lake_home())

    server.DagsterApiServer = Server  # pyright: ignore[reportAttributeAccessIssue]
    api_cli(["grpc", *sys.argv[1:]])


if __name__ == "__main__":
    main()
