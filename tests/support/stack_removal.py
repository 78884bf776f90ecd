"""End of a stack whose data is not needed any more."""

import signal
from contextlib import suppress
from pathlib import Path

import psutil

from lake_assets.errors import Unavailable
from lake_assets.home import Home, remove_sockets
from lake_assets.stack.supervisor import Supervisor, owned_processes
from tests.support.conditions import wait_until


def end_stack(home: Path) -> None:
    """Kill every process of a lake, and return when all have ended. `down` takes 10 s, because parts end in turn and
    keep what they have."""
    layout = Home(home)
    with suppress(Unavailable, psutil.NoSuchProcess):  # the supervisor first, which would start them again
        psutil.Process(Supervisor(layout).pid()).kill()
    owned = owned_processes(layout)
    for process in owned:
        with suppress(psutil.NoSuchProcess):
            _end(process)
    wait_until(lambda: not any(map(_lives, owned)), 60)
    remove_sockets(home)


def _end(process: psutil.Process) -> None:
    """Postgres gets the signal to end at once, and ends its children: killed, it leaves shared memory behind."""
    if process.name() != "postgres":
        process.kill()
    elif (parent := process.parent()) is None or parent.name() != "postgres":
        process.send_signal(signal.SIGQUIT)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
