"""Which adapter serves which target; the only place that knows them all."""

from typing import TYPE_CHECKING

from lake_assets.conform.runner import ClusterRunner, SparkRunner
from lake_assets.errors import SettingsError
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import MartAccess, Warehouse
from lake_assets.warehouse.results import QueryResult

if TYPE_CHECKING:
    from lake_assets.warehouse.erasure import Erasure


def warehouse_for(settings: Settings) -> Warehouse:
    """The target's warehouse. Raises SettingsError for a target that has none."""
    match settings.target:
        case "local":
            from lake_assets.warehouse.local.ducklake import DuckLake

            return DuckLake(settings)
        case "aws":
            from lake_assets.warehouse.aws.athena import Athena

            _check_bucket(settings, "Athena", "s3://")
            return Athena(settings)
        case "gcp":
            from lake_assets.warehouse.gcp.bigquery import BigQuery

            _check_bucket(settings, "BigQuery", "gs://")
            return BigQuery(settings)


def erasure_for(settings: Settings) -> "Erasure":
    """What takes single rows out of the target's tables. Raises SettingsError as `warehouse_for`."""
    match settings.target:
        case "local":
            from lake_assets.warehouse.local.ducklake_erasure import DuckLakeErasure

            return DuckLakeErasure(settings)
        case "aws":
            from lake_assets.warehouse.aws.athena_erasure import AthenaErasure

            _check_bucket(settings, "Athena", "s3://")
            return AthenaErasure(settings)
        case "gcp":
            from lake_assets.warehouse.gcp.bigquery_erasure import BigQueryErasure

            _check_bucket(settings, "BigQuery", "gs://")
            return BigQueryErasure(settings)


def mart_access_for(settings: Settings) -> MartAccess:
    """Where the target's marts are, and who may read them. Raises SettingsError."""
    match settings.target:
        case "local":
            from lake_assets.warehouse.local.postgres_marts import PostgresMarts

            return PostgresMarts(settings)
        case "aws":
            from lake_assets.warehouse.aws.glue_marts import GlueMarts

            return GlueMarts(settings)
        case "gcp":
            from lake_assets.warehouse.gcp.bigquery_marts import BigQueryMarts

            return BigQueryMarts(settings)


def query_marts(settings: Settings, query: str, limit: int | None) -> QueryResult:
    """Asks where the marts are: as an analyst on this machine, in a cloud with the credentials that are there."""
    if settings.target == "local":
        from lake_assets.warehouse.local.analyst_query import query_as_analyst

        return query_as_analyst(settings, query, limit)
    return warehouse_for(settings).query(query, limit)


def runner_for(settings: Settings) -> SparkRunner:
    """The place where Spark jobs run. Raises SettingsError for one that lacks a setting."""
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
    """Whether the place of Spark jobs is one that can leave a cluster behind."""
    return settings.spark.runner in ("emr", "dataproc")


def cluster_runner_for(settings: Settings) -> ClusterRunner:
    """The same place, with what the reaper needs. Raises SettingsError for one that makes no clusters."""
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


def _spark(settings: Settings) -> str:
    return f"the Spark runner '{settings.spark.runner}'"


def _check_bucket(settings: Settings, reader: str, scheme: str) -> None:
    if not settings.bucket.startswith(scheme):
        raise SettingsError(f"{reader} cannot read {settings.bucket}: set LAKE_BUCKET to a {scheme} URL.")
