"""Spark on Dataproc Serverless: one batch; Google creates and ends the workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.conform.runner import JobStatus, SparkJob, State
from lake_assets.conform.runners import gcp
from lake_assets.conform.runners.code import Code, CodeUrls
from lake_assets.conform.runners.dataproc_clients import BatchController
from lake_assets.conform.runners.environment import given, needed
from lake_assets.gcp import connected, retry_policy, unless_missing
from lake_assets.settings import DATAPROC_RUNTIME, Settings

if TYPE_CHECKING:
    from google.cloud.dataproc_v1 import Batch
    from grpc import Channel

_STATES: Mapping[str, State] = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELLED": "cancelled"}
_LEAST_SECONDS, _MOST_SECONDS = 600, 14 * 86_400


@dataclass(frozen=True, slots=True)
class DataprocBatch:
    """Runner of batches. `parent` is `projects/P/locations/R`, `version` that of Google's runtime.

    An empty `account`, `subnet` or `staging` stands for the project's own. `timeout` and `interval` are in seconds.
    """

    client: BatchController
    parent: str
    code: Code
    version: str
    account: str
    subnet: str
    staging: str
    timeout: float
    interval: float = 10.0

    @classmethod
    def from_environment(cls, settings: Settings, channel: "Channel | None" = None) -> "DataprocBatch":
        """Read the environment variables. Raises SettingsError naming the variable to set.

        `channel` replaces Google's own address.
        """
        project = needed("LAKE_DATAPROC_PROJECT", "the id of the Google Cloud project")
        region = needed("LAKE_DATAPROC_REGION", "the region of the batches")
        return cls(
            code=Code.of(settings),
            parent=f"projects/{project}/locations/{region}",
            version=given("LAKE_DATAPROC_VERSION", DATAPROC_RUNTIME),
            account=given("LAKE_DATAPROC_ACCOUNT"),
            subnet=given("LAKE_DATAPROC_SUBNET"),
            staging=given("LAKE_DATAPROC_STAGING"),
            timeout=settings.spark.timeout,
            client=_client(region, channel),
        )

    def find(self, name: str) -> JobStatus | None:
        batch = self._batch(name)
        if batch is None:
            return None
        state = batch.state.name
        logs = batch.runtime_info.output_uri
        detail = batch.state_message or state.lower()
        return JobStatus(_STATES.get(state, "running"), detail, logs, _figures(batch))

    def submit(self, job: SparkJob) -> None:
        if self.find(job.name) is not None:
            return
        batch = self._request(job, self.code.uploaded())
        with gcp.refusals(), gcp.once():
            self.client.create_batch(parent=self.parent, batch=batch, batch_id=job.name, retry=retry_policy())

    def cancel(self, name: str) -> None:
        batch = self._batch(name)
        if batch is None or batch.state.name in _STATES:
            return
        with gcp.refusals():
            # A batch is cancelled by the operation that created it; deleting is only for one that has ended.
            self.client.cancel_operation({"name": batch.operation}, retry=retry_policy())

    def _batch(self, name: str) -> "Batch | None":
        with gcp.refusals():
            path = f"{self.parent}/batches/{name}"
            return unless_missing(lambda: self.client.get_batch(name=path, retry=retry_policy()))

    def _request(self, job: SparkJob, urls: CodeUrls) -> "Batch":
        from google.cloud.dataproc_v1 import (
            AuthenticationConfig,
            Batch,
            EnvironmentConfig,
            ExecutionConfig,
            PySparkBatch,
            RuntimeConfig,
        )
        from google.protobuf.duration_pb2 import Duration

        kinds = AuthenticationConfig.AuthenticationType
        # From runtime 3.0 on a batch would have the rights of its submitter.
        identity = kinds.SERVICE_ACCOUNT if self.account else kinds.AUTHENTICATION_TYPE_UNSPECIFIED
        ttl = Duration(seconds=int(min(max(self.timeout, _LEAST_SECONDS), _MOST_SECONDS)))
        return Batch(
            pyspark_batch=PySparkBatch(
                main_python_file_uri=urls.main,
                python_file_uris=[urls.package],
                archive_uris=[urls.archive],
                args=list(job.arguments),
            ),
            runtime_config=RuntimeConfig(version=self.version, properties=self.code.spark("spark.dataproc.driverEnv.")),
            environment_config=EnvironmentConfig(
                execution_config=ExecutionConfig(
                    ttl=ttl,
                    service_account=self.account,
                    subnetwork_uri=self.subnet,
                    staging_bucket=self.staging,
                    authentication_config=AuthenticationConfig(user_workload_authentication_type=identity),
                )
            ),
            labels=gcp.labels({**job.tags, "lake-job": job.name}),
        )


def _client(region: str, channel: "Channel | None") -> BatchController:
    from google.cloud.dataproc_v1 import BatchControllerClient
    from google.cloud.dataproc_v1.services.batch_controller.transports import BatchControllerGrpcTransport

    if channel is not None:
        return BatchControllerClient(transport=BatchControllerGrpcTransport(channel=channel))
    address = f"{region}-dataproc.googleapis.com:443"
    return connected(lambda: BatchControllerClient(client_options={"api_endpoint": address}))


def _figures(batch: "Batch") -> dict[str, float]:
    """Return the usage of a batch; DCU are Dataproc's compute units, by which it is billed."""
    usage = batch.runtime_info.approximate_usage
    figures = {
        "dcu_hours": usage.milli_dcu_seconds / 3_600_000,
        "shuffle_storage_gb_hours": usage.shuffle_storage_gb_seconds / 3_600,
    }
    return {name: value for name, value in figures.items() if value}
