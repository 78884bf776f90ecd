"""Interface of the services that can run a Spark job: find, submit, watch, cancel."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lake_assets.errors import LakeError

State = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class SparkJob:
    """One job to run. `name` is unique (a to z, 0 to 9 and -, at most 60 characters) and the same in a retry of a step.

    `tags` name the asset, the windows and the run. The service decides the sizes.
    """

    name: str
    arguments: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """State of a job. `detail` is the service's own sentence; `figures` are its cost, as the service counts it."""

    state: State
    detail: str = ""
    logs: str = ""
    figures: Mapping[str, float] = field(default_factory=dict[str, float])


class SparkRunner(Protocol):
    """A service that runs `spark/conform.py`. Each method raises LakeError when the service refuses it."""

    @property
    def interval(self) -> float:
        """Seconds between two checks of a job."""
        ...

    def find(self, name: str) -> JobStatus | None:
        """Return the job of that name, or None when it was never submitted."""
        ...

    def submit(self, job: SparkJob) -> None:
        """Start the job; a second call with the same name starts nothing."""
        ...

    def cancel(self, name: str) -> None:
        """End the job if it runs, and in any case delete what was created for it alone."""
        ...


@dataclass(frozen=True, slots=True)
class Orphan:
    """A cluster that was created for one job and is not needed any more. `cluster` is the service's name of it."""

    cluster: str
    job: str
    reason: str


class ClusterRunner(SparkRunner, Protocol):
    """A service that can create a cluster for a job.

    A cluster has the job's name (`lake-job`) and its latest end (`lake-until`), so that any lake of the account
    recognises an orphan and may end it.
    """

    def orphans(self, now: float) -> Sequence[Orphan]:
        """Return the clusters of jobs that have ended, and those past their end. `now` is in seconds since 1970."""
        ...

    def end_cluster(self, cluster: str) -> None:
        """End the cluster, if it exists."""
        ...


class JobFailed(LakeError):
    """The job did not succeed, in time or at all; nothing of it was published."""

    exit_code = 1


def fresh_name(runner: SparkRunner, name: str) -> str:
    """Return the name under which to run a job: that of its last attempt if it runs or succeeded, else a new one."""
    attempt = 1
    while (status := runner.find(f"{name}-{attempt}")) and status.state in ("failed", "cancelled"):
        attempt += 1
    return f"{name}-{attempt}"


def run_to_end(runner: SparkRunner, job: SparkJob, timeout: float, on_status: Callable[[JobStatus], None]) -> JobStatus:
    """Submit the job unless it exists, and wait until it succeeded. `timeout` is in seconds.

    Raises JobFailed. Anything else that ends the wait, such as a cancelled run, cancels the job. Afterwards nothing
    exists that was created for the job alone.
    """
    deadline = time.monotonic() + timeout
    try:
        runner.submit(job)
        while True:
            status = runner.find(job.name)
            if status is None:
                raise JobFailed(f"the Spark job {job.name} is missing: run it again.")
            on_status(status)
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
    # The job is over either way: a cluster that cannot be ended now is ended by its time limit, or as an orphan.
    with contextlib.suppress(LakeError):
        runner.cancel(job.name)
    if status.state != "succeeded":
        reason = f": {status.detail.rstrip('.')}" if status.detail else ""
        raise JobFailed(f"the Spark job {job.name} {status.state}{reason}. Its log: {status.logs or 'none'}")
    return status
