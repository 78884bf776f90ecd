"""Dagster's configuration for a lake: storage in the lake's Postgres, one code server, daemon and webserver."""

import json
import os
import sys
from pathlib import Path

from lake_assets.home import Home, socket_path
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.stack.programs import Program
from lake_assets.web_key import keep_key

DEFINITIONS = "lake_assets.definitions"
CODE_SERVER = "lake_assets.stack.code_server"
WEB_SERVER = "lake_assets.stack.webserver"
WEB_KEY_FILE = "LAKE_DAGSTER_KEY_FILE"
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
# The dialog that asks a new user to join Dagster's community.
nux: {{enabled: false}}
"""


def code_socket(layout: Home) -> Path:
    """Return the socket of the code server, which starts runs for any client: only this user reaches it."""
    return socket_path(layout.home, "code.sock")


def prepare_dagster(settings: Settings, layout: Home, code_address: tuple[str, int] | None = None) -> None:
    """Write dagster.yaml and the workspace file that names the code server. Neither contains a password.

    `code_address` is the code server's host and port in another container, None for the socket on this machine.
    """
    config = CONFIG.format(
        # dagster-postgres sends NOTIFY as only psycopg2 understands it, and SQLAlchemy would pick psycopg 3.
        url=json.dumps(settings.postgres.url("dagster", "postgresql+psycopg2", dbname="dagster")),
        artifacts=json.dumps(str(layout.dagster)),
        logs=json.dumps(str(layout.dagster / "compute_logs")),
        run_seconds=settings.run_seconds,
    )
    (layout.dagster / "dagster.yaml").write_text(config, "utf-8")
    host, port = code_address or ("", 0)
    server = {"host": host, "port": port} if code_address else {"socket": str(code_socket(layout))}
    server["location_name"] = "lake"
    (layout.dagster / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}), "utf-8")


def dagster_programs(
    settings: Settings, layout: Home, web_port: int, listen: str = THIS_MACHINE, code_port: int = 0, *, has_login: bool
) -> list[Program]:
    """Return the programs of the orchestration.

    The code server listens on its socket, or with a `code_port` on that port of `listen`. `has_login`: the web UI asks
    for its key.
    """
    environment = lake_environment(settings, layout)
    scripts = Path(sys.executable).parent
    workspace = str(layout.dagster / "workspace.yaml")
    address = ("-h", listen, "-p", str(code_port)) if code_port else ("--socket", str(code_socket(layout)))
    code = ("-m", CODE_SERVER, "-m", DEFINITIONS, *address, "--location-name", "lake")
    read_only = ("--read-only",) if settings.dagster_read_only else ()
    web = ("-m", WEB_SERVER, "-h", listen, "-p", str(web_port), "-w", workspace, *read_only)
    login = {WEB_KEY_FILE: str(keep_key(layout.dagster_key))} if has_login else {}
    return [
        _program("dbt", (sys.executable, "-m", DBT_SERVER), ("postgres",), environment),
        _program("code", (sys.executable, *code), ("postgres",), environment),
        _program("daemon", (str(scripts / "dagster-daemon"), "run", "-w", workspace), ("code",), environment),
        _program("webserver", (sys.executable, *web), ("code",), {**environment, **login}),
    ]


def _program(name: str, command: tuple[str, ...], needs: tuple[str, ...], environment: dict[str, str]) -> Program:
    return Program(name, command, needs, environment, directory=PROJECT, stop_seconds=15)


def lake_environment(settings: Settings, layout: Home) -> dict[str, str]:
    """Return the lake's current settings; a changed one restarts these programs at the next `lake up`."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("LAKE_")}
    variables.pop("LAKE_POSTGRES_DSN", None)
    if settings.kafka_access.sasl:
        variables["LAKE_KAFKA_PASSWORD_FILE"] = str(settings.kafka_access.password_file)
    return {**variables, "LAKE_HOME": str(layout.home), "DAGSTER_HOME": str(layout.dagster)}
