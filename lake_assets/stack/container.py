"""Entrypoint of a container: parts of the stack in the foreground, set up from environment and secrets.

`python -m lake_assets.stack.container` is the entrypoint of the images. Arguments:

    run PART...          serve parts of the stack; the part `stream` counts all metrics
    check PART...        check the parts of this container; the exit code is 1 if one is unhealthy
    passwords HOST PORT  generate the passwords of a new lake, for its Postgres at that address
    roles                create databases, roles and grants in Postgres, also Metabase's if its password exists
    PROGRAM ...          any other program, with the lake's settings: `lake apply`, `dagster api grpc`

A container has its own home, created at each start. `LAKE_SECRETS` names the folder of the secrets that this
container may read, named as in `LAKE_HOME/secrets`. The address of Postgres is in the passfile there, that of Kafka in
`LAKE_KAFKA`; `passwords` makes users of Kafka only with this address.
`LAKE_CODE_HOST` is the name under which the web server finds the code server.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from lake_assets.applied_files import write_applied
from lake_assets.conform.tokens import NAME, make_token_key
from lake_assets.errors import LakeError, SettingsError
from lake_assets.home import Home
from lake_assets.kafka_security import java_properties
from lake_assets.local_files import UMASK
from lake_assets.operations.metabase.client import KEY_FILE
from lake_assets.project import read_files
from lake_assets.settings import Settings, lake_home, load_settings
from lake_assets.stack.addresses import write_addresses
from lake_assets.stack.connect import connect_program, keep_rest_password, prepare_connect
from lake_assets.stack.dagster import dagster_programs, prepare_dagster
from lake_assets.stack.health import checks
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from lake_assets.stack.kafka import kafka_program, prepare_kafka
from lake_assets.stack.passwords import (
    keep_kafka_passwords,
    keep_passwords,
    read_passwords,
    write_common_passfile,
    write_private,
)
from lake_assets.stack.programs import Program
from lake_assets.stack.roles import bootstrap, own_database
from lake_assets.stack.stream import PART, is_stream, stream_programs
from lake_assets.variables import read_variable

PORTS: dict[str, int | str] = {
    "kafka_port": 9092,
    "controller_port": 9093,
    "connect_port": 8083,
    "dagster_port": 3000,
    "code_port": 4000,
}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - access to a container is restricted by its network
METABASE = "metabase"
REST_CERTIFICATE = Path("connect") / "rest_certificate"
SECRETS = (
    Path("pgpass"),
    Path("kafka_users.properties"),
    Path("kafka_password"),
    Path("kafka_certificate"),
    Path("connect_password"),
    Path("connect/postgres.properties"),
    Path("connect/kafka.properties"),
    REST_CERTIFICATE,
    Path(NAME),
    Path(METABASE),
    Path(KEY_FILE),
)
POLL_SECONDS = 0.5


class Stopped(Exception):
    """The container received a stop signal."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running program. Keeping `process` prevents `subprocess.__del__` from reaping the child itself."""

    program: Program
    process: "subprocess.Popen[bytes]"


def make_home(layout: Home) -> None:
    """Create this container's home: folders, its secrets, addresses. Raises SettingsError."""
    for folder in (layout.logs, layout.dagster):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (layout.run, layout.secrets, layout.connect_secrets):
        folder.mkdir(mode=0o700, exist_ok=True)
    if (secrets := read_variable("LAKE_SECRETS")) is not None:
        _take_secrets(Path(secrets), layout.secrets)
    write_addresses(layout, PORTS | _postgres_address(layout.passfile))


def _take_secrets(source: Path, target: Path) -> None:
    """Copy the secrets: libpq refuses a passfile that a group may read, like those Kubernetes mounts."""
    for name in SECRETS:
        if (source / name).exists():
            write_private(target / name, (source / name).read_text("utf-8"))


def _postgres_address(passfile: Path) -> dict[str, int | str]:
    """Read the address from the passfile's first line; empty if this container has no password."""
    if not passfile.exists():
        return {}
    host, port, *_ = passfile.read_text("utf-8").split(":")
    if not port.isdecimal():
        raise SettingsError(f"{passfile} does not begin with HOST:PORT: create it with `passwords HOST PORT`.")
    return {"postgres_host": host, "postgres_port": int(port)}


def make_passwords(layout: Home, host: str, port: int) -> None:
    """Generate missing passwords and the token key in the home's secrets; other programs get their own files."""
    layout.create()
    passwords = keep_passwords(layout, host, port)
    write_common_passfile(layout, host, port, passwords)
    write_private(layout.secrets / "postgres_admin", passwords["lake_admin"])
    write_private(layout.secrets / "analyst", passwords["analyst"])
    keep_rest_password(layout)
    # Without users, a password is that of a broker outside these containers.
    is_own = layout.kafka_users.exists() or not layout.kafka_password.exists()
    if is_own and (kafka := read_variable("LAKE_KAFKA")):
        keep_kafka_passwords(layout, kafka)
    if not (layout.secrets / METABASE).exists():
        write_private(layout.secrets / METABASE, token_urlsafe(24))
    if not (layout.secrets / NAME).exists():
        make_token_key(layout.secrets / NAME)


def make_roles(settings: Settings, layout: Home) -> None:
    """Create roles as `lake up` does: by `LAKE_POSTGRES_DSN` in an external server, else as the lake's admin."""
    admin_dsn = settings.postgres.conninfo("lake_admin", "postgres")
    external_dsn = read_variable("LAKE_POSTGRES_DSN")
    bootstrap(settings.postgres, external_dsn or admin_dsn, read_passwords(layout), embedded=external_dsn is None)
    metabase = layout.secrets / METABASE
    if metabase.exists():
        own_database(external_dsn or admin_dsn, METABASE, metabase.read_text("utf-8"))


def programs_of(parts: Sequence[str], settings: Settings, layout: Home) -> list[Program]:
    """Return the programs of these parts, after preparing all files they read. Raises LakeError."""
    jars, code_port = jars_folder(), int(PORTS["code_port"])
    # The code server runs in the daemon's container; other containers reach it by this name.
    code_host = read_variable("LAKE_CODE_HOST", "127.0.0.1")
    prepare_dagster(settings, layout, (code_host, code_port))
    if "stream" in parts:
        # Metrics use the image's catalog; a home that outlives the image may hold an older one.
        write_applied(settings, read_files(settings))
    available = [
        *dagster_programs(settings, layout, int(PORTS["dagster_port"]), EVERYWHERE, code_port, has_login=False),
        *stream_programs(settings, layout),
    ]
    if "kafka" in parts:
        if not layout.kafka_users.exists():
            raise SettingsError(f"there is no file {layout.kafka_users}: run `passwords`, and mount it.")
        host = settings.kafka.partition(",")[0].rpartition(":")[0]
        prepare_kafka(layout, find_java(), jars, PORTS, EVERYWHERE, host)
        available.append(kafka_program(layout, find_java(), jars))
    if "connect" in parts:
        port = int(PORTS["connect_port"])
        certificate = layout.secrets / REST_CERTIFICATE if settings.connect.startswith("https:") else None
        # With https the worker answers to the names of its certificate only, with http to an address that all can
        # resolve.
        host = socket.getfqdn() if certificate else socket.gethostbyname(socket.gethostname())
        access = settings.connect_access
        prepare_connect(
            layout,
            jars,
            settings.kafka,
            port,
            listen=EVERYWHERE,
            host=host,
            security=settings.kafka_for_java,
            certificate=certificate,
            login=(access.user, access.password_file) if access.user else None,
        )
        available.append(connect_program(layout, find_java(), jars, java_properties(settings.kafka_access)))
    programs = [program for program in available if _group(program.name) in parts]
    if missing := set(parts) - {_group(program.name) for program in programs}:
        raise LakeError(f"There is no part {', '.join(sorted(missing))} for a container.")
    return programs


def _group(name: str) -> str:
    return PART if is_stream(name) else name


def serve(programs: Sequence[Program], well: Callable[[str], bool]) -> int:
    """Run the programs until one exits or the container is stopped, then stop all; returns 0 if it was stopped.

    A program that needs another one starts when that is healthy (`well`). As PID 1 this process also reaps orphaned
    processes.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    running: dict[int, Child] = {}
    try:
        for program in programs:
            while not all(
                well(need) for need in program.needs if need in {child.program.name for child in running.values()}
            ):
                if _ended(os.WNOHANG) in running:
                    return 1
                time.sleep(POLL_SECONDS)
            child = _start(program)
            running[child.process.pid] = child
        while (pid := _ended()) not in running:
            pass
        print(f"lake: {running.pop(pid).program.name} exited, so the container stops.", flush=True)  # noqa: T201
        return 1
    except Stopped:
        return 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _end(running)


def _stop(_number: int, _frame: object) -> None:
    raise Stopped


def _ended(options: int = 0) -> int:
    """Wait for the next child that exits and return its pid; with WNOHANG 0 if none has exited."""
    return os.waitpid(-1, options)[0]


def _start(program: Program) -> Child:
    environment = {**os.environ, **program.environment, "TZ": "UTC"}
    command, folder = program.command, program.directory
    return Child(program, subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True))


def _end(running: dict[int, Child]) -> None:
    """Stop all programs, and kill process groups that exceed their stop time."""
    for pid, child in running.items():
        os.killpg(pid, getattr(signal, f"SIG{child.program.stop_signal}"))
    stop_seconds = max((child.program.stop_seconds for child in running.values()), default=0)
    deadline = time.monotonic() + stop_seconds
    while running and time.monotonic() < deadline:
        if not running.pop(_ended(os.WNOHANG), None):
            time.sleep(POLL_SECONDS / 5)
    for pid in running:
        os.killpg(pid, signal.SIGKILL)


def ailments(parts: Sequence[str], settings: Settings, layout: Home) -> list[str]:
    """Return one reason for each unhealthy part of this container; empty if all are healthy."""
    part_checks = checks(settings, layout, int(PORTS["code_port"]))
    names = [name for name in part_checks if _group(name) in parts]
    return [f"{name}: {reason}" for name in names if (reason := part_checks[name](0.0))]


def main(arguments: Sequence[str]) -> int:
    layout = Home(lake_home())
    match arguments:
        case ["passwords", host, port] if port.isdecimal():
            make_passwords(layout, host, int(port))
        case ["roles"]:
            make_home(layout)
            make_roles(load_settings(), layout)
        case ["run", *parts] if parts:
            make_home(layout)
            settings = load_settings()
            return serve(programs_of(parts, settings, layout), lambda part: not ailments([part], settings, layout))
        case ["check", *parts] if parts:
            problems = ailments(parts, load_settings(), layout)
            for reason in problems:
                print(reason)  # noqa: T201
            return 1 if problems else 0
        case [program, *_] if executable := shutil.which(program):
            make_home(layout)
            os.execv(executable, list(arguments))  # noqa: S606
        case _:
            raise LakeError("Usage: run PART..., check PART..., passwords HOST PORT, roles, or a program to start.")
    return 0


if __name__ == "__main__":
    os.umask(UMASK)
    try:
        sys.exit(main(sys.argv[1:]))
    except LakeError as error:
        sys.exit(f"lake: {error}")
