"""Dagster's default launcher, with the check for live run processes that the default lacks.

Without it a run stays `STARTED` for ever if its code server and process were both killed, or the machine went down.
Every condition that waits for runs in progress then waits for ever too. With it the monitoring daemon marks such a run
failed within seconds, and it is retried.
"""

import signal
import threading

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

GRACE_SECONDS = 20.0
CLOCK_SECONDS = 2.0  # the kernel's start time of a process and the clock of an event differ by less


class WatchedRunLauncher(DefaultRunLauncher):
    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run, and kill its process if it lives `GRACE_SECONDS` later: a hung one heeds no interrupt.

        A process of another container is left to its code server. That one sets an event which the run's process has to
        acknowledge. A hung one does not, and the code server would start no run any more.
        """
        process, run = self._process(run_id), self._instance.get_run_by_id(run_id)
        if process is None or run is None or run.is_finished:
            return super().terminate(run_id)
        self._instance.report_run_canceling(run)
        _send(process, signal.SIGINT)
        timer = threading.Timer(GRACE_SECONDS, _send, [process, signal.SIGKILL])
        timer.daemon = True
        timer.start()
        return True

    def _process(self, run_id: str) -> psutil.Process | None:
        """Return the live process that reported the start of a run."""
        starts = self._instance.all_logs(run_id, of_type=DagsterEventType.RUN_START)
        event = starts[-1].dagster_event if starts else None
        if event is None or event.pid is None or not _lives(event.pid, starts[-1].timestamp):
            return None
        try:
            return psutil.Process(event.pid)
        except psutil.NoSuchProcess:
            return None

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Report a run as running while the process that reported its start lives. Runs are on this machine only."""
        starts = self._instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
        event = starts[-1].dagster_event if starts else None
        if event is None or event.pid is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "the run has not reported its start")
        if _lives(event.pid, starts[-1].timestamp):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {event.pid} has ended")


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)  # psutil compares the start time: a later process with the pid is left alone
    except psutil.NoSuchProcess:
        return


def _lives(pid: int, reported_at: float) -> bool:
    """Return True if this process reported at that time (epoch seconds), not a later one with the same pid."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= reported_at + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
