"""Least privileges of each role of the lake in a cloud; `deploy/terraform` grants exactly these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["orchestrator", "connect", "spark", "analyst"]
Condition = Literal["lake_formation", "emr_serverless", "dataproc_batch", "policy_tags", "iam_marts"]
ROLES: tuple[Role, ...] = ("orchestrator", "connect", "spark", "analyst")


@dataclass(frozen=True, slots=True)
class Need:
    """Actions on one kind of resource.

    On AWS `on` is an ARN with placeholders for a lake's names. On Google Cloud it is `bucket`, `project`, `taxonomy`,
    `policy_tag` or `staging_bucket`, that of Spark. A need with a condition applies only to lakes with that feature.
    """

    on: str
    actions: tuple[str, ...]
    condition: Condition | None = None


_FILES = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_BUCKET = "arn:{partition}:s3:::{bucket}"
_GLUE = "arn:{partition}:glue:{region}:{account}"
_DATA_CATALOG = "arn:{partition}:athena:{region}:{account}:datacatalog/AwsDataCatalog"
_WORKGROUP = "arn:{partition}:athena:{region}:{account}:workgroup/{workgroup}"
_EMR = "arn:{partition}:emr-serverless:{region}:{account}:/applications/{application}"
_QUERIES = (
    "athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution",
    "athena:GetWorkGroup",
)  # fmt: skip
_DATABASES = ("glue:GetDatabase", "glue:CreateDatabase")
_TABLES = ("glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable")
_VERSIONS = ("glue:GetTableVersions", "glue:DeleteTableVersion")
_PARTITIONS = (
    "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition", "glue:BatchCreatePartition",
    "glue:BatchUpdatePartition", "glue:BatchDeletePartition",
)  # fmt: skip

AWS: dict[Role, tuple[Need, ...]] = {
    "orchestrator": (
        Need(f"{_BUCKET}/*", _FILES),
        Need(_BUCKET, ("s3:ListBucket", "s3:GetBucketLocation")),
        Need(f"{_GLUE}:database/{{raw}}", (*_DATABASES, *_TABLES)),
        Need(
            f"{_GLUE}:table/{{staging}}/*",
            (*_DATABASES, "glue:GetDatabases", *_TABLES, *_VERSIONS, *_PARTITIONS),
        ),
        Need(_WORKGROUP, _QUERIES),
        Need(_DATA_CATALOG, ("athena:GetDataCatalog",)),
        # Athena itself looks at it for each query, whatever database that names.
        Need(f"{_GLUE}:database/default", ("glue:GetDatabase",)),
        Need(
            _EMR,
            ("emr-serverless:StartJobRun", "emr-serverless:ListJobRuns", "emr-serverless:TagResource"),
            "emr_serverless",
        ),
        Need(f"{_EMR}/jobruns/*", ("emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"), "emr_serverless"),
        Need("{spark_role}", ("iam:PassRole",), "emr_serverless"),
        Need("{caller}", ("iam:GetRole", "iam:SimulatePrincipalPolicy")),
        Need(
            "*",
            (
                "lakeformation:ListLFTags", "lakeformation:CreateLFTag", "lakeformation:UpdateLFTag",
                "lakeformation:GetResourceLFTags", "lakeformation:AddLFTagsToResource", "lakeformation:ListPermissions",
                "lakeformation:GrantPermissions", "lakeformation:GetDataAccess",
            ),
            "lake_formation",
        ),
    ),
    "connect": (
        Need(f"{_BUCKET}/raw/*", _FILES),
        Need(f"{_GLUE}:table/{{raw}}/*", ("glue:GetDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable")),
    ),
    "spark": (
        Need(f"{_BUCKET}/raw/*", ("s3:GetObject",)),
        Need(f"{_BUCKET}/conformed/*", _FILES),
        Need(_BUCKET, ("s3:ListBucket",)),
    ),
    "analyst": (
        Need(f"{_BUCKET}/marts/*", ("s3:GetObject",), "iam_marts"),
        Need(
            f"{_BUCKET}/athena/{{analyst}}/*",
            ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
        ),
        Need(_BUCKET, ("s3:ListBucket", "s3:GetBucketLocation")),
        Need(
            f"{_GLUE}:table/{{mart}}/*",
            ("glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions",
             "glue:BatchGetPartition"),
        ),
        Need(f"{_GLUE}:database/default", ("glue:GetDatabase",)),
        # Drivers (JDBC, ODBC) stream results; BI tools and the console list what there is.
        Need(
            "arn:{partition}:athena:{region}:{account}:workgroup/{analyst}",
            (*_QUERIES, "athena:GetQueryResultsStream", "athena:BatchGetQueryExecution", "athena:ListQueryExecutions"),
        ),
        Need(
            _DATA_CATALOG,
            ("athena:GetDataCatalog", "athena:GetDatabase", "athena:GetTableMetadata", "athena:ListDatabases",
             "athena:ListTableMetadata"),
        ),
        Need("*", ("athena:ListDataCatalogs", "athena:ListWorkGroups")),
        Need("*", ("lakeformation:GetDataAccess",), "lake_formation"),
    ),
}  # fmt: skip

_JOBS = ("bigquery.jobs.create", "bigquery.jobs.get", "bigquery.jobs.list")
_OBJECTS = ("storage.objects.get", "storage.objects.list", "storage.objects.create", "storage.objects.delete")

GCP: dict[Role, tuple[Need, ...]] = {
    "orchestrator": (
        Need("bucket", _OBJECTS),
        # Without `jobs.get` an account reads its own jobs only. The load function starts jobs of the same names.
        Need("project", ("bigquery.datasets.create", *_JOBS)),
        Need(
            "project",
            ("dataproc.batches.create", "dataproc.batches.get", "dataproc.operations.cancel"),
            "dataproc_batch",
        ),
        Need("taxonomy", ("datacatalog.taxonomies.get",), "policy_tags"),
        Need("policy_tag", ("datacatalog.categories.fineGrainedGet",), "policy_tags"),
    ),
    "connect": (Need("bucket", _OBJECTS),),
    "spark": (
        Need("bucket", ("storage.buckets.get", *_OBJECTS)),
        Need("staging_bucket", ("storage.buckets.get", "storage.objects.update", *_OBJECTS)),
        Need(
            "project",
            (
                "dataproc.agents.create", "dataproc.agents.delete", "dataproc.agents.get", "dataproc.agents.list",
                "dataproc.agents.update", "dataproc.tasks.lease", "dataproc.tasks.listInvalidatedLeases",
                "dataproc.tasks.reportStatus", "logging.logEntries.create", "monitoring.metricDescriptors.create",
                "monitoring.metricDescriptors.get", "monitoring.metricDescriptors.list",
                "monitoring.monitoredResourceDescriptors.get", "monitoring.monitoredResourceDescriptors.list",
                "monitoring.timeSeries.create",
            ),
        ),
    ),
    "analyst": (Need("project", ("bigquery.jobs.create",)),),
}  # fmt: skip


def needed(needs: Sequence[Need], holding: frozenset[Condition]) -> list[Need]:
    """Return the needs of a lake that uses the features in `holding`."""
    return [need for need in needs if need.condition is None or need.condition in holding]
