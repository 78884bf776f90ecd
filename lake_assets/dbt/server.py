"""A resident process that has imported dbt and forks one child for each call of `lake-dbt`.

dbt as a process spends 5 to 8 s on imports. A child forked from here has them already, runs in its own memory, and uses
the caller's files, folder and environment. Otherwise it is an ordinary dbt: it reads the project again each time, so a
changed file is noticed. The server itself never runs a thread and never connects DuckDB, because neither survives a
fork. Run it as `python -m lake_assets.dbt.server`.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psutil

from lake_assets.dbt.call import call_dbt
from lake_assets.dbt.client import ADDRESS, STARTED
from lake_assets.dbt.environment import dbt_environment
from lake_assets.home import socket_path
from lake_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from dbt.contracts.graph.nodes import Macro

IMPORTED_LATE = ("dbt.task.build", "multiprocessing.dummy")  # by `dbt build`, not by `dbt parse`
STOP_SECONDS = 5
STOP_ATTEMPTS = 4
STOP = object()


def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings()
    # Calls that arrive during dbt's import wait in the socket's queue: that is shorter than importing it twice.
    listener = _listen(settings.home)
    # dbt creates locks for processes that it never starts; their tracker would complain when this process exits.
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    signal.signal(signal.SIGTERM, _exit)
    started = time.monotonic()
    macros = _import_dbt(settings)
    # The kernel reaps the children: no code waits for them here, each sends its exit code to its client.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _log(f"dbt server: ready after {time.monotonic() - started:.1f} s, answering on {listener.getsockname()}")
    _serve(listener, macros)


def _exit(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _serve(listener: socket.socket, macros: Iterator[None]) -> None:
    """Fork for each call; while there is none, prepare one macro after the other."""
    has_macros = True
    while True:
        listener.settimeout(0 if has_macros else None)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            has_macros = next(macros, STOP) is not STOP
            continue
        if os.fork() == 0:
            listener.close()
            os._exit(_answer(connection))
        connection.close()


def _import_dbt(settings: Settings) -> Iterator[None]:
    """Import the modules that calls need, for this target only; return the rest of the preparation, step by step."""
    for module in (f"dbt.adapters.{settings.profile.dbt_adapter}", *IMPORTED_LATE):
        importlib.import_module(module)
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.clients.agate_helper import build_type_tester

    build_type_tester(())  # reads the locale's number formats, once
    os.environ.update(dbt_environment(settings, os.environ))
    # The static parser would start threads.
    arguments = ["--quiet", "--log-level-file", "none", "--no-static-parser", "parse"]
    result = dbtRunner().invoke(arguments)  # pyright: ignore[reportUnknownMemberType] - its keywords have no types
    if settings.target == "local":
        # Importing duckdb opens a database for its module-level functions, which has a thread. Nothing here uses it.
        importlib.import_module("duckdb").default_connection().close()
    threads = psutil.Process().num_threads()
    if threads > 1:
        raise RuntimeError(f"the dbt server has {threads} threads, which would not survive a fork")
    return _compile_macros(result.result.macros.values() if isinstance(result.result, Manifest) else ())


def _compile_macros(macros: "Iterable[Macro]") -> Iterator[None]:
    """Fill dbt's cache of compiled macros: a call would compile each one it uses, 5 ms apiece."""
    from dbt_common.clients.jinja import template_cache

    for macro in macros:
        template_cache.get_node_template(macro)
        yield
    gc.collect()
    gc.freeze()  # the collector of children need not scan these objects


def _listen(home: Path) -> socket.socket:
    """Return a socket that only this user may open. It replaces one that an earlier server left behind."""
    path = socket_path(home, Path(ADDRESS).name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    listener.bind(str(path))
    os.umask(before)
    listener.listen(16)
    if path != home / ADDRESS:
        (home / ADDRESS).write_text(str(path), "utf-8")
    return listener


def _answer(connection: socket.socket) -> int:
    """Become the caller in the child, run dbt, return the exit code to the client."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connection.settimeout(None)
    code = 1
    try:
        head, files = _receive_files(connection)
        if not head:
            return 0  # the connection was only a health check
        args = _become_caller(connection, head, files)
        connection.sendall(STARTED)
        threading.Thread(target=_forward_signal, args=(connection,), daemon=True).start()
        code = call_dbt(args)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    # The client leaves as soon as it has the code, and `_forward_signal` would take that for its death.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    with contextlib.suppress(OSError):  # the client may have exited
        connection.sendall(bytes([code & 0xFF]))
    return code


def _receive_files(connection: socket.socket) -> tuple[bytes, Sequence[int]]:
    """Return the length of the call, empty if there is none, and the caller's stdin, stdout and stderr."""
    files = array.array("i")
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * files.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(data)
    return head, files


def _become_caller(connection: socket.socket, head: bytes, files: Sequence[int]) -> list[str]:
    """Take over the caller's files, folder and environment; return the arguments of the call."""
    call = json.loads(connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    for target, source in enumerate(files):
        os.dup2(source, target)
        os.close(source)
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    return call["args"]


def _forward_signal(connection: socket.socket) -> None:
    """Forward the client's signal in a thread of the child, and stop when the client exits."""
    number = b""
    with contextlib.suppress(ConnectionError):
        number = connection.recv(1)
    os.kill(os.getpid(), number[0] if number else signal.SIGINT)
    for _ in range(STOP_ATTEMPTS):
        time.sleep(STOP_SECONDS)
        # Repeated, because dbt may swallow one.
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
