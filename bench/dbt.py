"""Cost of building the two example marts: dbt as a process, through the resident dbt, and inside Dagster.

    python -m bench.dbt [--rounds 5]

Needs Postgres and the resident dbt. The staging tables have the rows of the tests. Each way is called once before the
rounds, to fill caches.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figures import Figures, in_turns, options
from bench.lake import lake
from lake_assets.dbt.environment import dbt_environment
from lake_assets.dbt.manifest import dbt_executable, load_manifest
from lake_assets.orchestration.marts import BUILD, QUICK
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import mart_schemas
from tests.support.mart_rows import fill_staging


def measure(settings: Settings, rounds: int, warm_up: int = 1) -> Figures:
    plain = {**dbt_environment(settings, os.environ), "DBT_TARGET_PATH": str(settings.home / "plain")}
    beside = str(Path(sys.executable).with_name("dbt"))
    inside, close = dagster_build(settings)
    ways: dict[str, Callable[[], object]] = {
        "dagster-dbt, resident": inside,
        "lake-dbt, resident": lambda: run([dbt_executable(), *QUICK, *BUILD], dict(os.environ)),
        "dbt, as a process of its own": lambda: run([beside, *QUICK, *BUILD], plain),
        "connect DuckDB to lake and Postgres": lambda: connect(settings).close(),
    }

    def timed(call: Callable[[], object]) -> float:
        started = time.monotonic()
        call()
        return time.monotonic() - started

    for call in list(ways.values()) * warm_up:
        call()
    seconds = in_turns({way: lambda c=call: timed(c) for way, call in ways.items()}, rounds)
    close()
    figures = Figures("bench.dbt", "the two example marts, warm")
    for way, values in seconds.items():
        figures.add(way, values)
    return figures


def dagster_build(settings: Settings) -> tuple[Callable[[], object], Callable[[], None]]:
    """Run the marts in a process that has loaded them, like a step of a larger run; and end the process."""
    import dagster as dg

    from lake_assets.orchestration.marts import mart_definitions

    marts = mart_definitions(settings, read_files(settings).assets)
    instance = dg.DagsterInstance.ephemeral()

    def build() -> None:
        with Path(os.devnull).open("w") as nowhere:
            kept = os.dup(1), os.dup(2)
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            try:
                dg.materialize(list(marts.assets), resources=marts.resources, instance=instance)
            finally:
                for number, original in zip((1, 2), kept, strict=True):
                    os.dup2(original, number)
                    os.close(original)

    return build, instance.dispose


def run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def main(arguments: Sequence[str] | None = None) -> None:
    given = options(__doc__, rounds=5).parse_args(arguments)
    with lake(["postgres", "dbt"]) as (settings, _):
        fill_staging(settings, read_files(settings).assets.values())
        PostgresMarts(settings).ensure(mart_schemas(settings))
        load_manifest(settings)
        measure(settings, given.rounds).show(given.figures)


if __name__ == "__main__":
    main()
