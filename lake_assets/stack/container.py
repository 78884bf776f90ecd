"""What a container runs: parts of the stack in the foreground, set up from the environment and a folder of secrets.

`python -m lake_assets.stack.container` is the entrypoint of the images. What may follow:

    run PART...          serve parts of the stack; the part `stream` is one process for each metric
    check PART...        ask the parts of this container whether they are well; the exit code says so
    passwords HOST PORT  make the passwords of a new lake, for its Postgres at that address
    roles                make databases, roles and rights in Postgres, Metabase's too when its password is there
    PROGRAM ...          any other program, with the lake's settings: `lake apply`, `dagster api grpc`

A container has a home of its own, which is made at each start. `LAKE_SECRETS` names the folder that holds what this
container may know, with the names of `LAKE_HOME/secrets`. Where Postgres is stands in the passfile there.
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
from lake_assets.project import read_files
from lake_assets.settings import Settings, lake_home, load_settings
from lake_assets.stack.addresses import write_addresses
from lake_assets.stack.connect import connect_program, prepare_connect
from lake_assets.stack.dagster import dagster_programs, prepare_dagster
from lake_assets.stack.health import checks
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from lake_assets.stack.kafka import kafka_program, prepare_kafka
from lake_assets.stack.passwords import keep_passwords, read_passwords, write_private
from lake_assets.stack.programs import Program
from lake_assets.stack.roles import bootstrap, own_database
from lake_assets.stack.stream import PREFIX, stream_programs

PORTS: dict[str, int | str] = {
    "kafka_port": 9092,
    "controller_port": 9093,
    "connect_port": 8083,
    "dagster_port": 3000,
    "code_port": 4000,
}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - who reaches a container is its network's business
METABASE = "metabase"
REST_CERTIFICATE = Path("connect") / "rest_certificate"
SECRETS = (
    Path("pgpass"),
    Path("kafka_password"),
    Path("kafka_certificate"),
    Path("connect_password"),
    Path("connect/postgres.properties"),
    Path("connect/kafka.properties"),
    REST_CERTIFICATE,
    Path(NAME),
    Path(METABASE),
)
POLL_SECONDS = 0.5


class Stopped(Exception):
    """The container is asked to end."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running program. `process` is kept because a forgotten one is waited for by `subprocess` behind our back."""

    program: Program
    process: "subprocess.Popen[bytes]"


def make_home(layout: Home) -> None:
    """Make this container's home: folders, its secrets, addresses. Raises SettingsError."""
    for folder in (layout.logs, layout.dagster):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (layout.run, layout.secrets, layout.connect_secrets):
        folder.mkdir(mode=0o700, exist_ok=True)
    if "LAKE_SECRETS" in os.environ:
        _take_secrets(Path(os.environ["LAKE_SECRETS"]), layout.secrets)
    write_addresses(layout, PORTS | _postgres_address(layout.passfile))


def _take_secrets(given: Path, own: Path) -> None:
    """Copies, because libpq refuses a passfile that a group may read, as those that Kubernetes mounts."""
    for name in SECRETS:
        if (given / name).exists():
            write_private(own / name, (given / name).read_text("utf-8"))


def _postgres_address(passfile: Path) -> dict[str, int | str]:
    """From the passfile's first line; empty when this container may not know any password."""
    if not passfile.exists():
        return {}
    host, port, *_ = passfile.read_text("utf-8").split(":")
    if not port.isdecimal():
        raise SettingsError(f"{passfile} does not begin with HOST:PORT: make it with `passwords HOST PORT`.")
    return {"postgres_host": host, "postgres_port": int(port)}


def make_passwords(layout: Home, host: str, port: int) -> None:
    """The passwords and the key of tokens that are missing in the home's secrets; other programs' in own files."""
    layout.create()
    passwords = keep_passwords(layout, host, port)
    write_private(layout.secrets / "postgres_admin", passwords["lake_admin"])
    write_private(layout.secrets / "analyst", passwords["analyst"])
    if not (layout.secrets / METABASE).exists():
        write_private(layout.secrets / METABASE, token_urlsafe(24))
    if not (layout.secrets / NAME).exists():
        make_token_key(layout.secrets / NAME)


def make_roles(settings: Settings, layout: Home) -> None:
    """As `lake up` does: by `LAKE_POSTGRES_DSN` in somebody else's server, else as the lake's administrator."""
    own = settings.postgres.conninfo("lake_admin", "postgres")
    given = os.environ.get("LAKE_POSTGRES_DSN")
    bootstrap(settings.postgres, given or own, read_passwords(layout), embedded=given is None)
    metabase = layout.secrets / METABASE
    if metabase.exists():
        own_database(given or own, METABASE, metabase.read_text("utf-8"))


def programs_of(parts: Sequence[str], settings: Settings, layout: Home) -> list[Program]:
    """The programs of these parts, with all that they read from disk prepared. Raises LakeError."""
    jars, code_port = jars_folder(), int(PORTS["code_port"])
    # The code server is in the container of the daemon; others find it under its name.
    code_host = os.environ.get("LAKE_CODE_HOST", "127.0.0.1")
    prepare_dagster(settings, layout, code_port, code_host)
    if "stream" in parts:
        # An image's catalog is what its metrics judge by; a home that outlives the image may hold another's.
        write_applied(settings, read_files(settings))
    found = [
        *dagster_programs(layout, code_port, int(PORTS["dagster_port"]), EVERYWHERE),
        *stream_programs(settings, layout),
    ]
    if "kafka" in parts:
        host = settings.kafka.partition(",")[0].rpartition(":")[0]
        prepare_kafka(layout, find_java(), jars, PORTS, EVERYWHERE, host)
        found.append(kafka_program(layout, find_java(), jars))
    if "connect" in parts:
        port = int(PORTS["connect_port"])
        certificate = layout.secrets / REST_CERTIFICATE if settings.connect.startswith("https:") else None
        # By https it answers to names of its certificate only, and by http to an address that all can find.
        host = socket.getfqdn() if certificate else socket.gethostbyname(socket.gethostname())
        prepare_connect(layout, jars, settings.kafka, port, EVERYWHERE, host, settings.kafka_for_java, certificate)
        found.append(connect_program(layout, find_java(), jars, java_properties(settings.kafka_access)))
    wanted = [program for program in found if _group(program.name) in parts]
    if missing := set(parts) - {_group(program.name) for program in wanted}:
        raise LakeError(f"There is no part {', '.join(sorted(missing))} for a container.")
    return wanted


def _group(name: str) -> str:
    return PREFIX.rstrip("-") if name.startswith(PREFIX) else name


def serve(programs: Sequence[Program], well: Callable[[str], bool]) -> int:
    """Run the programs until one ends or the container is stopped, then end all; returns 0 when it was stopped.

    One that needs another of them is started when that is `well`. As the first process of a container it also takes
    leave of processes whose parents have ended.
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
        print(f"lake: {running.pop(pid).program.name} has ended, and with it the container.", flush=True)  # noqa: T201
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
    """The next child that ended; with WNOHANG 0 when none has."""
    return os.waitpid(-1, options)[0]


def _start(program: Program) -> Child:
    environment = {**os.environ, **program.environment, "TZ": "UTC"}
    command, folder = program.command, program.directory
    return Child(program, subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True))


def _end(running: dict[int, Child]) -> None:
    """Asks all, and kills with its children what has not ended in its time."""
    for pid, child in running.items():
        os.killpg(pid, getattr(signal, f"SIG{child.program.stop_signal}"))
    patience = max((child.program.stop_seconds for child in running.values()), default=0)
    deadline = time.monotonic() + patience
    while running and time.monotonic() < deadline:
        if not running.pop(_ended(os.WNOHANG), None):
            time.sleep(POLL_SECONDS / 5)
    for pid in running:
        os.killpg(pid, signal.SIGKILL)


def ailments(parts: Sequence[str], settings: Settings, layout: Home) -> list[str]:
    """Why parts of this container are not well; empty when all are."""
    looks = checks(settings, layout, int(PORTS["code_port"]))
    wanted = [name for name in looks if _group(name) in parts]
    return [f"{name}: {reason}" for name in wanted if (reason := looks[name](0.0))]


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
            told = ailments(parts, load_settings(), layout)
            for reason in told:
                print(reason)  # noqa: T201
            return 1 if told else 0
        case [program, *_] if found := shutil.which(program):
            make_home(layout)
            os.execv(found, list(arguments))  # noqa: S606
        case _:
            raise LakeError("Say run PART..., check PART..., passwords HOST PORT, roles, or a program to start.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LakeError as error:
        sys.exit(f"lake: {error}")
