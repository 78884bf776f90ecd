"""Adapters of each target; the only module that knows all targets."""

from typing import TYPE_CHECKING

from lake_assets.conform.runner import ClusterRunner, SparkRunner
from lake_assets.errors import SettingsError
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import MartAccess, TargetAdapters, Warehouse
from lake_assets.warehouse.results import QueryResult

if TYPE_CHECKING:
    from lake_assets.warehouse.erasure import Erasure


def warehouse_for(settings: Settings) -> Warehouse:
    """Return the target's warehouse. Raises SettingsError for a bucket that it cannot read."""
    _check_target(settings)
    return target_adapters(settings).warehouse(settings)


def erasure_for(settings: Settings) -> "Erasure":
    """Return the adapter that deletes single rows of the target's tables. Raises SettingsError as `warehouse_for`."""
    _check_target(settings)
    return target_adapters(settings).erasure(settings)


def mart_access_for(settings: Settings) -> MartAccess:
    """Return the schemas of the target's marts, and who may read them."""
    return target_adapters(settings).mart_access(settings)


def query_marts(settings: Settings, query: str, limit: int | None) -> QueryResult:
    """Query the marts: as an analyst on this machine, in a cloud with the credentials at hand."""
    return target_adapters(settings).query_marts(settings, query, limit)


def target_adapters(settings: Settings) -> TargetAdapters:
    """Return the adapters of the target; those of others are not imported."""
    match settings.target:
        case "local":
            from lake_assets.warehouse.local import target
        case "aws":
            from lake_assets.warehouse.aws import target
        case "gcp":
            from lake_assets.warehouse.gcp import target
    return target


def runner_for(settings: Settings) -> SparkRunner:
    """Return the runner of Spark jobs. Raises SettingsError if a setting is missing."""
    match settings.spark.runner:
        case "local":
            from lake_assets.conform.runners.local import Local

            return Local(settings.home / "spark", settings.spark.project, settings.spark.memory)
        case "emr-serverless":
            from lake_assets.conform.runners.emr_serverless import EmrServerless

            _check_bucket(settings, _spark(settings), "s3://")
            return EmrServerless.from_environment(settings)
        case "dataproc-batch":
            from lake_assets.conform.runners.dataproc_batch import DataprocBatch

            _check_bucket(settings, _spark(settings), "gs://")
            return DataprocBatch.from_environment(settings)
        case "emr" | "dataproc":
            return cluster_runner_for(settings)


def makes_clusters(settings: Settings) -> bool:
    """Return True if the runner of Spark jobs creates clusters, which can become orphans."""
    return settings.spark.runner in ("emr", "dataproc")


def cluster_runner_for(settings: Settings) -> ClusterRunner:
    """Return the same runner, which can also find orphans. Raises SettingsError for one that creates no clusters."""
    match settings.spark.runner:
        case "emr":
            from lake_assets.conform.runners.emr import Emr

            _check_bucket(settings, _spark(settings), "s3://")
            return Emr.from_environment(settings)
        case "dataproc":
            from lake_assets.conform.runners.dataproc import Dataproc

            _check_bucket(settings, _spark(settings), "gs://")
            return Dataproc.from_environment(settings)
        case name:
            raise SettingsError(f"the Spark runner '{name}' makes no clusters: set LAKE_SPARK_RUNNER=emr.")


def _check_target(settings: Settings) -> None:
    if scheme := settings.profile.bucket_scheme:
        _check_bucket(settings, settings.profile.warehouse, scheme)


def _spark(settings: Settings) -> str:
    return f"the Spark runner '{settings.spark.runner}'"


def _check_bucket(settings: Settings, reader: str, scheme: str) -> None:
    if not settings.bucket.startswith(scheme):
        raise SettingsError(f"{reader} cannot read {settings.bucket}: set LAKE_BUCKET to a {scheme} URL.")
