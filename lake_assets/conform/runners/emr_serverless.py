"""Spark on EMR Serverless: one job run of a given application; AWS creates and ends the workers."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lake_assets.aws import client, refusals
from lake_assets.conform.runner import JobStatus, SparkJob, State
from lake_assets.conform.runners import aws
from lake_assets.conform.runners.code import Code, CodeUrls, as_arguments
from lake_assets.conform.runners.environment import given, needed
from lake_assets.settings import Settings

_STATES: Mapping[str, State] = {"SUCCESS": "succeeded", "FAILED": "failed", "CANCELLED": "cancelled"}
_REMEDY = "LAKE_EMR_APPLICATION, LAKE_EMR_ROLE and the AWS credentials"
_FIGURES = {"vCPUHour": "vcpu_hours", "memoryGBHour": "memory_gb_hours", "storageGBHour": "storage_gb_hours"}
_LEAST_MINUTES = 5


@dataclass(frozen=True, slots=True)
class EmrServerless:
    """Runner of job runs. `client` is boto3's for `emr-serverless`. `role` is the ARN that jobs run under.

    `logs` is a URL; `timeout` and `interval` are in seconds.
    """

    client: Any
    application: str
    role: str
    code: Code
    logs: str
    timeout: float
    interval: float = 10.0
    _ids: dict[str, str] = field(default_factory=dict[str, str], init=False, repr=False, compare=False)

    @classmethod
    def from_environment(cls, settings: Settings) -> "EmrServerless":
        """Read the environment variables. Raises SettingsError naming the variable to set."""
        return cls(
            application=needed("LAKE_EMR_APPLICATION", "the id of an EMR Serverless application for Spark"),
            role=needed("LAKE_EMR_ROLE", "the ARN of the role that jobs run under"),
            code=Code.of(settings),
            logs=given("LAKE_EMR_LOGS", f"{settings.bucket}/jobs/logs").rstrip("/"),
            timeout=settings.spark.timeout,
            client=client("emr-serverless"),
        )

    def find(self, name: str) -> JobStatus | None:
        with refusals("EMR Serverless", _REMEDY):
            run_id = self._ids.get(name) or self._look_up(name)
            if run_id is None:
                return None
            self._ids[name] = run_id
            run = self.client.get_job_run(applicationId=self.application, jobRunId=run_id)["jobRun"]
        state = str(run["state"])
        logs = f"{self.logs}/applications/{self.application}/jobs/{run_id}/"
        return JobStatus(_STATES.get(state, "running"), run.get("stateDetails") or state.lower(), logs, _figures(run))

    def submit(self, job: SparkJob) -> None:
        if self.find(job.name) is not None:
            return
        urls = self.code.uploaded()
        logs = {"s3MonitoringConfiguration": {"logUri": self.logs}}
        with refusals("EMR Serverless", _REMEDY):
            # The token makes a repeated call start nothing, so the SDK may repeat it.
            started = self.client.start_job_run(
                applicationId=self.application,
                clientToken=job.name,
                name=job.name,
                executionRoleArn=self.role,
                executionTimeoutMinutes=max(_LEAST_MINUTES, math.ceil(self.timeout / 60)),
                jobDriver={"sparkSubmit": self._spark_submit(job, urls)},
                configurationOverrides={"monitoringConfiguration": logs},
                tags={**job.tags, "lake-job": job.name},
            )
        self._ids[job.name] = started["jobRunId"]

    def cancel(self, name: str) -> None:
        status = self.find(name)
        if status is None or status.state != "running":
            return
        with refusals("EMR Serverless", _REMEDY):
            self.client.cancel_job_run(applicationId=self.application, jobRunId=self._ids[name])

    def _spark_submit(self, job: SparkJob, urls: CodeUrls) -> dict[str, object]:
        settings = {"spark.submit.pyFiles": urls.package, "spark.archives": urls.archive}
        settings |= self.code.spark("spark.emr-serverless.driverEnv.")
        settings["spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON"] = settings["spark.executorEnv.PYSPARK_PYTHON"]
        return {
            "entryPoint": urls.main,
            "entryPointArguments": list(job.arguments),
            # Not quoted: no setting holds a space.
            "sparkSubmitParameters": " ".join(as_arguments(settings)),
        }

    def _look_up(self, name: str) -> str | None:
        """Return the id of the job run of that name. Job runs are listed only until it is known."""
        pages = self.client.get_paginator("list_job_runs").paginate(
            applicationId=self.application, createdAtAfter=time.time() - aws.LOOKBACK_SECONDS
        )
        return next((run["id"] for page in pages for run in page["jobRuns"] if run.get("name") == name), None)


def _figures(run: Mapping[str, Any]) -> dict[str, float]:
    """Return used and billed resources; AWS reports both only when the job is over."""
    used, billed = run.get("totalResourceUtilization", {}), run.get("billedResourceUtilization", {})
    seconds = run.get("totalExecutionDurationSeconds")
    return {
        **{ours: float(used[theirs]) for theirs, ours in _FIGURES.items() if theirs in used},
        **{f"billed_{ours}": float(billed[theirs]) for theirs, ours in _FIGURES.items() if theirs in billed},
        **({"seconds": float(seconds)} if seconds else {}),
    }
