"""EMR on EC2 on this machine: takes boto3's own requests and runs each step as a process.

It does not prove that a cluster starts, that command-runner.jar reads the command so, or that ending a step on a
given cluster also ends its driver on YARN.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.doubles.aws_endpoint import Endpoint, Refused
from tests.support.doubles.machine import Launched, Machine, Submission, parsed

GIVEN = "j-GIVEN"


@dataclass
class Step:
    step_id: str
    request: dict[str, Any]
    created: float
    launched: Launched | None = None

    @property
    def state(self) -> str:
        if self.launched is None:
            return "PENDING"
        if self.launched.killed:
            return "CANCELLED"
        code = self.launched.code
        return "RUNNING" if code is None else "COMPLETED" if code == 0 else "FAILED"

    def described(self, cancelled: bool) -> dict[str, Any]:
        state = "CANCELLED" if cancelled and self.launched is None else self.state
        status: dict[str, Any] = {"State": state, "Timeline": {"CreationDateTime": self.created}}
        if state in ("COMPLETED", "FAILED"):
            status["Timeline"] |= {"StartDateTime": self.created, "EndDateTime": self.created + 61}
        if state == "FAILED" and self.launched:
            status["FailureDetails"] = {"Reason": "Application failed.", "Message": self.launched.last_line}
        return {"Id": self.step_id, "Name": self.request["Name"], "Status": status}


@dataclass
class Cluster:
    cluster_id: str
    request: dict[str, Any]
    created: float
    steps: list[Step] = field(default_factory=list[Step])
    ended: tuple[str, str, str] | None = None

    def described(self) -> dict[str, Any]:
        state, code, message = self.ended or ("RUNNING" if self.steps else "WAITING", "", "")
        described: dict[str, Any] = {
            "Id": self.cluster_id,
            "Name": self.request["Name"],
            "Status": {"State": state, "StateChangeReason": {"Code": code, "Message": message} if code else {}},
            "Tags": self.request.get("Tags", []),
            "LogUri": self.request.get("LogUri", "s3n://logs/"),
        }
        return {**described, "NormalizedInstanceHours": 24} if self.ended else described


class EmrDouble(Endpoint):
    """`broken` clusters never start; `stuck` ones do not end by themselves."""

    def __init__(self, machine: Machine) -> None:
        self.clusters = {GIVEN: Cluster(GIVEN, {"Name": "everyone's"}, time.time())}
        self.broken = self.stuck = False
        self._machine = machine
        super().__init__()

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, Callable[[], Any]]:
        operation = headers["X-Amz-Target"].removeprefix("ElasticMapReduce.")
        request = json.loads(body)
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "RunJobFlow": self._run_job_flow,
            "AddJobFlowSteps": self._add_steps,
            "ListClusters": self._list_clusters,
            "DescribeCluster": lambda asked: {"Cluster": self._cluster(asked["ClusterId"]).described()},
            "ListSteps": self._list_steps,
            "DescribeStep": self._describe_step,
            "CancelSteps": self._cancel_steps,
            "TerminateJobFlows": self._terminate,
        }
        return operation, lambda: answers[operation](request)

    def alive(self) -> set[str]:
        return {cluster.cluster_id for cluster in self._settled() if cluster.ended is None}

    def add_cluster(self, tags: dict[str, str]) -> str:
        """A cluster without a step, as a submit that died half-way leaves it."""
        cluster_id = f"j-{len(self.clusters)}"
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.clusters[cluster_id] = Cluster(cluster_id, {"Name": tags.get("lake-job", "x"), "Tags": pairs}, time.time())
        return cluster_id

    def _run_job_flow(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster_id = f"j-{len(self.clusters)}"
        cluster = self.clusters[cluster_id] = Cluster(cluster_id, request, time.time())
        self._start(cluster, request["Steps"], launch=not self.broken)
        if self.broken:
            cluster.ended = ("TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", "On the master instance, no disk is left.")
        return {"JobFlowId": cluster_id, "ClusterArn": f"arn:aws:elasticmapreduce:x:1:cluster/{cluster_id}"}

    def _add_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(request["JobFlowId"])
        return {"StepIds": [step.step_id for step in self._start(cluster, request["Steps"], launch=True)]}

    def _start(self, cluster: Cluster, requests: list[dict[str, Any]], launch: bool) -> list[Step]:
        steps = [
            Step(f"s-{cluster.cluster_id}-{len(cluster.steps) + number}", asked, time.time())
            for number, asked in enumerate(requests)
        ]
        for step in steps if launch else []:
            jar = step.request["HadoopJarStep"]
            assert jar["Jar"] == "command-runner.jar"
            assert jar["Args"][0] == "spark-submit"
            options, settings, rest = parsed(jar["Args"][1:])
            assert (options["--master"], options["--deploy-mode"]) == ("yarn", "cluster")
            submission = Submission(rest[0], rest[1:], options["--py-files"], options["--archives"], settings)
            step.launched = self._machine.launch(step.step_id, submission, "spark.yarn.appMasterEnv.")
        cluster.steps += steps
        return steps

    def _settled(self) -> list[Cluster]:
        """Return the clusters; end those first whose steps have ended."""
        for cluster in self.clusters.values():
            keeps = cluster.request.get("Instances", {}).get("KeepJobFlowAliveWhenNoSteps", True)
            done = cluster.steps and all(step.state not in ("PENDING", "RUNNING") for step in cluster.steps)
            if cluster.ended is None and not keeps and done and not self.stuck:
                cluster.ended = ("TERMINATED", "ALL_STEPS_COMPLETED", "Steps completed")
        return list(self.clusters.values())

    def _list_clusters(self, request: dict[str, Any]) -> dict[str, Any]:
        clusters = [cluster.described() for cluster in reversed(self._settled())]
        states = request.get("ClusterStates")
        return {"Clusters": [one for one in clusters if not states or one["Status"]["State"] in states]}

    def _list_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(request["ClusterId"])
        return {"Steps": [step.described(bool(cluster.ended)) for step in reversed(cluster.steps)]}

    def _describe_step(self, request: dict[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(request["ClusterId"])
        step = next(step for step in cluster.steps if step.step_id == request["StepId"])
        return {"Step": step.described(bool(cluster.ended))}

    def _cancel_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        for step in self._cluster(request["ClusterId"]).steps:
            if step.step_id in request["StepIds"] and step.launched:
                step.launched.kill()
        return {"CancelStepsInfoList": [{"StepId": step, "Status": "SUBMITTED"} for step in request["StepIds"]]}

    def _terminate(self, request: dict[str, Any]) -> dict[str, Any]:
        for cluster_id in request["JobFlowIds"]:
            cluster = self._cluster(cluster_id)
            for step in cluster.steps:
                if step.launched:
                    step.launched.kill()
            cluster.ended = cluster.ended or ("TERMINATED", "USER_REQUEST", "Terminated by user request")
        return {}

    def _cluster(self, cluster_id: str) -> Cluster:
        self._settled()
        if cluster_id not in self.clusters:
            raise Refused("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        return self.clusters[cluster_id]
