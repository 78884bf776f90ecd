"""Spark on Dataproc: a job on a given cluster, or on one that is created for the job and deleted after it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.conform.runner import JobStatus, Orphan, SparkJob, State
from lake_assets.conform.runners import gcp
from lake_assets.conform.runners.code import Code, CodeUrls
from lake_assets.conform.runners.dataproc_clients import ClusterController, JobController
from lake_assets.conform.runners.dataproc_cluster import DataprocCluster, cluster_name
from lake_assets.conform.runners.environment import given, needed
from lake_assets.errors import LakeError
from lake_assets.gcp import connected, retry_policy, unless_missing
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from google.cloud.dataproc_v1 import Cluster, Job
    from grpc import Channel

_STATES: Mapping[str, State] = {"DONE": "succeeded", "ERROR": "failed", "CANCELLED": "cancelled"}
_STARTING = ("CREATING", "STARTING", "UPDATING", "REPAIRING", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Dataproc:
    """Runner of jobs on Dataproc. `cluster` is the name of a given cluster, or the kind to create for each job.

    `timeout` and `interval` are in seconds.
    """

    jobs: JobController
    clusters: ClusterController
    project: str
    region: str
    cluster: str | DataprocCluster
    code: Code
    timeout: float
    interval: float = 10.0

    @classmethod
    def from_environment(cls, settings: Settings, channel: "Channel | None" = None) -> "Dataproc":
        """Read the environment variables; without `LAKE_DATAPROC_CLUSTER` each job gets a cluster of its own.

        `channel` replaces Google's own address. Raises SettingsError naming the variable to set.
        """
        region = needed("LAKE_DATAPROC_REGION", "the region of the clusters")
        project = needed("LAKE_DATAPROC_PROJECT", "the id of the Google Cloud project")
        code = Code.of(settings)
        cluster = given("LAKE_DATAPROC_CLUSTER") or DataprocCluster.from_environment()
        jobs, clusters = _clients(region, channel)
        return cls(
            cluster=cluster,
            project=project,
            region=region,
            code=code,
            timeout=settings.spark.timeout,
            jobs=jobs,
            clusters=clusters,
        )

    def find(self, name: str) -> JobStatus | None:
        with gcp.refusals():
            job = self._job(name)
        if job is None:
            return None
        state = job.status.state.name
        detail = job.status.details or state.lower()
        return JobStatus(_STATES.get(state, "running"), detail, job.driver_output_resource_uri, _figures(job))

    def submit(self, job: SparkJob) -> None:
        """Submit the job, and wait for its cluster if it must be created. Raises LakeError when it cannot be."""
        if self.find(job.name) is not None:
            return
        urls = self.code.uploaded()
        with gcp.refusals():
            cluster = self.cluster
            if isinstance(cluster, DataprocCluster):
                cluster = self._create(cluster, job)
            with gcp.once():
                self.jobs.submit_job(
                    project_id=self.project,
                    region=self.region,
                    job=_request(job, cluster, self.code, urls),
                    retry=retry_policy(),
                )

    def cancel(self, name: str) -> None:
        with gcp.refusals():
            job = self._job(name)
            if job is not None and job.status.state.name not in _STATES:
                place = {"project_id": self.project, "region": self.region}
                self.jobs.cancel_job({**place, "job_id": name}, retry=retry_policy())
        if isinstance(self.cluster, DataprocCluster):
            self.end_cluster(cluster_name(name))

    def orphans(self, now: float) -> Sequence[Orphan]:
        with gcp.refusals():
            request = {"project_id": self.project, "region": self.region, "filter": "labels.lake-job = *"}
            orphans = [self._orphan(cluster, now) for cluster in self.clusters.list_clusters(request)]
        return [orphan for orphan in orphans if orphan]

    def end_cluster(self, cluster: str) -> None:
        with gcp.refusals():
            current = self._cluster(cluster)
            if current is None or current.status.state.name == "DELETING":
                return
            place = {"project_id": self.project, "region": self.region}
            request = {**place, "cluster_name": cluster, "cluster_uuid": current.cluster_uuid}
            unless_missing(lambda: self.clusters.delete_cluster(request, retry=retry_policy()))

    def _create(self, kind: DataprocCluster, job: SparkJob) -> str:
        """Create the job's own cluster, unless an earlier try has, and return its name once it runs."""
        deadline = time.time() + self.timeout
        name = cluster_name(job.name)
        with gcp.once():
            self.clusters.create_cluster(
                project_id=self.project,
                region=self.region,
                cluster=kind.request(job, self.project, self.region, self.timeout, deadline),
                retry=retry_policy(),
            )
        while True:
            cluster = self._cluster(name)
            state = cluster.status.state.name if cluster else "missing"
            if state == "RUNNING":
                return name
            if state not in _STARTING or time.time() > deadline:
                reason = (cluster.status.detail if cluster else "") or "no reason is given"
                raise LakeError(f"the Dataproc cluster {name} did not start, it is {state.lower()}: {reason}")
            time.sleep(self.interval)

    def _job(self, name: str) -> "Job | None":
        place = {"project_id": self.project, "region": self.region}
        return unless_missing(lambda: self.jobs.get_job({**place, "job_id": name}, retry=retry_policy()))

    def _cluster(self, name: str) -> "Cluster | None":
        request = {"project_id": self.project, "region": self.region, "cluster_name": name}
        return unless_missing(lambda: self.clusters.get_cluster(request, retry=retry_policy()))

    def _orphan(self, cluster: "Cluster", now: float) -> Orphan | None:
        if cluster.status.state.name == "DELETING":
            return None
        name = cluster.labels["lake-job"]
        if now > float(cluster.labels.get("lake-until", "0")):
            return Orphan(cluster.cluster_name, name, "its time is over")
        job = self._job(name)
        ended = job is not None and job.status.state.name in _STATES
        return Orphan(cluster.cluster_name, name, "its job has ended") if ended else None


def _request(job: SparkJob, cluster: str, code: Code, urls: CodeUrls) -> "Job":
    """Return the request of a job, whose driver runs on YARN, where it finds the archive. YARN must not retry it."""
    from google.cloud.dataproc_v1 import Job, JobPlacement, JobReference, PySparkJob

    properties = code.spark("spark.yarn.appMasterEnv.")
    properties |= {"spark.submit.deployMode": "cluster", "spark.yarn.maxAppAttempts": "1"}
    return Job(
        reference=JobReference(job_id=job.name),
        placement=JobPlacement(cluster_name=cluster),
        pyspark_job=PySparkJob(
            main_python_file_uri=urls.main,
            python_file_uris=[urls.package],
            archive_uris=[urls.archive],
            args=list(job.arguments),
            properties=properties,
        ),
        labels=gcp.labels({**job.tags, "lake-job": job.name}),
    )


def _clients(region: str, channel: "Channel | None") -> tuple[JobController, ClusterController]:
    from google.cloud.dataproc_v1 import ClusterControllerClient, JobControllerClient
    from google.cloud.dataproc_v1.services.cluster_controller.transports import ClusterControllerGrpcTransport
    from google.cloud.dataproc_v1.services.job_controller.transports import JobControllerGrpcTransport

    if channel is not None:
        return (
            JobControllerClient(transport=JobControllerGrpcTransport(channel=channel)),
            ClusterControllerClient(transport=ClusterControllerGrpcTransport(channel=channel)),
        )
    address = {"api_endpoint": f"{region}-dataproc.googleapis.com:443"}
    return (
        connected(lambda: JobControllerClient(client_options=address)),
        connected(lambda: ClusterControllerClient(client_options=address)),
    )


def _figures(job: "Job") -> dict[str, float]:
    """Return YARN's counts, of all applications of the job together."""
    figures = {
        "vcpu_hours": sum(application.vcore_seconds for application in job.yarn_applications) / 3_600,
        "memory_gb_hours": sum(a.memory_mb_seconds for a in job.yarn_applications) / 3_600 / 1_024,
    }
    return {name: value for name, value in figures.items() if value}
