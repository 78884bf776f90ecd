"""Python processes that start warm: one server for each pytest worker has imported the lake, and forks for each call.

A call is a process of its own, with its own environment, folder, files, exit code and signals; only its imports are not
paid for again, which is up to 2.3 s of CPU. `tests/stack/test_warm.py` compares it with a true start.
"""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from unittest import mock

from lake_assets.settings import PROJECT

LAKE = str(Path(sys.executable).parent / "lake")
# No thread survives a fork: numpy's and pyarrow's libraries start theirs when they are imported, unless disabled.
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
SERVER = {**NO_THREADS, "PYTHONPATH": str(PROJECT)}
SECONDS = 300
# `Process.start` also reads how earlier processes ended, from pipes that can be read once.
_lock = threading.Lock()


def run_lake(
    args: Sequence[str], environment: Mapping[str, str], stdin: bytes | None = None, seconds: float = SECONDS
) -> "subprocess.CompletedProcess[bytes]":
    """Run `lake` in the current folder, as `subprocess.run` would. Raises TimeoutExpired."""
    return _run([LAKE, *args], environment, stdin, Path.cwd(), seconds)


def run_module(
    module: str,
    *args: str,
    environment: Mapping[str, str] = os.environ,
    stdin: bytes | None = None,
    folder: Path = PROJECT,
    seconds: float = SECONDS,
) -> "subprocess.CompletedProcess[bytes]":
    """Run `python -m module` as `subprocess.run` would. Raises TimeoutExpired."""
    return _run(["-m", module, *args], environment, stdin, folder, seconds)


def _run(
    command: Sequence[str], environment: Mapping[str, str], stdin: bytes | None, folder: Path, seconds: float
) -> "subprocess.CompletedProcess[bytes]":
    with ExitStack() as opened:
        # No pipes for what it writes: a server that it starts may hold them open when it has ended.
        out, err = (opened.enter_context(TemporaryFile()) for _ in range(2))
        if stdin is None:
            process = _start(command, environment, folder, opened.enter_context(Path(os.devnull).open("rb")), out, err)
        else:
            reading, writing = map(os.fdopen, os.pipe(), ("rb", "wb"))
            with reading:
                process = _start(command, environment, folder, reading, out, err)
            threading.Thread(target=_feed, args=(writing, stdin), daemon=True).start()
        code = _wait(process, seconds)
        written = []
        for file in (out, err):
            file.seek(0)
            written.append(file.read())
        if code is None:
            raise subprocess.TimeoutExpired(list(command), seconds, *written)
        return subprocess.CompletedProcess(list(command), code, *written)


def _start(command: Sequence[str], environment: Mapping[str, str], folder: Path, *files: IO[Any]) -> ForkServerProcess:
    process = _Call(command, environment, folder, files)
    with _lock, mock.patch.dict(os.environ, SERVER):
        forkserver.set_forkserver_preload(["tests.support.warm_imports"])
        process.start()
    return process


def _wait(process: ForkServerProcess, seconds: float) -> int | None:
    """Return the exit code, or None when the process had to be killed."""
    ended = connection.wait([process.sentinel], seconds)
    if not ended:
        process.kill()
        connection.wait([process.sentinel])
    with _lock:
        return process.exitcode if ended else None


def _feed(pipe: IO[bytes], content: bytes) -> None:
    with suppress(BrokenPipeError), pipe:  # it may end without reading all
        pipe.write(content)


class _Call(ForkServerProcess):
    """A process of the server."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, files: Sequence[IO[Any]]
    ) -> None:
        super().__init__()
        self.command, self.environment, self.folder = list(command), dict(environment), str(folder)
        self.files = files

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to the process; of the files their descriptors."""
        return {**self.__dict__, "files": [DupFd(file.fileno()) for file in self.files]}

    def run(self) -> None:
        """Become the command, in the process."""
        self._become()
        try:
            if self.command[0] == "-m":
                sys.argv = self.command[1:]
                runpy.run_module(self.command[1], run_name="__main__", alter_sys=True)
            else:
                sys.argv = self.command
                runpy.run_path(self.command[0], run_name="__main__")
        except KeyboardInterrupt:  # the way in which Python itself ends by it
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            sys.stdout.flush()
            atexit._run_exitfuncs()

    def _become(self) -> None:
        for target, file in enumerate(self.files):
            source = file.detach()
            os.dup2(source, target)
            os.close(source)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        time.tzset()
