"""What building the two example marts costs: dbt as a process, through the resident dbt, and inside Dagster.

    python -m bench.dbt [CALLS]

Starts a lake of its own (Postgres and the resident dbt), fills the staging tables with the rows of the tests, and ends
it. Each way is called CALLS times (default 5), in turn, so that what else the machine does falls on all of them alike.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lake_assets.orchestration.manifest import dbt_executable, load_manifest
from lake_assets.orchestration.marts import BUILD, QUICK
from lake_assets.project import read_catalog
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.lifecycle import down, up
from lake_assets.warehouse.connection import connect
from lake_assets.warehouse.dbt_environment import dbt_environment
from lake_assets.warehouse.marts import mart_schemas
from lake_assets.warehouse.postgres_marts import PostgresMarts
from tests.marts.mart_lake import fill_staging


def main(calls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lake-") as folder:
        os.environ["LAKE_HOME"] = folder
        Path(folder).chmod(0o755)
        try:
            up(parts=("postgres", "dbt"))
            settings = load_settings()
            fill_staging(settings, read_catalog(settings).values())
            PostgresMarts(settings).ensure(mart_schemas(settings))
            load_manifest(settings)
            print(json.dumps(measure(settings, calls), indent=2))
        finally:
            down()


def measure(settings: Settings, calls: int) -> dict[str, dict[str, float]]:
    """Seconds of wall time by way."""
    plain = {**dbt_environment(settings, os.environ), "DBT_TARGET_PATH": str(settings.home / "plain")}
    beside = str(Path(sys.executable).with_name("dbt"))
    inside, close = dagster_build(settings)
    ways: dict[str, Callable[[], object]] = {
        "connect DuckDB to lake and Postgres": lambda: connect(settings).close(),
        "dbt, as a process of its own": lambda: run([beside, *QUICK, *BUILD], plain),
        "lake-dbt, resident": lambda: run([dbt_executable(), *QUICK, *BUILD], dict(os.environ)),
        "dagster-dbt, resident": inside,
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(calls + 1):
        for way, call in ways.items():
            started = time.monotonic()
            call()
            if number:  # the first of each fills caches
                seconds[way].append(time.monotonic() - started)
    close()
    return {
        way: {"best": round(min(taken), 2), "median": round(statistics.median(taken), 2), "worst": round(max(taken), 2)}
        for way, taken in seconds.items()
    }


def dagster_build(settings: Settings) -> tuple[Callable[[], object], Callable[[], None]]:
    """A run of the marts in a process that has loaded them, as a step of a larger run is; and how to end it."""
    import dagster as dg

    from lake_assets.orchestration.marts import mart_definitions

    marts = mart_definitions(settings, read_catalog(settings))
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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
