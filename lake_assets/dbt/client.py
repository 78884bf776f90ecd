"""`lake-dbt`: dbt with the lake's settings, run by the resident server if it is up, else by dbt itself.

Starting Python is most of the cost, so this module imports small modules of the standard library only.
"""

import array
import json
import os
import signal
import socket
import sys
from pathlib import Path

ADDRESS = "run/dbt.sock"
STARTED = b"!"  # the first byte of an answer; the second is the exit code


def main() -> int:
    """Return the exit code of the dbt call; 130, 137 and the like when a signal ended it."""
    server = _connect()
    if server is not None and _send(server):
        return _wait(server)
    os.execv(sys.executable, [sys.executable, "-m", "lake_assets.dbt.call", *sys.argv[1:]])  # noqa: S606


def _connect() -> socket.socket | None:
    address = _home() / ADDRESS
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # If the home's path is too long for a socket, a file of that name contains the socket's path.
        server.connect(address.read_text("utf-8") if address.is_file() else str(address))
    except OSError:
        return None
    return server


def _home() -> Path:
    """Return `lake_assets.settings.lake_home()`, whose module costs more to import than all of this one."""
    project = Path(__file__).resolve().parent.parent.parent
    return Path(os.environ.get("LAKE_HOME", project / ".lake")).expanduser().resolve()


def _send(server: socket.socket) -> bool:
    """Send the call with this process's own files, and from now on its signals; return True if dbt has started."""
    call = json.dumps({"args": sys.argv[1:], "cwd": str(Path.cwd()), "environment": dict(os.environ)}).encode()
    files = array.array("i", [0, 1, 2])
    try:
        server.sendmsg([len(call).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        server.sendall(call)
        if server.recv(1) != STARTED:
            return False
    except OSError:
        return False
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: server.sendall(bytes([received])))
    return True


def _wait(server: socket.socket) -> int:
    code = server.recv(1)
    if code:
        return code[0]
    sys.stderr.write("lake-dbt: dbt was killed before it returned an exit code; call again.\n")
    return 128 + signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main())
