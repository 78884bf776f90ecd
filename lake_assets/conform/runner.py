"""What every place that can run a Spark job has in common: find, submit, watch, cancel."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lake_assets.errors import LakeError

State = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class SparkJob:
    """One job to run. `name` tells it from all others (a to z, 0 to 9 and -, at most 60 characters) and stays the
    same when a step is tried again. `tags` name the asset, the windows and the run. Sizes are left to the place."""

    name: str
    arguments: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job is. `detail` is the place's own sentence; `figures` are what it costs, as the place counts it."""

    state: State
    detail: str = ""
    logs: str = ""
    figures: Mapping[str, float] = field(default_factory=dict[str, float])


class SparkRunner(Protocol):
    """A place that runs `spark/conform.py`. Each method raises LakeError when the place refuses it."""

    @property
    def interval(self) -> float:
        """Seconds between two looks at a job."""
        ...

    def find(self, name: str) -> JobStatus | None:
        """The job of that name, or None when it was never submitted."""
        ...

    def submit(self, job: SparkJob) -> None:
        """Starts the job; a second call with the same name starts nothing."""
        ...

    def cancel(self, name: str) -> None:
        """Ends the job if it runs, and what was made for it alone in any case."""
        ...


@dataclass(frozen=True, slots=True)
class Orphan:
    """A cluster that was made for one job and is not needed any more. `cluster` is what the place calls it."""

    cluster: str
    job: str
    reason: str


class ClusterRunner(SparkRunner, Protocol):
    """A place that can make a cluster for a job. What makes a cluster an orphan is written on it, so that any lake
    of the account may end it: the job's name (`lake-job`), and when at the latest it is over (`lake-until`)."""

    def orphans(self, now: float) -> Sequence[Orphan]:
        """The clusters made for a job that has ended, or whose time is over. `now` is in seconds since 1970."""
        ...

    def end_cluster(self, cluster: str) -> None:
        """Ends it; nothing when it is gone."""
        ...


class JobFailed(LakeError):
    """The job did not succeed, in time or at all; nothing of it was published."""

    exit_code = 1


def fresh_name(runner: SparkRunner, name: str) -> str:
    """The name under which to run a job: that of its last attempt if it runs or succeeded, else a new one."""
    attempt = 1
    while (found := runner.find(f"{name}-{attempt}")) and found.state in ("failed", "cancelled"):
        attempt += 1
    return f"{name}-{attempt}"


def run_to_end(runner: SparkRunner, job: SparkJob, timeout: float, on_look: Callable[[JobStatus], None]) -> JobStatus:
    """Submits the job unless it is there, and waits until it succeeded. `timeout` is in seconds.

    Raises JobFailed. Whatever else ends the wait (the run is cancelled, say) cancels the job. What was made for the
    job alone is gone afterwards.
    """
    deadline = time.monotonic() + timeout
    try:
        runner.submit(job)
        while True:
            status = runner.find(job.name)
            if status is None:
                raise JobFailed(f"the Spark job {job.name} is gone: run it again.")
            on_look(status)
            if status.state != "running":
                break
            if time.monotonic() > deadline:
                raise JobFailed(f"the Spark job {job.name} took longer than {timeout:,.0f} s and was cancelled.")
            time.sleep(runner.interval)
    except BaseException as error:
        try:
            runner.cancel(job.name)
        except LakeError as refused:
            error.add_note(f"The Spark job {job.name} may still run, it could not be cancelled: {refused}")
        raise
    # The job is over either way: a cluster that cannot be ended now is ended by its own time limit or the reaper.
    with contextlib.suppress(LakeError):
        runner.cancel(job.name)
    if status.state != "succeeded":
        reason = f": {status.detail.rstrip('.')}" if status.detail else ""
        raise JobFailed(f"the Spark job {job.name} {status.state}{reason}. Its log: {status.logs or 'none'}")
    return status
