"""Start the parts of one lake: prepare their files, start them in order of their needs, wait for answers."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lake_assets.applied_files import applied_folder, write_applied
from lake_assets.errors import LakeError, Unavailable
from lake_assets.home import Home
from lake_assets.kafka_security import LAKE_USER
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.addresses import THIS_MACHINE, choose_ports, read_addresses, write_addresses
from lake_assets.stack.connect import USER, connect_program, keep_rest_password, prepare_connect
from lake_assets.stack.dagster import dagster_programs, prepare_dagster
from lake_assets.stack.dashboard import PART, WITHOUT, dashboard_program, has_dashboard
from lake_assets.stack.health import checks
from lake_assets.stack.kafka import kafka_program, prepare_kafka
from lake_assets.stack.logs import last_error, last_line, last_start
from lake_assets.stack.passwords import keep_kafka_passwords, keep_passwords
from lake_assets.stack.postgres import postgres_program, prepare_postgres
from lake_assets.stack.programs import Program, render_config
from lake_assets.stack.roles import bootstrap, external_address
from lake_assets.stack.stream import stream_programs
from lake_assets.stack.supervisor import Supervisor
from lake_assets.variables import read_variable

READY_SECONDS = 300.0
POLL_SECONDS = 0.2
TRIES = 2  # two immediate exits count as a failed start
FINISHED = ("FATAL", "STOPPED", "EXITED")
PORT_OF = {
    "postgres_port": "postgres",
    "kafka_port": "kafka",
    "controller_port": "kafka",
    "connect_port": "connect",
    "dagster_port": "webserver",
    "dashboard_port": "dashboard",
}
CONFIGURATIONS = {"kafka": "broker.properties", "connect": "worker.properties"}
Progress = Callable[[str], None]


class PartFailed(Unavailable):
    """A part did not start or does not answer; the message has the reason and the log to read."""


class Start:
    """One `lake up`. `run` returns when every part answers a real request."""

    def __init__(self, layout: Home, java: str, jars: Path, on_progress: Progress) -> None:
        self._layout = layout
        self._java = java
        self._jars = jars
        self._on_progress = on_progress
        self._supervisor = Supervisor(layout)
        self._admin_dsn = read_variable("LAKE_POSTGRES_DSN")
        self._began = time.monotonic()
        self._ready: dict[str, threading.Event] = {}
        self._failed = threading.Event()

    def run(self, parts: Sequence[str] | None, without: Sequence[str] | None = None) -> None:
        if not self._layout.stack_file.exists():
            self._on_progress("making a new lake")
        if parts is not None and PART in parts:
            without = ()
        addresses = self._addresses(without)
        settings = load_settings()
        passwords = keep_passwords(self._layout, settings.postgres.host, settings.postgres.port)
        if not applied_folder(settings).is_dir():
            # Until the first `lake apply`: metrics wait for their topics, which it creates.
            write_applied(settings, read_files(settings))
        programs = self._programs(settings, addresses)
        names = _with_needs(programs, parts)
        self._prepare(settings, addresses, passwords["lake_admin"], names)
        self._supervise(programs)
        self._ready = {name: threading.Event() for name in ("postgres", *names)}
        self._checks = checks(settings, self._layout)
        with ThreadPoolExecutor(len(names) + 1) as pool:
            waiting = [pool.submit(self._bring_up, programs[name], settings, passwords) for name in names]
            if self._admin_dsn:
                waiting.append(pool.submit(self._bring_up_external, settings, passwords))
            try:
                failures = [error for future in waiting if (error := future.exception())]
            finally:
                self._failed.set()  # an interrupt ends the threads too
        for failure in sorted(failures, key=lambda error: isinstance(error, _NeedFailed)):
            raise failure

    def _addresses(self, without: Sequence[str] | None) -> dict[str, int | str]:
        """Complete and write stack.json, and return it. `without` are the parts to leave out from now on."""
        recorded = read_addresses(self._layout)
        if without is not None:
            recorded.pop(WITHOUT, None)
            recorded |= {WITHOUT: " ".join(without)} if without else {}
        if self._admin_dsn:
            recorded |= external_address(self._admin_dsn)
        elif recorded.get("postgres") == "external":
            raise LakeError("This lake uses an external Postgres: set LAKE_POSTGRES_DSN as at its first start.")
        settings = load_settings()
        # The bucket and target are recorded, so that commands in other shells use the same lake.
        recorded.setdefault("bucket", settings.bucket)
        recorded.setdefault("target", settings.target)
        recorded["metric_processes"] = settings.metric_processes
        if settings.target == "gcp":
            recorded.setdefault("gcp_project", settings.gcp.project)
            recorded.setdefault("gcp_location", settings.gcp.location)
        recorded["connect_user"] = USER
        recorded["kafka_user"] = LAKE_USER
        running = self._running()
        own_ports = frozenset(port for port, part in PORT_OF.items() if part in running)
        if self._admin_dsn:
            own_ports |= {"postgres_port"}
        addresses = choose_ports(recorded, self._layout.home, own_ports)
        write_addresses(self._layout, addresses)
        return addresses

    def _running(self) -> set[str]:
        if not self._supervisor.is_running():
            return set()
        return {name for name, process in self._supervisor.processes().items() if process["pid"]}

    def _prepare(
        self, settings: Settings, addresses: dict[str, int | str], admin_password: str, names: Sequence[str]
    ) -> None:
        """Write all files the parts read; the two slow first-time steps run in parallel.

        Stop a server whose configuration changed, for example by an upgrade: it reads the file at its start.
        """
        kafka = f"{THIS_MACHINE}:{addresses['kafka_port']}"
        keep_kafka_passwords(self._layout, kafka)
        before = {part: _text(self._layout.run / file) for part, file in CONFIGURATIONS.items()}
        with ThreadPoolExecutor(2) as pool:
            steps: list[Future[None]] = []
            if "kafka" in names:
                steps.append(pool.submit(prepare_kafka, self._layout, self._java, self._jars, addresses))
            if "postgres" in names:
                port = int(addresses["postgres_port"])
                steps.append(pool.submit(prepare_postgres, self._layout, port, admin_password))
            for step in steps:
                step.result()
        login, security = keep_rest_password(self._layout), settings.kafka_for_java
        port = int(addresses["connect_port"])
        prepare_connect(self._layout, self._jars, kafka, port, login=login, security=security)
        prepare_dagster(settings, self._layout)
        for part in self._running() & CONFIGURATIONS.keys():
            if _text(self._layout.run / CONFIGURATIONS[part]) != before[part]:
                self._on_progress(f"restarting {part}: its configuration changed")
                self._supervisor.stop_program(part)

    def _programs(self, settings: Settings, addresses: dict[str, int | str]) -> dict[str, Program]:
        programs = [
            *([] if self._admin_dsn else [postgres_program(self._layout)]),
            kafka_program(self._layout, self._java, self._jars),
            connect_program(self._layout, self._java, self._jars),
            *dagster_programs(settings, self._layout, int(addresses["dagster_port"]), has_login=True),
            *([dashboard_program(settings, self._layout)] if has_dashboard(settings, addresses) else []),
            *stream_programs(settings, self._layout),
        ]
        return {program.name: program for program in programs}

    def _supervise(self, programs: dict[str, Program]) -> None:
        self._layout.supervisor_config.write_text(render_config(self._layout, programs.values()), "utf-8")
        if self._supervisor.is_running():
            self._supervisor.apply_config()
        else:
            self._supervisor.start()
        self._layout.started.touch()

    def _bring_up(self, program: Program, settings: Settings, passwords: dict[str, str]) -> None:
        """Start one part after its needs are ready, and wait for its answer. Runs in its own thread."""
        try:
            for need in program.needs:
                while not self._ready[need].wait(POLL_SECONDS):
                    self._give_up_with_others(program.name)
            self._supervisor.start_program(program.name)
            self._wait(program.name, settings, passwords)
        except BaseException:
            self._failed.set()
            raise
        self._ready[program.name].set()
        self._on_progress(f"{program.name} ready after {time.monotonic() - self._began:.1f} s")

    def _bring_up_external(self, settings: Settings, passwords: dict[str, str]) -> None:
        try:
            bootstrap(settings.postgres, str(self._admin_dsn), passwords, embedded=False)
        except BaseException:
            self._failed.set()
            raise
        self._ready["postgres"].set()
        self._on_progress(f"postgres at {settings.postgres.host}:{settings.postgres.port} ready")

    def _give_up_with_others(self, name: str) -> None:
        if self._failed.is_set():
            raise _NeedFailed(f"{name} was not waited for because another part failed.")

    def _wait(self, name: str, settings: Settings, passwords: dict[str, str]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        bootstrapped = name != "postgres"
        starts: set[int] = set()
        while True:
            self._give_up_with_others(name)
            process = self._supervisor.processes()[name]
            if not bootstrapped:
                reason = _bootstrap_embedded(settings, passwords)
                bootstrapped = reason is None
            else:
                reason = self._checks[name](float(process["start"]))
            if reason is None:
                return
            starts.add(process["start"])
            gave_up = process["statename"] in FINISHED or (process["statename"] == "BACKOFF" and len(starts) >= TRIES)
            if gave_up or time.monotonic() > deadline:
                log = self._layout.log(name)
                reason = last_error(log, last_start(self._layout)) or (last_line(log) if gave_up else reason)
                raise PartFailed(f"{name} did not come up ({reason}): see {log}.")
            time.sleep(POLL_SECONDS)


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


class _NeedFailed(Unavailable):
    """Not started, because another part failed."""


def _bootstrap_embedded(settings: Settings, passwords: dict[str, str]) -> str | None:
    """Return None if databases, roles and grants exist, else the reason the server does not answer yet."""
    import psycopg

    try:
        bootstrap(settings.postgres, settings.postgres.conninfo("lake_admin", "postgres"), passwords, embedded=True)
    except psycopg.OperationalError as error:
        return str(error).strip().splitlines()[-1]
    return None


def _with_needs(programs: dict[str, Program], parts: Sequence[str] | None) -> list[str]:
    """Return the requested parts and their needs, in the order of `programs`; raises LakeError for an unknown part."""
    pending = list(programs if parts is None else parts)
    names: set[str] = set()
    while pending:
        name = pending.pop()
        if name == "postgres" and name not in programs:
            continue
        if name not in programs:
            raise LakeError(f"There is no part '{name}': the parts are {', '.join(programs)}.")
        if name not in names:
            names.add(name)
            pending += programs[name].needs
    return [name for name in programs if name in names]
