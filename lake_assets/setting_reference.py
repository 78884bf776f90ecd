"""All `LAKE_*` variables, and `docs/settings.md`: `python -m lake_assets.setting_reference > docs/settings.md`."""

import sys
from dataclasses import dataclass

from lake_assets.settings import DATAPROC_RUNTIME, PARALLEL_RUNS, RUN_SECONDS, SPARK_THRESHOLD
from lake_assets.target_profiles import PROFILES, TARGETS
from lake_assets.variables import VariableName


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment: its values, its default, and its meaning in one sentence for a person."""

    name: VariableName
    values: str
    default: str
    meaning: str


_FILE = "a path"
_COMMITS = ", ".join(f"{PROFILES[target].commit_seconds} on `{target}`" for target in TARGETS)
_MART_MINUTES = ", ".join(f"{PROFILES[target].mart_minutes} on `{target}`" for target in TARGETS)
GROUPS: dict[str, tuple[Variable, ...]] = {
    "The lake": (
        Variable("LAKE_HOME", "a folder", "`.lake` in the project", "State of one lake; several can run side by side."),
        Variable("LAKE_TARGET", "`local`, `gcp`, `aws`", "`local`", "Warehouse of staging, quarantine and marts."),
        Variable("LAKE_BUCKET", "a URL", "a folder in `LAKE_HOME`", "Bucket of raw, conformed and staging files."),
        Variable(
            "LAKE_CATALOG", "a folder", "`lake_assets/catalog`", "Contracts (`assets/`) and metrics (`metrics/`)."
        ),
        Variable("LAKE_DBT_PROJECT", "a folder", "`dbt_project`", "The dbt project of staging models and marts."),
        Variable("LAKE_COMMIT_SECONDS", "seconds, 1 or more", _COMMITS, "Time between a sink's commits."),
        Variable(
            "LAKE_MART_MINUTES",
            "minutes",
            _MART_MINUTES,
            "Shortest time between two automatic builds of a mart; with 0 it is built after each change.",
        ),
        Variable(
            "LAKE_METRIC_PROCESSES",
            "a number, 1 or more",
            "that of the last `lake up`, at first 1",
            "Processes that count the metrics between them; those of one asset are together. `lake up` applies it.",
        ),
        Variable(
            "LAKE_PARALLEL_RUNS",
            "a number, 1 or more",
            str(PARALLEL_RUNS),
            "Dagster runs for new windows at once, each of one domain, and as many for retries; with 1 it is of all.",
        ),
        Variable(
            "LAKE_RUN_SECONDS",
            "seconds, 10 or more",
            str(RUN_SECONDS),
            "Longest time of a run, and of a wait for a lock; then it ends and the next one starts.",
        ),
        Variable("LAKE_ANALYSTS", "names with spaces between", "", "Principals in a cloud that may read marts."),
        Variable(
            "LAKE_PREVIEW_ANALYSTS",
            "names with spaces between",
            "",
            "Analysts for whom `lake preview` and `lake diff` run drafts on real rows without confidential columns.",
        ),
        Variable("LAKE_JARS", "a folder", "`.jars` in the project", "Jars of Kafka, Kafka Connect and its plug-ins."),
        Variable("LAKE_TOKEN_KEY", _FILE, "`LAKE_HOME/secrets/token_key`", "Key of the tokens of tokenised fields."),
        Variable("LAKE_DBT_SCHEMA", "a schema", "", "An analyst's own schema, for `lake-dbt` with `--defer`."),
    ),
    "Kafka": (
        Variable("LAKE_KAFKA", "`HOST:PORT`, with commas between", "the embedded broker", "Bootstrap servers."),
        Variable(
            "LAKE_KAFKA_SECURITY",
            "`plaintext`, `ssl`, `sasl_plaintext`, `sasl_ssl`",
            "`sasl_plaintext` for the embedded broker, else `plaintext`",
            "Protocol of the broker's listener.",
        ),
        Variable(
            "LAKE_KAFKA_SASL_MECHANISM",
            "`SCRAM-SHA-512`, `SCRAM-SHA-256`, `PLAIN`, `OAUTHBEARER`",
            "`PLAIN` for the embedded broker, else `SCRAM-SHA-512`",
            "Mechanism of SASL.",
        ),
        Variable(
            "LAKE_KAFKA_USER",
            "a name",
            "`lake` for the embedded broker",
            "User, with `OAUTHBEARER` the id of an OAuth client.",
        ),
        Variable("LAKE_KAFKA_PASSWORD_FILE", _FILE, "`LAKE_HOME/secrets/kafka_password`", "Password or client secret."),
        Variable("LAKE_KAFKA_CA", _FILE, "the machine's authorities", "Certificates (PEM) of the brokers' authority."),
        Variable("LAKE_KAFKA_CERTIFICATE", _FILE, "", "Private key, certificate and chain of the lake, in this order."),
        Variable(
            "LAKE_KAFKA_PRODUCER",
            "a name",
            "`producer` for the embedded broker",
            "User that `lake apply` allows to write to the topics of assets; without it their ACLs are left alone.",
        ),
        Variable("LAKE_KAFKA_TOKEN_URL", "an https address", "", "Token endpoint, with `OAUTHBEARER`."),
        Variable("LAKE_KAFKA_TOKEN_SCOPE", "a scope", "", "Scope of the tokens."),
        Variable("LAKE_KAFKA_TOKEN_CA", _FILE, "the machine's authorities", "Authority of the token endpoint."),
    ),
    "Kafka Connect": (
        Variable("LAKE_CONNECT", "an address", "the embedded worker", "REST API of Kafka Connect."),
        Variable("LAKE_CONNECT_USER", "a name", "`lake`, for the embedded worker", "User for basic authentication."),
        Variable("LAKE_CONNECT_PASSWORD_FILE", _FILE, "`LAKE_HOME/secrets/connect_password`", "Password of that user."),
        Variable("LAKE_CONNECT_CA", _FILE, "the authorities of `requests`", "Authority of the REST API's certificate."),
    ),
    "Postgres": (
        Variable(
            "LAKE_POSTGRES_DSN",
            "a connection string of libpq",
            "the embedded server",
            "Administrator of another server, for `lake up` only; it is stored nowhere.",
        ),
        Variable(
            "LAKE_POSTGRES_SSLMODE",
            "`prefer`, `require`, `verify-ca`, `verify-full`",
            "`prefer`",
            "TLS mode of libpq and JDBC.",
        ),
        Variable("LAKE_POSTGRES_CA", _FILE, "", "Authority of the server's certificate, with a `verify` mode."),
    ),
    "Dagster": (
        Variable(
            "LAKE_DAGSTER_READ_ONLY", "`off`, `on`", "`off`", "Web UI that shows everything and launches nothing."
        ),
        Variable("LAKE_DAGSTER_HOSTS", "names with spaces between", "", "Further host names that the web UI answers."),
        Variable(
            "LAKE_DAGSTER_KEY_FILE", _FILE, "", "Key that the web UI asks for in a container; `lake up` makes its own."
        ),
    ),
    "Notifications": (
        Variable(
            "LAKE_NOTIFY_WEBHOOK_FILE", _FILE, "", "File with the https address of a webhook in the shape of Slack's."
        ),
        Variable("LAKE_NOTIFY_SMTP", "`HOST:PORT`", "", "Mail server."),
        Variable("LAKE_NOTIFY_SMTP_SECURITY", "`starttls`, `tls`, `none`", "`starttls`", "TLS of the mail server."),
        Variable("LAKE_NOTIFY_SMTP_USER", "a name", "", "User of the mail server."),
        Variable("LAKE_NOTIFY_SMTP_PASSWORD_FILE", _FILE, "", "Password of that user."),
        Variable("LAKE_NOTIFY_FROM", "an address", "", "Sender of e-mail."),
        Variable(
            "LAKE_NOTIFY_TO",
            "addresses with spaces between, `owners`",
            "",
            "Receivers of e-mail; `owners` stands for the owners' own addresses.",
        ),
    ),
    "Lineage": (
        Variable("LAKE_LINEAGE", "`file`, `off`", "`file`", "Events of OpenLineage in files of `LAKE_HOME/lineage`."),
        Variable(
            "LAKE_LINEAGE_URL",
            "an address",
            "",
            "Server that receives them too, with its path, such as `/api/v1/lineage`.",
        ),
        Variable("LAKE_LINEAGE_KEY_FILE", _FILE, "", "API key of that server, sent as a bearer token."),
        Variable(
            "LAKE_LINEAGE_NAMESPACE", "a name", "`lake`", "Namespace of the lake's jobs; each lake needs its own."
        ),
    ),
    "BI tools": (
        Variable(
            "LAKE_METABASE_KEY_FILE",
            _FILE,
            "`LAKE_HOME/secrets/metabase_key`",
            "API key of Metabase's group Administrators, for `lake bi apply`.",
        ),
    ),
    "AWS": (Variable("LAKE_ATHENA_WORKGROUP", "a workgroup", "`primary`", "Workgroup of the lake's own queries."),),
    "Google Cloud": (
        Variable("LAKE_GCP_PROJECT", "a project id", "", "Project of the datasets; required on gcp."),
        Variable("LAKE_GCP_LOCATION", "a location", "", "Location of datasets and bucket; required on gcp."),
        Variable(
            "LAKE_GCP_POLICY_TAGS",
            "`personal=projects/…`, with spaces between",
            "",
            "Policy tag of the columns of a classification.",
        ),
        Variable("LAKE_GCP_LOAD_FUNCTION", "`off`, `on`", "`off`", "Announce publications for the load function."),
    ),
    "Spark": (
        Variable(
            "LAKE_SPARK_RUNNER",
            "`local`, `emr-serverless`, `emr`, `dataproc`, `dataproc-batch`",
            "`local`",
            "Place of Spark jobs.",
        ),
        Variable(
            "LAKE_SPARK_THRESHOLD",
            "bytes",
            str(SPARK_THRESHOLD),
            "Raw files above this size let `engine: auto` use Spark.",
        ),
        Variable("LAKE_SPARK_TIMEOUT", "seconds", "14400", "Longest time of a job."),
        Variable("LAKE_SPARK_MEMORY", "a size of the JVM", "`2g`", "Heap of a local job."),
        Variable("LAKE_SPARK_PROJECT", "a folder", "`spark`", "Folder of contracts' entry points."),
        Variable("LAKE_SPARK_CONF", "`key=value`, with spaces between", "", "Settings of Spark on a cluster."),
        Variable("LAKE_SPARK_ENVIRONMENT", "a path or URL", "", "Archive of `make spark-dist`; required on a cluster."),
    ),
    "EMR": (
        Variable("LAKE_EMR_APPLICATION", "an id", "", "EMR Serverless application; required there."),
        Variable("LAKE_EMR_ROLE", "an ARN", "", "Role of jobs on EMR Serverless; required there."),
        Variable("LAKE_EMR_LOGS", "a URL", "`<bucket>/jobs/logs`", "Folder of logs."),
        Variable("LAKE_EMR_CLUSTER", "an id", "a cluster for each job", "Given cluster."),
        Variable("LAKE_EMR_RELEASE", "a release", "", "Release of the cluster that is made for a job."),
        Variable("LAKE_EMR_MACHINE", "a type", "`m6i.xlarge`", "Machines of such a cluster."),
        Variable("LAKE_EMR_MACHINES", "a number", "3", "Number of its machines, the first included."),
        Variable("LAKE_EMR_SERVICE_ROLE", "a role", "`EMR_DefaultRole`", "Service role of such a cluster."),
        Variable("LAKE_EMR_INSTANCE_PROFILE", "a profile", "`EMR_EC2_DefaultRole`", "Role of its machines."),
        Variable("LAKE_EMR_SUBNET", "an id", "", "Subnet of such a cluster."),
        Variable("LAKE_EMR_BOOTSTRAP", "a URL", "", "Script that its machines run first."),
    ),
    "Dataproc": (
        Variable("LAKE_DATAPROC_PROJECT", "a project id", "", "Project of clusters and batches; required there."),
        Variable("LAKE_DATAPROC_REGION", "a region", "", "Region of clusters and batches; required there."),
        Variable("LAKE_DATAPROC_CLUSTER", "a name", "a cluster for each job", "Given cluster."),
        Variable("LAKE_DATAPROC_IMAGE", "a version", "", "Image of the cluster that is made for a job."),
        Variable("LAKE_DATAPROC_MACHINE", "a type", "`n2-standard-4`", "Machines of such a cluster."),
        Variable("LAKE_DATAPROC_WORKERS", "a number", "2", "Number of its workers."),
        Variable(
            "LAKE_DATAPROC_ACCOUNT", "an address", "the project's", "Service account of a made cluster or a batch."
        ),
        Variable("LAKE_DATAPROC_SUBNET", "a name", "the project's", "Subnet of a made cluster or a batch."),
        Variable("LAKE_DATAPROC_VERSION", "a version", f"`{DATAPROC_RUNTIME}`", "Runtime version of batches."),
        Variable("LAKE_DATAPROC_STAGING", "a bucket's name", "Google's", "Bucket for what Google stores of batches."),
    ),
    "Containers": (
        Variable("LAKE_SECRETS", "a folder", "", "Secrets that a container may read, named as in `LAKE_HOME/secrets`."),
        Variable("LAKE_CODE_HOST", "a host", "`127.0.0.1`", "Code server, as the web server finds it."),
    ),
}
# Set by the lake for its own processes: of no use from outside.
INTERNAL = frozenset(
    {
        "LAKE_BUSY_READER_SECONDS",
        "LAKE_DBT_PERSONAL",
        "LAKE_DBT_TARGET",
        "LAKE_DUCKDB_EXTENSIONS",
        "LAKE_DUCKDB_SPILL",
        "LAKE_IDLE_READER_SECONDS",
        "LAKE_POSTGRES",
        "LAKE_POSTGRES_ANALYST",
        "LAKE_STACK_OF",
        "LAKE_STAGING_DATA",
    }
)
_HEAD = """\
# Settings

All variables of the environment that a lake reads. Secrets are in files, of which a setting is the path; only
`LAKE_POSTGRES_DSN` may hold one.
[Where it runs](targets.md), [running it for real](deploy.md) and [Spark](spark.md) explain them where they matter.
"""


def settings_page() -> str:
    """Return `docs/settings.md`."""
    parts = [_HEAD]
    for group, variables in GROUPS.items():
        rows = [
            f"| `{variable.name}` | {variable.values} | {variable.default} | {variable.meaning} |"
            for variable in variables
        ]
        parts.append(
            "\n".join([f"\n## {group}\n", "| variable | values | default | meaning |", "|---|---|---|---|", *rows])
        )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
