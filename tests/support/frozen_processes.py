"""Stopped processes, as on a machine that swaps or a virtual machine that is moved."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

import psutil

from tests.support.conditions import wait_until


def freeze(pid: int) -> None:
    """Return when the process stands still. The signal alone lets its other threads run on for a while: a broker on
    a busy machine still confirmed the event that was sent after it."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, every=0.01)


@contextmanager
def frozen(*pids: int) -> Generator[None]:
    """Processes that stand still meanwhile, and know nothing of it when they go on."""
    for pid in pids:
        freeze(pid)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
