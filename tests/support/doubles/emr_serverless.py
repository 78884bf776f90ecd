"""EMR Serverless on this machine: takes boto3's own requests and runs the job they name.

It does not prove the application's state, its capacity, the role's rights, or when AWS ends a job by its time limit.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.doubles.aws_endpoint import Endpoint, Refused
from tests.support.doubles.machine import Launched, Machine, Submission, parsed

APPLICATION = "00f1r9b5h0l8q009"
_ARN = f"arn:aws:emr-serverless:eu-central-1:123456789012:/applications/{APPLICATION}"


@dataclass
class JobRun:
    job_id: str
    request: dict[str, Any]
    launched: Launched
    created: float
    cancelled: bool = False

    def summary(self) -> dict[str, Any]:
        code = self.launched.code
        state = "RUNNING" if code is None else "SUCCESS" if code == 0 else "FAILED"
        if self.cancelled:
            state = "CANCELLED"
        failed = f"Job failed, please check logs: {self.launched.last_line}"
        return {
            "applicationId": APPLICATION,
            "name": self.request["name"],
            "arn": f"{_ARN}/jobruns/{self.job_id}",
            "createdBy": "arn:aws:iam::123456789012:user/lake",
            "createdAt": self.created,
            "updatedAt": self.created,
            "executionRole": self.request["executionRoleArn"],
            "state": state,
            "stateDetails": failed if state == "FAILED" else "",
            "releaseLabel": "emr-7.13.0",
        }

    def described(self) -> dict[str, Any]:
        described = {**self.summary(), "jobRunId": self.job_id, "jobDriver": self.request["jobDriver"]}
        if self.launched.code is not None:
            described["totalResourceUtilization"] = {"vCPUHour": 0.25, "memoryGBHour": 1.0, "storageGBHour": 2.0}
            described["billedResourceUtilization"] = {"vCPUHour": 0.5, "memoryGBHour": 1.0, "storageGBHour": 0.0}
            described["totalExecutionDurationSeconds"] = 61
        return described


class EmrServerlessDouble(Endpoint):
    """EMR Serverless as a local service. While it is `stale` its lists lack all job runs."""

    def __init__(self, machine: Machine) -> None:
        self.stale = False
        self.runs: dict[str, JobRun] = {}
        self._machine = machine
        super().__init__()

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, Callable[[], Any]]:
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        assert parts[0] == "applications"
        assert parts[2] == "jobruns"
        if parts[1] != APPLICATION:
            return "any", lambda: _missing(f"Application {parts[1]} does not exist.")
        match method, parts[3:]:
            case "POST", []:
                return "StartJobRun", lambda: self._start(json.loads(body))
            case "GET", []:
                return "ListJobRuns", self._list
            case "GET", [job_id]:
                return "GetJobRun", lambda: {"jobRun": self.runs[job_id].described()}
            case "DELETE", [job_id]:
                return "CancelJobRun", lambda: self._cancel(job_id)
            case _:
                raise NotImplementedError(f"{method} {path}")

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        for run in self.runs.values():
            if run.request["clientToken"] == request["clientToken"]:
                return self._started(run)
        spark = request["jobDriver"]["sparkSubmit"]
        _, settings, rest = parsed(spark["sparkSubmitParameters"].split(" "))
        assert not rest
        assert "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON" in settings
        submission = Submission(
            spark["entryPoint"],
            spark["entryPointArguments"],
            settings["spark.submit.pyFiles"],
            settings["spark.archives"],
            settings,
        )
        job_id = f"00{len(self.runs):014d}"
        launched = self._machine.launch(job_id, submission, "spark.emr-serverless.driverEnv.")
        run = JobRun(job_id, request, launched, time.time())
        self.runs[job_id] = run
        return self._started(run)

    def _started(self, run: JobRun) -> dict[str, Any]:
        return {"applicationId": APPLICATION, "jobRunId": run.job_id, "arn": run.summary()["arn"]}

    def _list(self) -> dict[str, Any]:
        runs = [] if self.stale else self.runs.values()
        return {"jobRuns": [{**run.summary(), "id": run.job_id} for run in runs]}

    def _cancel(self, job_id: str) -> dict[str, Any]:
        run = self.runs[job_id]
        if run.launched.code is not None:
            raise Refused("ValidationException", "Job run is not in a cancellable state")
        run.launched.kill()
        run.cancelled = True
        return {"applicationId": APPLICATION, "jobRunId": job_id}


def _missing(message: str) -> None:
    raise Refused("ResourceNotFoundException", message)
