"""The ports of one lake: chosen once from free ports, written to stack.json, then reused."""

import json
import os
import socket
import zlib
from pathlib import Path

import psutil

from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.local_files import write_atomically

THIS_MACHINE = "127.0.0.1"
# Below the range that operating systems give to outgoing connections, so that a chosen port stays free for the lake.
FIRST_PORT, PORT_COUNT = 20000, 10000
# Ports that users and external connectors know: never changed silently.
PUBLISHED = ("postgres_port", "kafka_port", "connect_port", "dagster_port", "dashboard_port")
INTERNAL = ("controller_port",)


class PortTaken(LakeError):
    """A published port of this lake is used by another process."""

    exit_code = 3


def is_free(port: int) -> bool:
    """Return True if 127.0.0.1:port can be bound now (connections in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def read_addresses(layout: Home) -> dict[str, int | str]:
    """Return the contents of stack.json; empty before the first `lake up`."""
    if not layout.stack_file.exists():
        return {}
    return json.loads(layout.stack_file.read_text("utf-8"))


def write_addresses(layout: Home, addresses: dict[str, int | str]) -> None:
    """Replace stack.json atomically, so that a reader never sees a partial file."""
    write_atomically(layout.stack_file, json.dumps(addresses, indent=2) + "\n")


def choose_ports(addresses: dict[str, int | str], home: Path, running: frozenset[str]) -> dict[str, int | str]:
    """Return `addresses` with a free port under each missing name; raises PortTaken.

    `running` names the ports whose own part is listening now: those are not probed. A published port used by another
    process is an error; an internal one is replaced.
    """
    chosen = dict(addresses)
    for name in (*PUBLISHED, *INTERNAL):
        port = int(chosen.get(name, 0))
        if not port or name in running or is_free(port):
            continue
        if name in PUBLISHED:
            raise PortTaken(
                f"Port {port}, this lake's {name.removesuffix('_port')}, is used by {port_holder(port)[1]}: "
                f"end that process, or take '{name}' out of {home / 'stack.json'} to have another port picked."
            )
        del chosen[name]
    # Each home starts its search somewhere else, so that lakes side by side rarely meet.
    candidate = zlib.crc32(os.fsencode(home)) % PORT_COUNT
    taken = {int(chosen[name]) for name in (*PUBLISHED, *INTERNAL) if name in chosen}
    for name in (*PUBLISHED, *INTERNAL):
        while name not in chosen:
            port = FIRST_PORT + candidate % PORT_COUNT
            candidate += 1
            if port not in taken and is_free(port):
                chosen[name] = port
    return chosen


def port_holder(port: int) -> tuple[int | None, str]:
    """Return the process that listens on the port, as its id and in words, as far as this user may see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None, "another process"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            return connection.pid, f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return None, "another process"
