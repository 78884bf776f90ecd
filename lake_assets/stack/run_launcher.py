"""Dagster's default launcher, and an answer to "does this run's process still live?", which the default cannot give.

Without it a run whose code server and process were both killed, or that a machine took down with it, stays `STARTED`
for ever; every condition that waits for runs in progress then waits for ever too. With it the monitoring daemon marks
such a run failed within seconds, and it is retried.
"""

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

CLOCK_SECONDS = 2.0  # the kernel's start time of a process and the clock of an event differ by less


class WatchedRunLauncher(DefaultRunLauncher):
    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Running as long as the process that reported the run's start lives; runs are on this machine only."""
        starts = self._instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
        event = starts[-1].dagster_event if starts else None
        if event is None or event.pid is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "it has not reported its start")
        if _lives(event.pid, starts[-1].timestamp):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {event.pid} has ended")


def _lives(pid: int, reported_at: float) -> bool:
    """Whether this is the process that reported at that time (epoch seconds), not a later one of the same number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= reported_at + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
