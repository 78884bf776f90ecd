"""Commands on a machine without network, each in a process of its own: `-m tests.support.offline_machine`.

It has a network of nothing but a loopback, and a resolver that is not on it. Who tries to reach the outside, by name or
by address, fails at once, and the kernel counts it. A machine that allows no namespaces gets less: Python's sockets
refuse and count, the JVMs know no name but localhost.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

PROJECT = Path(__file__).parents[2]
_NEW_MOUNTS, _NEW_NAMES, _NEW_USER, _NEW_NETWORK = 0x20000, 0x4000000, 0x10000000, 0x40000000
_BIND, _PRIVATE, _RECURSIVE = 0x1000, 0x40000, 0x4000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
# Never assigned (RFC 5737), so it cannot be the machine's own.
RESOLVER = "192.0.2.53"
# Where `sitecustomize` of tests/support/refusing writes each attempt.
ATTEMPTS = "LAKE_TEST_ATTEMPTS"
_libc = ctypes.CDLL(None, use_errno=True)


class Answer(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


class Offline:
    """The process, as the tests use it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.support.offline_machine"]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.attempts = 0

    def __call__(self, *command: str, stdin: str = "") -> Answer:
        """Run a command; afterwards `attempts` counts all attempts to reach the outside so far."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"command": command, "stdin": stdin}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        self.attempts = answer.pop("attempts")
        return Answer(**answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _leave_network(folder: Path) -> None:
    """Leave the network. Raise OSError where the machine does not allow it."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", _NEW_NETWORK | _NEW_MOUNTS | _NEW_NAMES | (_NEW_USER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny", "utf-8")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "utf-8")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "utf-8")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(asked, _GET_FLAGS, struct.pack("16sh14x", b"lo", 0)))
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
    # A resolver of this machine would answer, or would be asked without leaving it.
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n", "utf-8")
    _call("mount", None, b"/", None, _PRIVATE | _RECURSIVE, None)
    _call("mount", str(folder / "resolv.conf").encode(), b"/etc/resolv.conf", None, _BIND, None)
    # Else the machine's own name is asked for where /etc/hosts does not know it.
    socket.sethostname("localhost")


def _refuse(folder: Path) -> None:
    """Refuse connections as far as possible without namespaces."""
    (folder / "hosts").write_text("127.0.0.1 localhost\n", "utf-8")
    os.environ[ATTEMPTS] = str(folder / "attempts")
    os.environ["PYTHONPATH"] = f"{PROJECT / 'tests' / 'support' / 'refusing'}:{os.environ.get('PYTHONPATH', '')}"
    os.environ["JAVA_TOOL_OPTIONS"] = (
        f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} -Djdk.net.hosts.file={folder / 'hosts'}".strip()
    )


def _attempts(folder: Path) -> int:
    """Packets for which there was no route, and what Python refused."""
    refused = folder / "attempts"
    names, numbers = (
        line.split() for line in Path("/proc/net/snmp").read_text("utf-8").splitlines() if line.startswith("Ip:")
    )
    unrouted = int(dict(zip(names, numbers, strict=True))["OutNoRoutes"])
    for line in Path("/proc/net/snmp6").read_text("utf-8").splitlines():
        unrouted += int(line.split()[1]) if line.startswith("Ip6OutNoRoutes") else 0
    return unrouted + (len(refused.read_text("utf-8").splitlines()) if refused.exists() else 0)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            _leave_network(folder)
        except OSError:
            _refuse(folder)
        before = _attempts(folder)
        for line in sys.stdin:
            asked = json.loads(line)
            done = subprocess.run(
                asked["command"], input=asked["stdin"], capture_output=True, check=False, text=True, timeout=600
            )
            answer = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
            print(json.dumps({**answer, "attempts": _attempts(folder) - before}), flush=True)


if __name__ == "__main__":
    main()
