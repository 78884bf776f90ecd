"""Dataproc on this machine: the gRPC services that the Google libraries call, each job a process.

A batch with an account of its own needs what Google documents for it. It does not prove that a cluster or batch starts,
other rights, quotas, or when Google deletes a cluster by its own limits.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from google.cloud import dataproc_v1 as dataproc
from google.longrunning import operations_pb2
from google.protobuf.empty_pb2 import Empty

from tests.support.deploy_documents import google_permissions
from tests.support.doubles.machine import Launched, Machine, Submission

_PACKAGE = "google.cloud.dataproc.v1"


@dataclass
class Ran:
    """A job or a batch, as it was asked for."""

    asked: Any
    launched: Launched

    def state(self, done: str, failed: str) -> str:
        if self.launched.killed:
            return "CANCELLED"
        code = self.launched.code
        return "RUNNING" if code is None else done if code == 0 else failed


class _NoSuch(Exception):
    """Error with the code NOT_FOUND."""


class _Refused(Exception):
    """Error with the code INVALID_ARGUMENT."""


class _There(Exception):
    """Error with the code ALREADY_EXISTS."""


class DataprocDouble:
    """`calls` are the methods in order. `faults` are methods whose next call is UNAVAILABLE or, with a leading `!`,
    is carried out and then UNAVAILABLE. `broken` clusters never start."""

    def __init__(self, machine: Machine, given: str) -> None:
        self.calls: list[str] = []
        self.faults: list[str] = []
        self.broken = False
        self.jobs: dict[str, Ran] = {}
        self.batches: dict[str, Ran] = {}
        self.clusters = {given: _cluster(given, {})}
        self._machine = machine
        self._server = grpc.server(ThreadPoolExecutor(2))
        methods: dict[str, tuple[str, type, Callable[[Any], Any]]] = {
            "SubmitJob": ("JobController", dataproc.SubmitJobRequest, self._submit_job),
            "GetJob": ("JobController", dataproc.GetJobRequest, lambda asked: self._job(asked.job_id)),
            "CancelJob": ("JobController", dataproc.CancelJobRequest, self._cancel_job),
            "CreateCluster": ("ClusterController", dataproc.CreateClusterRequest, self._create_cluster),
            "GetCluster": ("ClusterController", dataproc.GetClusterRequest, self._get_cluster),
            "ListClusters": ("ClusterController", dataproc.ListClustersRequest, self._list_clusters),
            "DeleteCluster": ("ClusterController", dataproc.DeleteClusterRequest, self._delete_cluster),
            "CreateBatch": ("BatchController", dataproc.CreateBatchRequest, self._create_batch),
            "GetBatch": ("BatchController", dataproc.GetBatchRequest, lambda asked: self._batch(asked.name)),
        }
        for name, (service, kind, answer) in methods.items():
            self._serve(f"{_PACKAGE}.{service}", name, kind.deserialize, answer)
        self._serve(
            "google.longrunning.Operations",
            "CancelOperation",
            operations_pb2.CancelOperationRequest.FromString,
            self._cancel_operation,
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def alive(self) -> set[str]:
        return set(self.clusters)

    def add_cluster(self, name: str, labels: dict[str, str]) -> None:
        """Add a cluster as a submit that died half-way leaves it."""
        self.clusters[name] = _cluster(name, labels)

    def close(self) -> None:
        self.channel.close()
        self._server.stop(None).wait(10)

    def _serve(self, service: str, name: str, read: Callable[[bytes], Any], answer: Callable[[Any], Any]) -> None:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(name)
            if name in self.faults:
                self.faults.remove(name)
                context.abort(grpc.StatusCode.UNAVAILABLE, "come back later")
            try:
                answered = answer(request)
            except _NoSuch as error:
                context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: {error}")
            except _Refused as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except _There as error:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Already exists: {error}")
            else:
                if f"!{name}" in self.faults:
                    self.faults.remove(f"!{name}")
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
                return answered

        handler = grpc.unary_unary_rpc_method_handler(handle, request_deserializer=read, response_serializer=_written)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

    def _launch(self, job_id: str, work: Any, settings: dict[str, str], driver: str) -> Launched:
        [package], [archive] = work.python_file_uris, work.archive_uris
        submission = Submission(work.main_python_file_uri, list(work.args), package, archive, settings)
        return self._machine.launch(job_id, submission, driver)

    def _submit_job(self, asked: dataproc.SubmitJobRequest) -> dataproc.Job:
        job_id = asked.job.reference.job_id
        if job_id in self.jobs:
            raise _There(job_id)
        if asked.job.placement.cluster_name not in self.clusters:
            raise _NoSuch(f"cluster {asked.job.placement.cluster_name}")
        settings = dict(asked.job.pyspark_job.properties)
        assert settings.pop("spark.submit.deployMode") == "cluster"
        launched = self._launch(job_id, asked.job.pyspark_job, settings, "spark.yarn.appMasterEnv.")
        self.jobs[job_id] = Ran(asked.job, launched)
        return self._job(job_id)

    def _job(self, job_id: str) -> dataproc.Job:
        if job_id not in self.jobs:
            raise _NoSuch(job_id)
        ran = self.jobs[job_id]
        state = ran.state("DONE", "ERROR")
        job = dataproc.Job(ran.asked)
        job.status = dataproc.JobStatus(state=state, details=ran.launched.last_line if state == "ERROR" else "")
        job.driver_output_resource_uri = f"gs://staging/{job_id}/driveroutput"
        if state == "DONE":
            job.yarn_applications = [
                dataproc.YarnApplication(name="conform", vcore_seconds=7_200, memory_mb_seconds=3_686_400)
            ]
        return job

    def _cancel_job(self, asked: dataproc.CancelJobRequest) -> dataproc.Job:
        job = self._job(asked.job_id)
        self.jobs[asked.job_id].launched.kill()
        return job

    def _create_cluster(self, asked: dataproc.CreateClusterRequest) -> operations_pb2.Operation:
        name = asked.cluster.cluster_name
        if name in self.clusters:
            raise _There(name)
        cluster = dataproc.Cluster(asked.cluster)
        # The first look finds it still being made.
        cluster.status = dataproc.ClusterStatus(state="CREATING")
        self.clusters[name] = cluster
        return operations_pb2.Operation(name=f"operations/create-{name}")

    def _get_cluster(self, asked: dataproc.GetClusterRequest) -> dataproc.Cluster:
        if asked.cluster_name not in self.clusters:
            raise _NoSuch(asked.cluster_name)
        cluster = self.clusters[asked.cluster_name]
        described = dataproc.Cluster(cluster)
        if cluster.status.state.name == "CREATING":
            broken = dataproc.ClusterStatus(state="ERROR", detail="Insufficient 'CPUS' quota.")
            cluster.status = broken if self.broken else dataproc.ClusterStatus(state="RUNNING")
        return described

    def _list_clusters(self, asked: dataproc.ListClustersRequest) -> dataproc.ListClustersResponse:
        assert asked.filter == "labels.lake-job = *"
        found = [cluster for cluster in self.clusters.values() if "lake-job" in cluster.labels]
        return dataproc.ListClustersResponse(clusters=found)

    def _delete_cluster(self, asked: dataproc.DeleteClusterRequest) -> operations_pb2.Operation:
        if asked.cluster_name not in self.clusters:
            raise _NoSuch(asked.cluster_name)
        del self.clusters[asked.cluster_name]
        for ran in self.jobs.values():
            if ran.asked.placement.cluster_name == asked.cluster_name:
                ran.launched.kill()
        return operations_pb2.Operation(name=f"operations/delete-{asked.cluster_name}")

    def _create_batch(self, asked: dataproc.CreateBatchRequest) -> operations_pb2.Operation:
        name = f"{asked.parent}/batches/{asked.batch_id}"
        if name in self.batches:
            raise _There(name)
        _check_start(asked.batch)
        settings = dict(asked.batch.runtime_config.properties)
        launched = self._launch(asked.batch_id, asked.batch.pyspark_batch, settings, "spark.dataproc.driverEnv.")
        self.batches[name] = Ran(asked.batch, launched)
        return operations_pb2.Operation(name=f"operations/{asked.batch_id}")

    def _batch(self, name: str) -> dataproc.Batch:
        if name not in self.batches:
            raise _NoSuch(name)
        ran = self.batches[name]
        batch = dataproc.Batch(ran.asked)
        batch.name = name
        batch.operation = f"operations/{name.split('/')[-1]}"
        batch.state = ran.state("SUCCEEDED", "FAILED")
        batch.state_message = ran.launched.last_line if batch.state.name == "FAILED" else ""
        usage = dataproc.UsageMetrics(milli_dcu_seconds=3_600_000) if batch.state.name == "SUCCEEDED" else None
        batch.runtime_info = dataproc.RuntimeInfo(output_uri=f"gs://staging/{name}/output", approximate_usage=usage)
        return batch

    def _cancel_operation(self, asked: operations_pb2.CancelOperationRequest) -> Empty:
        for name, ran in self.batches.items():
            if asked.name == f"operations/{name.split('/')[-1]}":
                ran.launched.kill()
        return Empty()


def _check_start(batch: dataproc.Batch) -> None:
    """Refuse what would not start with an account of its own, whose rights are those of `deploy/terraform/gcp`.

    Google accepts such a batch, and it fails ten minutes later.
    """
    execution, version = batch.environment_config.execution_config, batch.runtime_config.version
    if not execution.service_account:
        return
    if not version:
        raise _Refused("the newest runtime, of which nothing is known, was taken")
    if int(version.partition(".")[0]) >= 3:
        kind = execution.authentication_config.user_workload_authentication_type.name
        if kind != "SERVICE_ACCOUNT":
            raise _Refused(f"{execution.service_account} is not used: the batch has the submitter's credentials")
        return
    granted = google_permissions()["spark"]
    if not granted["project"] >= {"dataproc.agents.create", "dataproc.tasks.lease", "logging.logEntries.create"}:
        raise _Refused("Driver compute node failed to initialize")
    objects = {f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list")}
    if not execution.staging_bucket or not granted["staging_bucket"] >= {"storage.buckets.get", *objects}:
        raise _Refused("Driver compute node failed to initialize: it may not write to its staging bucket")


def _cluster(name: str, labels: dict[str, str]) -> dataproc.Cluster:
    return dataproc.Cluster(
        cluster_name=name, labels=labels, status=dataproc.ClusterStatus(state="RUNNING"), cluster_uuid=f"uuid-{name}"
    )


def _written(message: Any) -> bytes:
    return message.SerializeToString() if hasattr(message, "SerializeToString") else type(message).serialize(message)


def as_dict(message: Any) -> dict[str, Any]:
    """A message's fields, for a test that looks at what was asked for."""
    return json.loads(type(message).to_json(message, preserving_proto_field_name=True))
