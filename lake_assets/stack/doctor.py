"""Checks of the machine and the home, for a lake that does not start or behaves strangely. Nothing must be up."""

import os
import re
import resource
import shutil
import socket
import stat
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import metadata

import psutil

from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.local_files import UMASK
from lake_assets.object_stores import scheme
from lake_assets.settings import PROJECT, Settings, lake_home, load_settings
from lake_assets.stack.addresses import INTERNAL, PUBLISHED, is_free, port_holder, read_addresses
from lake_assets.stack.jar_lock import needed_by, read_lock
from lake_assets.stack.jars import jars_folder, missing
from lake_assets.stack.java import find_java, java_version
from lake_assets.stack.postgres import is_group_of_postgres
from lake_assets.stack.supervisor import owned_processes

# A fresh lake with jars and packages; a demo adds less than a hundred megabytes.
NEEDED_DISK = 3_000_000_000
# An idle lake has 2.2 GB, and builds and queries need some.
NEEDED_MEMORY = 4_000_000_000
# Kafka holds three files for each partition of each topic, Postgres some for each session.
NEEDED_FILES = 4096
NEEDED_PROCESSES = 2048
# Events of the future are late for metrics, and Kafka refuses records that are an hour ahead.
MOST_CLOCK_SECONDS = 5.0
# The JVM asks for names of addresses at each start, and waits for each.
MOST_LOOKUP_SECONDS = 2.0
_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `remedy` has what to do; it is empty when nothing must be done."""

    check: str
    found: str
    remedy: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.remedy


def examine() -> Iterator[Finding]:
    """Yield the findings, each as soon as it is known; 10 s at most in all. A check that breaks is a finding too."""
    for name, check in _CHECKS.items():
        try:
            yield from check(name)
        except (LakeError, OSError) as error:
            yield Finding(name, str(error) or type(error).__name__, "correct this, and run `lake doctor` again.")


def _settings(name: str) -> Iterator[Finding]:
    try:
        settings = load_settings()
    except LakeError as error:
        yield Finding(name, str(error), "correct the variable.")
    else:
        yield Finding(name, f"target {settings.target}, home {settings.home}, bucket {settings.bucket}")


def _java(name: str) -> Iterator[Finding]:
    try:
        java = find_java()
    except LakeError as error:
        found, _, remedy = str(error).partition(": ")
        yield Finding(name, found, remedy)
        return
    match = re.search(r'version "([^"]+)"', java_version(java))
    yield Finding(name, f"{match[1] if match else 'unknown version'} at {java}")


def _jars(name: str) -> Iterator[Finding]:
    jars = needed_by([scheme(load_settings().bucket)], read_lock())
    lacking = missing(jars_folder(), jars)
    if lacking:
        first = lacking[0].coordinates.file_name
        yield Finding(name, f"{len(lacking)} of {len(jars)} are missing or differ, such as {first}", "run `make jars`.")
    else:
        yield Finding(name, f"{len(jars)} as in jars.lock")


def _packages(name: str) -> Iterator[Finding]:
    lock = PROJECT / "uv.lock"
    if not lock.exists():
        yield Finding(name, "not checked: there is no uv.lock beside the program")
        return
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(lock.read_text("utf-8"))["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    installed = {_normal(dist.metadata["Name"]): dist.version for dist in metadata.distributions()}
    wrong = sorted(
        f"{package} {version}"
        for package, version in installed.items()
        if package in locked and version not in locked[package] and package != "lake-assets"
    )
    required = {_normal(re.split(r"[^\w.-]", need)[0]) for need in _requirements()}
    wrong += sorted(f"{package} (missing)" for package in required - installed.keys())
    python = f"Python {sys.version.split()[0]}, "
    if wrong:
        yield Finding(
            name, f"{python}{len(wrong)} packages differ from uv.lock: {', '.join(wrong[:5])}", "run `make setup`."
        )
    else:
        yield Finding(name, f"{python}{len(installed)} packages as in uv.lock")


def _requirements() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    return project["project"]["dependencies"]


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _ports(name: str) -> Iterator[Finding]:
    layout = Home(lake_home())
    addresses = read_addresses(layout)
    if not addresses:
        yield Finding(name, "chosen by the first `lake up`")
        return
    own = {process.pid for process in owned_processes(layout)}
    listened: list[str] = []
    for port_name in (*PUBLISHED, *INTERNAL):
        port = int(addresses.get(port_name, 0))
        if not port or is_free(port) or (port_name == "postgres_port" and addresses.get("postgres") == "external"):
            continue
        pid, holder = port_holder(port)
        # The process of another user has no id here; it can be Postgres only while this lake is up.
        if pid not in own if pid is not None else not own:
            part = port_name.removesuffix("_port")
            remedy = f"end that process, or take '{port_name}' out of {layout.stack_file} for another port."
            yield Finding(name, f"port {port} of {part} is used by {holder}", remedy)
        else:
            listened.append(str(port))
    yield Finding(name, f"of this lake: {', '.join(listened)}" if listened else "all of this lake's are free")


def _disk(name: str) -> Iterator[Finding]:
    folder = lake_home()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB are free at {folder}"
    yield Finding(name, found, "make room: 3 GB should be free." if usage.free < NEEDED_DISK else "")


def _memory(name: str) -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    running = bool(owned_processes(Home(lake_home())))
    found = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB are available"
    if memory.total < NEEDED_MEMORY:
        yield Finding(name, found, "use a machine with 4 GB or more.")
    elif not running and memory.available < NEEDED_MEMORY:
        yield Finding(name, found, "end other programs: a lake that is up needs 2.2 GB, and a build some more.")
    else:
        yield Finding(name, found)


def _limits(name: str) -> Iterator[Finding]:
    for what, kind, needed, option in (
        ("open files", resource.RLIMIT_NOFILE, NEEDED_FILES, "n"),
        ("processes", resource.RLIMIT_NPROC, NEEDED_PROCESSES, "u"),
    ):
        soft, hard = resource.getrlimit(kind)
        found = f"{what}: {'unlimited' if soft == resource.RLIM_INFINITY else soft}"
        enough = soft == resource.RLIM_INFINITY or soft >= needed
        raisable = hard == resource.RLIM_INFINITY or hard >= needed
        who = "in the shell that starts the lake" if raisable else "as root, in /etc/security/limits.conf"
        yield Finding(name, found, "" if enough else f"raise it to {needed}: `ulimit -{option} {needed}` {who}.")


def _home(name: str) -> Iterator[Finding]:
    home = lake_home()
    if not home.exists():
        yield Finding(name, f"{home} does not exist yet")
        return
    info = home.stat()
    mode = stat.S_IMODE(info.st_mode)
    found = f"{home} has the mode {mode:04o}"
    if info.st_uid != os.geteuid():
        yield Finding(name, f"{found} and another owner", "run the lake as the user that owns its home.")
    elif mode & UMASK and not (mode == 0o710 and is_group_of_postgres(info.st_gid)):
        yield Finding(name, f"{found}: other users may enter", "close it with `lake up`.")
    else:
        secrets = Home(home).secrets
        opened = [path for path in secrets.rglob("*") if path.is_file() and path.stat().st_mode & UMASK]
        remedy = f"run `chmod 600 {opened[0]}`." if opened else ""
        yield Finding(name, f"{found}{f', and {len(opened)} secrets are open to others' if opened else ''}", remedy)


def _names(name: str) -> Iterator[Finding]:
    began = time.monotonic()
    try:
        addresses = sorted({str(info[4][0]) for info in socket.getaddrinfo("localhost", None)})
        host = socket.gethostname()
        socket.getaddrinfo(host, None)
        socket.getnameinfo(("127.0.0.1", 0), 0)
    except OSError as error:
        yield Finding(name, f"a name of this machine has no address ({error})", "add it to /etc/hosts, at 127.0.0.1.")
        return
    seconds = time.monotonic() - began
    found = f"localhost is {', '.join(addresses)}, and {host} has an address"
    if "127.0.0.1" not in addresses:
        yield Finding(name, found, "add `127.0.0.1 localhost` to /etc/hosts.")
    elif seconds > MOST_LOOKUP_SECONDS:
        yield Finding(name, f"{found}, after {seconds:.0f} s", f"add {host} to /etc/hosts, at 127.0.0.1.")
    else:
        yield Finding(name, found)


def _clocks(name: str) -> Iterator[Finding]:
    settings = load_settings()
    for server, read in (("Postgres", _postgres_time), ("Kafka Connect", _connect_time)):
        asked = time.time()
        try:
            server_time = read(settings)
        except Exception as error:
            yield Finding(name, f"{server} does not answer, so its clock is not compared ({type(error).__name__})")
            continue
        # An HTTP date has whole seconds.
        ahead = server_time - (asked + time.time()) / 2
        found = f"{server} is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
        remedy = "let NTP set the clocks of both machines." if abs(ahead) > MOST_CLOCK_SECONDS else ""
        yield Finding(name, found, remedy)


def _postgres_time(settings: Settings) -> float:
    import psycopg

    with psycopg.connect(settings.postgres.conninfo("lake"), connect_timeout=_SECONDS) as session:
        [(seconds,)] = session.execute("select extract(epoch from clock_timestamp())::float8").fetchall()
    return float(seconds)


def _connect_time(settings: Settings) -> float:
    import requests

    from lake_assets.landing.connect import rest_access

    response = requests.get(f"{settings.connect}/", timeout=_SECONDS, **rest_access(settings))
    return parsedate_to_datetime(response.headers["Date"]).timestamp()


_CHECKS: dict[str, Callable[[str], Iterator[Finding]]] = {
    "settings": _settings,
    "java": _java,
    "jars": _jars,
    "packages": _packages,
    "ports": _ports,
    "disk": _disk,
    "memory": _memory,
    "limits": _limits,
    "home": _home,
    "names": _names,
    "clock": _clocks,
}
