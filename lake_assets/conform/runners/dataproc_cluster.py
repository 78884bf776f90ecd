"""A cluster that Dataproc creates for one job: its size, and the limits after which Google deletes it itself."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.conform.runner import SparkJob
from lake_assets.conform.runners import gcp
from lake_assets.conform.runners.environment import given, needed, whole

if TYPE_CHECKING:
    from google.cloud.dataproc_v1 import Cluster

_IDLE_SECONDS = 1_800
_LEAST_SECONDS, _MOST_SECONDS = 600, 14 * 86_400


def cluster_name(job: str) -> str:
    """Return the name of a job's own cluster, within the 51 characters of a cluster's name."""
    return f"lake-{hashlib.sha256(job.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class DataprocCluster:
    """Kind of cluster. An empty `account` or `subnet` stands for the project's own."""

    image: str
    machine: str
    workers: int
    account: str
    subnet: str

    @classmethod
    def from_environment(cls) -> "DataprocCluster":
        """Read the environment variables. Raises SettingsError naming the variable to set."""
        meaning = "the image version of the clusters to create, or LAKE_DATAPROC_CLUSTER to a cluster's name"
        return cls(
            image=needed("LAKE_DATAPROC_IMAGE", meaning),
            machine=given("LAKE_DATAPROC_MACHINE", "n2-standard-4"),
            workers=whole("LAKE_DATAPROC_WORKERS", 2),
            account=given("LAKE_DATAPROC_ACCOUNT"),
            subnet=given("LAKE_DATAPROC_SUBNET"),
        )

    def request(self, job: SparkJob, project: str, region: str, timeout: float, until: float) -> "Cluster":
        """Return the argument of `create_cluster`. `timeout` is the job's, in seconds.

        `until` is the cluster's latest end, in seconds since 1970; after it the cluster is an orphan.
        """
        from google.cloud.dataproc_v1 import (
            Cluster,
            ClusterConfig,
            GceClusterConfig,
            InstanceGroupConfig,
            LifecycleConfig,
            SoftwareConfig,
        )
        from google.protobuf.duration_pb2 import Duration

        lifetime = min(max(int(timeout) + _IDLE_SECONDS, _LEAST_SECONDS), _MOST_SECONDS)
        return Cluster(
            project_id=project,
            cluster_name=cluster_name(job.name),
            labels=gcp.labels({**job.tags, "lake-job": job.name, "lake-until": str(int(until))}),
            config=ClusterConfig(
                gce_cluster_config=GceClusterConfig(service_account=self.account, subnetwork_uri=self.subnet),
                master_config=InstanceGroupConfig(num_instances=1, machine_type_uri=self.machine),
                worker_config=InstanceGroupConfig(num_instances=self.workers, machine_type_uri=self.machine),
                software_config=SoftwareConfig(image_version=self.image),
                lifecycle_config=LifecycleConfig(
                    idle_delete_ttl=Duration(seconds=_IDLE_SECONDS), auto_delete_ttl=Duration(seconds=lifetime)
                ),
            ),
        )
