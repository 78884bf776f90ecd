"""Spark on EMR on EC2: a step on a given cluster, or on one that is created for the job and ends with it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lake_assets.aws import client, refusals
from lake_assets.conform.runner import JobStatus, Orphan, SparkJob
from lake_assets.conform.runners import aws
from lake_assets.conform.runners.code import Code, CodeUrls, as_arguments
from lake_assets.conform.runners.emr_cluster import OVER, EmrCluster
from lake_assets.conform.runners.environment import given
from lake_assets.settings import Settings

_REMEDY = "LAKE_EMR_CLUSTER or the other LAKE_EMR_ settings, and the AWS credentials"
_ENDED = ("COMPLETED", "FAILED", "INTERRUPTED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Emr:
    """Runner of steps on EMR. `cluster` is the id of a given cluster, or the kind to create for each job.

    `client` is boto3's for `emr`; `starter` is another one that repeats nothing. `logs` is a URL; `timeout` and
    `interval` are in seconds.
    """

    client: Any
    starter: Any
    cluster: str | EmrCluster
    code: Code
    logs: str
    timeout: float
    interval: float = 15.0
    _steps: dict[str, tuple[str, str]] = field(
        default_factory=dict[str, tuple[str, str]], init=False, repr=False, compare=False
    )

    @classmethod
    def from_environment(cls, settings: Settings) -> "Emr":
        """Read the environment variables; without `LAKE_EMR_CLUSTER` each job gets a cluster of its own.

        Raises SettingsError naming the variable to set.
        """
        return cls(
            cluster=given("LAKE_EMR_CLUSTER") or EmrCluster.from_environment(),
            code=Code.of(settings),
            logs=given("LAKE_EMR_LOGS", f"{settings.bucket}/jobs/logs").rstrip("/"),
            timeout=settings.spark.timeout,
            client=client("emr"),
            starter=client("emr", attempts=1),
        )

    def find(self, name: str) -> JobStatus | None:
        with refusals("EMR", _REMEDY):
            ids = self._steps.get(name) or self._look_up(name)
            if ids is None:
                return None
            self._steps[name] = ids
            cluster_id, step_id = ids
            # The cluster first: a step that is seen running after its cluster's end has no end of its own.
            cluster = self.client.describe_cluster(ClusterId=cluster_id)["Cluster"]
            step = self.client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
        logs = f"{str(cluster.get('LogUri') or self.logs).rstrip('/')}/{cluster_id}/steps/{step_id}/"
        return _status(step, cluster, logs, own_cluster=isinstance(self.cluster, EmrCluster))

    def submit(self, job: SparkJob) -> None:
        if self.find(job.name) is not None:
            return
        step = _step(job, self.code, self.code.uploaded())
        pause = self.interval / 15
        aws.start_once(lambda: self.find(job.name) is not None, lambda: self._start(job, step), pause)

    def cancel(self, name: str) -> None:
        if self.find(name) is None:
            return
        cluster_id, step_id = self._steps[name]
        if isinstance(self.cluster, EmrCluster):
            return self.end_cluster(cluster_id)
        with refusals("EMR", _REMEDY):
            step = self.client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
            if step["Status"]["State"] not in _ENDED:
                self.client.cancel_steps(
                    ClusterId=cluster_id, StepIds=[step_id], StepCancellationOption="TERMINATE_PROCESS"
                )

    def orphans(self, now: float) -> Sequence[Orphan]:
        with refusals("EMR", _REMEDY):
            pages = self.client.get_paginator("list_clusters").paginate(
                ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
            )
            orphans = [self._orphan(cluster["Id"], now) for page in pages for cluster in page["Clusters"]]
        return [orphan for orphan in orphans if orphan]

    def end_cluster(self, cluster: str) -> None:
        with refusals("EMR", _REMEDY):
            state = self.client.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]
            if state not in OVER:
                self.client.terminate_job_flows(JobFlowIds=[cluster])

    def _start(self, job: SparkJob, step: dict[str, object]) -> None:
        with refusals("EMR", _REMEDY):
            if isinstance(self.cluster, EmrCluster):
                self.starter.run_job_flow(**self.cluster.request(job, step, self.logs, time.time() + self.timeout))
            else:
                self.starter.add_job_flow_steps(JobFlowId=self.cluster, Steps=[step])

    def _look_up(self, name: str) -> tuple[str, str] | None:
        """Return the ids of the cluster and the step of that name. They are listed only until they are known."""
        cluster_id = self._cluster_of(name) if isinstance(self.cluster, EmrCluster) else self.cluster
        if cluster_id is None:
            return None
        step_id = next((step["Id"] for step in self._steps_of(cluster_id) if step["Name"] == name), None)
        return (cluster_id, step_id) if step_id else None

    def _cluster_of(self, name: str) -> str | None:
        pages = self.client.get_paginator("list_clusters").paginate(CreatedAfter=time.time() - aws.LOOKBACK_SECONDS)
        return next((cluster["Id"] for page in pages for cluster in page["Clusters"] if cluster["Name"] == name), None)

    def _steps_of(self, cluster_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield the steps, newest first, as EMR lists them, and none that is older than a job can be."""
        for page in self.client.get_paginator("list_steps").paginate(ClusterId=cluster_id):
            for step in page["Steps"]:
                if step["Status"]["Timeline"]["CreationDateTime"].timestamp() < time.time() - aws.LOOKBACK_SECONDS:
                    return
                yield step

    def _orphan(self, cluster_id: str, now: float) -> Orphan | None:
        cluster = self.client.describe_cluster(ClusterId=cluster_id)["Cluster"]
        tags = {tag["Key"]: tag["Value"] for tag in cluster.get("Tags", [])}
        job = tags.get("lake-job")
        if job is None:
            return None
        if now > float(tags.get("lake-until", 0)):
            return Orphan(cluster_id, job, "its time is over")
        states = [step["Status"]["State"] for step in self._steps_of(cluster_id)]
        ended = states and all(state in _ENDED for state in states)
        return Orphan(cluster_id, job, "its job has ended") if ended else None


def _step(job: SparkJob, code: Code, urls: CodeUrls) -> dict[str, object]:
    """Return the step of a job, whose driver runs on YARN, where it finds the archive. YARN must not retry it."""
    settings = code.spark("spark.yarn.appMasterEnv.")
    settings["spark.yarn.maxAppAttempts"] = "1"
    # A step has no tags of its own, and YARN refuses one of more than 100 characters.
    settings["spark.yarn.tags"] = ",".join(f"{key}:{value}"[:100] for key, value in job.tags.items())
    command = [
        "spark-submit", "--master", "yarn", "--deploy-mode", "cluster", "--name", job.name,
        "--py-files", urls.package, "--archives", urls.archive, *as_arguments(settings), urls.main, *job.arguments,
    ]  # fmt: skip
    return {
        "Name": job.name,
        # With CONTINUE a given cluster continues, and the step has failed nevertheless.
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": command},
    }


def _status(step: Mapping[str, Any], cluster: Mapping[str, Any], logs: str, own_cluster: bool) -> JobStatus:
    """Return the status of the step; only that of a step that never ended depends on its cluster."""
    state = str(step["Status"]["State"])
    end = cluster["Status"]
    reason = end.get("StateChangeReason", {})
    figures = _figures(step, cluster if own_cluster else {})
    if state == "COMPLETED":
        return JobStatus("succeeded", logs=logs, figures=figures)
    if state in ("FAILED", "INTERRUPTED"):
        return JobStatus("failed", _reason(step) or state.lower(), logs, figures)
    if state == "CANCELLED" or end["State"] in ("TERMINATED", "TERMINATED_WITH_ERRORS"):
        if (own_cluster or state != "CANCELLED") and reason.get("Code") != "USER_REQUEST":
            detail = (
                f"its cluster ended ({reason.get('Code', end['State'])}): {reason.get('Message', 'no reason is given')}"
            )
            return JobStatus("failed", detail, logs, figures)
        return JobStatus("cancelled", reason.get("Message", "") if own_cluster else _reason(step), logs, figures)
    return JobStatus("running", f"step {state.lower()}, cluster {str(end['State']).lower()}", logs, figures)


def _reason(step: Mapping[str, Any]) -> str:
    details = step["Status"].get("FailureDetails", {})
    parts = [details.get("Reason"), details.get("Message"), step["Status"].get("StateChangeReason", {}).get("Message")]
    return "; ".join(part.rstrip(".") for part in parts if part)


def _figures(step: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, float]:
    """Return the step's seconds, and for a cluster of its own the billed hours."""
    times = step["Status"].get("Timeline", {})
    start, end = times.get("StartDateTime"), times.get("EndDateTime")
    figures = {"seconds": (end - start).total_seconds()} if start and end else {}
    hours = cluster.get("NormalizedInstanceHours")
    return {**figures, "normalized_instance_hours": float(hours)} if hours else figures
