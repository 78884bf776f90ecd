"""Dagster's configuration for a lake: storage in the lake's Postgres, one code server, daemon and webserver."""

import json
import os
import sys
from pathlib import Path

from lake_assets.home import Home
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.stack.programs import Program

DEFINITIONS = "lake_assets.definitions"
DBT_SERVER = "lake_assets.dbt.server"
CONFIG = """# Written at each start.
storage:
  custom:
    module: lake_assets.stack.dagster_storage
    class: PooledPostgresStorage
    config: {{postgres_url: {url}}}
local_artifact_storage:
  module: dagster._core.storage.root
  class: LocalArtifactStorage
  config: {{base_dir: {artifacts}}}
compute_logs:
  module: dagster._core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config: {{base_dir: {logs}}}
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
run_launcher:
  module: lake_assets.stack.run_launcher
  class: WatchedRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 60
  max_runtime_seconds: {run_seconds}
run_retries: {{enabled: true, max_retries: 2}}
sensors: {{use_threads: true, num_workers: 4}}
schedules: {{use_threads: true, num_workers: 2}}
retention:
  schedule: {{purge_after_days: 30}}
  sensor: {{purge_after_days: {{skipped: 7, success: 30, failure: 30, started: 30}}}}
  auto_materialize: {{purge_after_days: {{skipped: 7, success: 30, failure: 30, started: 30}}}}
telemetry: {{enabled: false}}
"""


def prepare_dagster(settings: Settings, layout: Home, code_port: int, code_host: str = THIS_MACHINE) -> None:
    """Write dagster.yaml and the workspace file that names the code server. Neither contains a password."""
    config = CONFIG.format(
        # dagster-postgres sends NOTIFY as only psycopg2 understands it, and SQLAlchemy would pick psycopg 3.
        url=json.dumps(settings.postgres.url("dagster", "postgresql+psycopg2", dbname="dagster")),
        artifacts=json.dumps(str(layout.dagster)),
        logs=json.dumps(str(layout.dagster / "compute_logs")),
        run_seconds=settings.run_seconds,
    )
    (layout.dagster / "dagster.yaml").write_text(config, "utf-8")
    server = {"host": code_host, "port": code_port, "location_name": "lake"}
    (layout.dagster / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}), "utf-8")


def dagster_programs(layout: Home, code_port: int, web_port: int, listen: str = THIS_MACHINE) -> list[Program]:
    """Return the programs of the orchestration."""
    environment = lake_environment(layout)
    scripts = Path(sys.executable).parent
    workspace = str(layout.dagster / "workspace.yaml")
    code = ("api", "grpc", "-m", DEFINITIONS, "-h", listen, "-p", str(code_port), "--location-name", "lake")
    web = ("-h", listen, "-p", str(web_port), "-w", workspace)
    return [
        _program("dbt", (sys.executable, "-m", DBT_SERVER), ("postgres",), environment),
        _program("code", (str(scripts / "dagster"), *code), ("postgres",), environment),
        _program("daemon", (str(scripts / "dagster-daemon"), "run", "-w", workspace), ("code",), environment),
        _program("webserver", (str(scripts / "dagster-webserver"), *web), ("code",), environment),
    ]


def _program(name: str, command: tuple[str, ...], needs: tuple[str, ...], environment: dict[str, str]) -> Program:
    return Program(name, command, needs, environment, directory=PROJECT, stop_seconds=15)


def lake_environment(layout: Home) -> dict[str, str]:
    """Return the lake's current settings; a changed one restarts these programs at the next `lake up`."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("LAKE_")}
    settings.pop("LAKE_POSTGRES_DSN", None)
    return {**settings, "LAKE_HOME": str(layout.home), "DAGSTER_HOME": str(layout.dagster)}
