"""Variables of the environment that configure a lake: their names, and the one place where they are read.

`setting_reference` has the values and the meaning of each.
"""

import os
from typing import Literal, overload

VariableName = Literal[
    "LAKE_ANALYSTS",
    "LAKE_ATHENA_WORKGROUP",
    "LAKE_BUCKET",
    "LAKE_CATALOG",
    "LAKE_CODE_HOST",
    "LAKE_COMMIT_SECONDS",
    "LAKE_CONNECT",
    "LAKE_CONNECT_CA",
    "LAKE_CONNECT_PASSWORD_FILE",
    "LAKE_CONNECT_USER",
    "LAKE_DAGSTER_HOSTS",
    "LAKE_DAGSTER_KEY_FILE",
    "LAKE_DAGSTER_READ_ONLY",
    "LAKE_DATAPROC_ACCOUNT",
    "LAKE_DATAPROC_CLUSTER",
    "LAKE_DATAPROC_IMAGE",
    "LAKE_DATAPROC_MACHINE",
    "LAKE_DATAPROC_PROJECT",
    "LAKE_DATAPROC_REGION",
    "LAKE_DATAPROC_STAGING",
    "LAKE_DATAPROC_SUBNET",
    "LAKE_DATAPROC_VERSION",
    "LAKE_DATAPROC_WORKERS",
    "LAKE_DBT_PROJECT",
    "LAKE_DBT_SCHEMA",
    "LAKE_EMR_APPLICATION",
    "LAKE_EMR_BOOTSTRAP",
    "LAKE_EMR_CLUSTER",
    "LAKE_EMR_INSTANCE_PROFILE",
    "LAKE_EMR_LOGS",
    "LAKE_EMR_MACHINE",
    "LAKE_EMR_MACHINES",
    "LAKE_EMR_RELEASE",
    "LAKE_EMR_ROLE",
    "LAKE_EMR_SERVICE_ROLE",
    "LAKE_EMR_SUBNET",
    "LAKE_GCP_LOAD_FUNCTION",
    "LAKE_GCP_LOCATION",
    "LAKE_GCP_POLICY_TAGS",
    "LAKE_GCP_PROJECT",
    "LAKE_HOME",
    "LAKE_JARS",
    "LAKE_KAFKA",
    "LAKE_KAFKA_CA",
    "LAKE_KAFKA_CERTIFICATE",
    "LAKE_KAFKA_PASSWORD_FILE",
    "LAKE_KAFKA_PRODUCER",
    "LAKE_KAFKA_SASL_MECHANISM",
    "LAKE_KAFKA_SECURITY",
    "LAKE_KAFKA_TOKEN_CA",
    "LAKE_KAFKA_TOKEN_SCOPE",
    "LAKE_KAFKA_TOKEN_URL",
    "LAKE_KAFKA_USER",
    "LAKE_LINEAGE",
    "LAKE_LINEAGE_KEY_FILE",
    "LAKE_LINEAGE_NAMESPACE",
    "LAKE_LINEAGE_URL",
    "LAKE_MART_MINUTES",
    "LAKE_METRIC_PROCESSES",
    "LAKE_NOTIFY_FROM",
    "LAKE_NOTIFY_SMTP",
    "LAKE_NOTIFY_SMTP_PASSWORD_FILE",
    "LAKE_NOTIFY_SMTP_SECURITY",
    "LAKE_NOTIFY_SMTP_USER",
    "LAKE_NOTIFY_TO",
    "LAKE_NOTIFY_WEBHOOK_FILE",
    "LAKE_POSTGRES_CA",
    "LAKE_POSTGRES_DSN",
    "LAKE_POSTGRES_SSLMODE",
    "LAKE_RUN_SECONDS",
    "LAKE_SECRETS",
    "LAKE_SPARK_CONF",
    "LAKE_SPARK_ENVIRONMENT",
    "LAKE_SPARK_MEMORY",
    "LAKE_SPARK_PROJECT",
    "LAKE_SPARK_RUNNER",
    "LAKE_SPARK_THRESHOLD",
    "LAKE_SPARK_TIMEOUT",
    "LAKE_TARGET",
    "LAKE_TOKEN_KEY",
]


@overload
def read_variable(name: VariableName) -> str | None: ...
@overload
def read_variable(name: VariableName, default: str) -> str: ...
def read_variable(name: VariableName, default: str | None = None) -> str | None:
    """Return the value of a variable as it is set, or the default when it is not set."""
    return os.environ.get(name, default)
