"""Processes of runs, forked from Python's fork server, which has imported `lake_assets.stack.preload`."""

from multiprocessing import current_process, forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from lake_assets.home import socket_path

PRELOAD = "lake_assets.stack.preload"
# Python's own prefix.
_LISTENER = "listener-"


class RunProcess(ForkServerProcess):
    """A process of one run."""

    def run(self) -> None:
        from lake_assets.stack.preload import loaded

        loaded.refresh()
        super().run()


class RunContext(ForkServerContext):
    """The context of `multiprocessing` in which processes are runs."""

    Process = RunProcess  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]


def run_context(home: Path) -> RunContext:
    """Start the fork server, which loads the definitions meanwhile, and return the context of its processes.

    Its socket is among those of the lake: in the temporary folder a killed code server would leave one at each reload.
    """
    folder = socket_path(home, f"{_LISTENER}12345678").parent
    for stale in folder.glob(f"{_LISTENER}*"):
        stale.unlink(missing_ok=True)
    current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]
    context = RunContext()
    context.set_forkserver_preload([PRELOAD])
    forkserver.ensure_running()
    return context
