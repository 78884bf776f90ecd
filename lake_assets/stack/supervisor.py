"""Start supervisord (PyPI: supervisor) and call it by XML-RPC on a unix socket."""

import http.client
import os
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from lake_assets.errors import Unavailable
from lake_assets.home import Home, socket_path
from lake_assets.stack.programs import OWNER_VARIABLE
from lake_assets.waiting import poll_until

NOT_FOR_CHILDREN = ("LAKE_POSTGRES_DSN", "PGPASSWORD", "PYTHONDONTWRITEBYTECODE")


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)


class Supervisor:
    """The supervisord of one lake. Each method is one request; all raise Unavailable if it does not run."""

    def __init__(self, layout: Home) -> None:
        self._layout = layout

    def is_running(self) -> bool:
        try:
            self._call("getState")
        except Unavailable:
            return False
        return True

    def start(self) -> None:
        """Start supervisord in the background and wait until it answers. Our secrets are not passed on."""
        environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_CHILDREN}
        environment[OWNER_VARIABLE] = str(self._layout.home)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._layout.supervisor_config)]
        if os.geteuid() == 0:
            command += ["-u", "root"]  # explicit, else supervisord warns at each start
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if not poll_until(self.is_running, lambda running: running or result.returncode != 0, 10, every=0.05):
            messages = (result.stderr or result.stdout).strip().splitlines() or ["it does not answer"]
            raise Unavailable(f"The supervisor did not start: {messages[-1]} (see {self._layout.log('supervisor')}).")

    def apply_config(self) -> None:
        """Reload a changed configuration file: changed programs are stopped; the caller starts them."""
        ((added, changed, removed),) = self._call("reloadConfig")
        for name in (*removed, *changed):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return supervisor's record of each program, by name: statename, pid, start (epoch seconds), spawnerr, ..."""
        return {process["name"]: process for process in self._call("getAllProcessInfo")}

    def start_program(self, name: str) -> None:
        """Request a start without waiting; a running program is left alone."""
        state = self.processes()[name]["statename"]
        if state == "BACKOFF":
            self.stop_program(name)  # else it waits for its next retry
        if state not in ("RUNNING", "STARTING"):
            try:
                self._call("startProcess", name, False)
            except xmlrpc.client.Fault as fault:
                # A program that exited at once is retried; the caller that waits for it reports the cause.
                if fault.faultString.partition(":")[0] not in ("ALREADY_STARTED", "SPAWN_ERROR"):
                    raise

    def stop_program(self, name: str) -> None:
        """Stop one program and wait until it has exited."""
        try:
            self._call("stopProcess", name)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise

    def kill_program(self, name: str) -> None:
        """Kill the program's own process, not its children; supervisor restarts it at once."""
        self._call("signalProcess", name, "KILL")

    def pid(self) -> int:
        return self._call("getPID")

    def shutdown(self, steps: Iterable[Iterable[str]]) -> None:
        """Stop the programs, those of one step in parallel, then supervisord itself; return when it has exited."""
        supervisord = psutil.Process(self.pid())
        present = self.processes()
        for step in steps:
            names = [name for name in step if name in present]
            if names:
                with ThreadPoolExecutor(len(names)) as pool:
                    list(pool.map(self.stop_program, names))
        self._call("shutdown")
        supervisord.wait(timeout=60)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _SocketTransport(socket_path(self._layout.home, "supervisor.sock"))
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException):
            raise Unavailable("The embedded stack is not running: start it with `lake up`.") from None


def owned_processes(layout: Home) -> list[psutil.Process]:
    """Return every live process that was started for this home, with or without a supervisor."""
    owned: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == str(layout.home):
                owned.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    ancestors = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in owned if process.pid not in ancestors]


def orphans(layout: Home, supervisor: Supervisor) -> list[psutil.Process]:
    """Return processes of this home outside the supervisor's tree; all of them if it does not run.

    A run whose code server was replaced is one, and continues to its end.
    """
    owned = owned_processes(layout)
    if not supervisor.is_running():
        return owned
    root = supervisor.pid()
    return [process for process in owned if not _belongs_to(root, process)]


def _belongs_to(root: int, process: psutil.Process) -> bool:
    try:
        return process.pid == root or any(parent.pid == root for parent in process.parents())
    except psutil.NoSuchProcess:
        return True


def end_processes(processes: list[psutil.Process], seconds: float = 20) -> None:
    """Terminate these processes, and kill those that have not exited after `seconds`."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)
