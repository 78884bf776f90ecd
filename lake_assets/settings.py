"""One typed settings object: the addresses and options of a lake, from the environment and from stack.json."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args
from urllib.parse import quote, urlsplit

from lake_assets.catalog.model import CLASSIFICATIONS
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.kafka_security import (
    MECHANISMS,
    PRODUCER,
    PROTOCOLS,
    ConnectAccess,
    KafkaAccess,
    Mechanism,
    TokenEndpoint,
    java_options,
)
from lake_assets.target_profiles import PROFILES, TARGETS, Target, TargetProfile
from lake_assets.variables import VariableName, read_variable

Runner = Literal["local", "emr-serverless", "emr", "dataproc", "dataproc-batch"]
RUNNERS: tuple[Runner, ...] = get_args(Runner)
SslMode = Literal["prefer", "require", "verify-ca", "verify-full"]
SSL_MODES: tuple[SslMode, ...] = get_args(SslMode)
# libpq's reason inside the message that psycopg and DuckDB put around it.
_REFUSAL = re.compile(r"connection to server .+? failed: ([^\n]+)")
# Reasons that concern TLS itself, not the message of a TLS session when the server goes away.
_TLS_REFUSED = re.compile("certificate|does not support SSL|no encryption")
# The wording depends on the client, and on whose limit it is.
_FULL = re.compile("too many|connection slots")
# Bytes of raw files; docs/decisions.md has the measurement.
# Google's runtime of Spark batches. Without one a batch gets Google's default, which changes Spark, Python and rights.
DATAPROC_RUNTIME = "2.3"
SPARK_THRESHOLD = 500_000_000
# Longer than the longest Spark job, LAKE_SPARK_TIMEOUT.
RUN_SECONDS = 6 * 3600
PARALLEL_RUNS = 2
# libpq's parameters that end a connection to a vanished host within two minutes; the kernel's own wait two hours.
_ALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
T = TypeVar("T", bound=str)
Role = Literal["lake_admin", "lake", "connect", "dagster", "engineer", "analyst"]
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Postgres:
    """Address of the lake's Postgres.

    Passwords stay in passfiles (libpq's format, mode 0600), never in a URL. There is one for each role beside
    `passfile`, which a container has instead. `ca` is the file of the authority that signed the server's certificate;
    with the mode `prefer` libpq's own settings apply.
    """

    host: str
    port: int
    dbname: str
    passfile: Path
    sslmode: SslMode = "prefer"
    ca: Path | None = None

    def passfile_of(self, role: Role) -> Path:
        """Return the file with the password of the role."""
        own = self.passfile.with_name(f"{self.passfile.name}_{role}")
        return own if own.exists() else self.passfile

    def folder_of_analyst(self, name: str) -> Path:
        """Return the folder with the files of an analyst who has a login: `pgpass` and `environment`."""
        return self.passfile.with_name("analysts") / name

    def conninfo(self, role: Role, dbname: str | None = None) -> str:
        """Return a libpq connection string without a password; for psycopg and for DuckDB's attach."""
        return self._conninfo(role, self.passfile_of(role), dbname or self.dbname)

    def conninfo_of_analyst(self, name: str) -> str:
        """Return the connection string of an analyst who has a login."""
        return self._conninfo(name, self.folder_of_analyst(name) / "pgpass", self.dbname)

    def _conninfo(self, user: str, passfile: Path, dbname: str) -> str:
        tls = "".join(f" {key}='{value}'" for key, value in self._tls().items())
        alive = "".join(f" {key}={value}" for key, value in _ALIVE.items())
        address = f"host={self.host} port={self.port} dbname={dbname} user={user}"
        return f"{address} passfile='{passfile}'{alive}{tls}"

    def url(self, role: Role, driver: str = "postgresql", dbname: str | None = None, options: str = "") -> str:
        """Return a URL without a password for SQLAlchemy; `options` is libpq's, for example `-csearch_path=raw`."""
        extra = f"&options={quote(options)}" if options else ""
        name = dbname or self.dbname
        passfile = quote(str(self.passfile_of(role)))
        alive = "".join(f"&{key}={value}" for key, value in _ALIVE.items())
        tls = self._tls_parameters()
        return f"{driver}://{role}@{self.host}:{self.port}/{name}?passfile={passfile}{extra}{alive}{tls}"

    def jdbc_url(self, schema: str, parameters: str = "") -> str:
        """Return a URL without user and password for Kafka Connect; `parameters` are the driver's, such as `&a=b`."""
        address = f"{self.host}:{self.port}/{self.dbname}"
        alive = "&connectTimeout=10&tcpKeepAlive=true"
        return f"jdbc:postgresql://{address}?currentSchema={schema}{parameters}{alive}{self._tls_parameters()}"

    def not_reached(self, error: Exception) -> LakeError:
        """Return the error for a failed connection: SettingsError for TLS, else Unavailable."""
        message = str(error).strip()
        match = _REFUSAL.search(message)
        reason = match[1].strip() if match else message.partition("\n")[0]
        address = f"Postgres at {self.host}:{self.port}"
        if _TLS_REFUSED.search(reason):
            return SettingsError(
                f"{address} cannot be reached safely ({reason}): check LAKE_POSTGRES_SSLMODE and LAKE_POSTGRES_CA."
            )
        if _FULL.search(reason):
            return Unavailable(
                f"{address} has no connection left ({reason}): end unused sessions or raise its "
                "max_connections, and try again."
            )
        return Unavailable(f"{address} does not answer ({reason}): start it with `lake up`.")

    def _tls(self) -> dict[str, str]:
        """Return TLS parameters, which libpq and the JDBC driver name alike."""
        if self.sslmode == "prefer":
            return {}
        return {"sslmode": self.sslmode, **({"sslrootcert": str(self.ca)} if self.ca else {})}

    def _tls_parameters(self) -> str:
        return "".join(f"&{key}={quote(value)}" for key, value in self._tls().items())


@dataclass(frozen=True, slots=True)
class Spark:
    """Runner, threshold and limits of Spark jobs.

    `threshold` is in bytes of raw files: runs with `engine: auto` below it use DuckDB. `timeout` is in seconds.
    `project` is the folder of the entrypoints.
    """

    runner: Runner
    threshold: int
    timeout: float
    project: Path
    memory: str


@dataclass(frozen=True, slots=True)
class Gcp:
    """The warehouse's Google Cloud project, and the location of its datasets, which is the bucket's.

    `policy_tags` are pairs of a classification in the contract and the resource name of its columns' tag; strictest
    first. With `load_function`, each publication is announced in the bucket, for a function that loads it too.
    """

    project: str
    location: str
    policy_tags: tuple[tuple[str, str], ...]
    load_function: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """All differences between two lakes.

    `bucket` is a URL without a trailing slash. `athena_workgroup` runs the lake's own queries on AWS. `analysts` are
    the principals that may read marts in a cloud, as it names them. Produced events land every `commit_seconds`.
    A mart is built again by automation at the earliest `mart_minutes` after its last build; 0 builds it after each
    change. A run of Dagster, and a wait for a lock, ends after `run_seconds`. So many `metric_processes` share the
    metrics.
    """

    target: Target
    home: Path
    catalog: Path
    bucket: str
    kafka: str
    kafka_access: KafkaAccess
    connect: str
    connect_access: ConnectAccess
    postgres: Postgres
    dagster_port: int
    dashboard_port: int
    dagster_read_only: bool
    dbt_project: Path
    spark: Spark
    athena_workgroup: str
    gcp: Gcp
    analysts: tuple[str, ...]
    commit_seconds: int
    mart_minutes: int
    run_seconds: int
    metric_processes: int
    parallel_runs: int
    # Those who may read real rows through drafts of models, on this machine.
    preview_analysts: tuple[str, ...] = ()
    # The Kafka user that `lake apply` lets write to the topics of assets; empty where the broker's owner decides.
    kafka_producer: str = ""

    @property
    def profile(self) -> TargetProfile:
        return PROFILES[self.target]

    @property
    def staging_database(self) -> str:
        """Return the first part of a staging table's full name in SQL."""
        return self.profile.staging_database or self.gcp.project

    @property
    def dashboard_address(self) -> str:
        """Return the dashboard's address for a browser of this machine."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def raw_warehouse(self) -> str:
        return f"{self.bucket}/raw"

    @property
    def conformed(self) -> str:
        return f"{self.bucket}/conformed"

    @property
    def staging_data(self) -> str:
        return f"{self.bucket}/staging"

    @property
    def connect_password(self) -> str:
        """Return the reference to the password of role `connect` for Kafka Connect's worker."""
        return f"${{file:{self.home / 'secrets' / 'connect' / 'postgres.properties'}:password}}"

    @property
    def kafka_for_java(self) -> dict[str, str]:
        """Return the broker's security options for Kafka Connect's worker and its connectors, without secrets."""
        file = self.home / "secrets" / "connect" / "kafka.properties"
        return java_options(self.kafka_access, f"${{file:{file}:password}}")


def lake_home() -> Path:
    """Return the folder of all state of one lake: `LAKE_HOME`, else `.lake` in the project."""
    return Path(read_variable("LAKE_HOME", str(PROJECT / ".lake"))).expanduser().resolve()


def parallel_runs() -> int:
    """Return how many runs for new windows there may be at once. Raises SettingsError."""
    return _number("LAKE_PARALLEL_RUNS", PARALLEL_RUNS, least=1)


def load_settings() -> Settings:
    """Return the settings of the lake at `lake_home()`; raises SettingsError.

    Addresses come from the environment (`LAKE_KAFKA`, `LAKE_CONNECT`) or from `stack.json`, which `lake up` writes
    before it starts anything. The port 0 means "not set up yet", so that definitions load without a stack.
    """
    home = lake_home()
    stack_file = home / "stack.json"
    stack: dict[str, int | str] = json.loads(stack_file.read_text("utf-8")) if stack_file.exists() else {}
    target: Target = _one_of("LAKE_TARGET", TARGETS, str(stack.get("target", "local")))
    return Settings(
        target=target,
        home=home,
        catalog=Path(read_variable("LAKE_CATALOG", str(PROJECT / "lake_assets" / "catalog"))).expanduser().resolve(),
        bucket=read_variable("LAKE_BUCKET", str(stack.get("bucket", f"file://{home}/bucket"))).rstrip("/"),
        kafka=read_variable("LAKE_KAFKA", f"127.0.0.1:{stack.get('kafka_port', 0)}"),
        kafka_access=_kafka_access(home, own_user := _embedded_user(stack)),
        connect=(connect := read_variable("LAKE_CONNECT", f"http://127.0.0.1:{stack.get('connect_port', 0)}")),
        connect_access=_connect_access(home, connect, str(stack.get("connect_user", ""))),
        postgres=Postgres(
            host=str(stack.get("postgres_host", "127.0.0.1")),
            port=int(stack.get("postgres_port", 0)),
            dbname=str(stack.get("postgres_dbname", "lake")),
            passfile=home / "secrets" / "pgpass",
            sslmode=_one_of("LAKE_POSTGRES_SSLMODE", SSL_MODES),
            ca=_postgres_ca(),
        ),
        dagster_port=int(stack.get("dagster_port", 0)),
        dashboard_port=int(stack.get("dashboard_port", 0)),
        dagster_read_only=_one_of("LAKE_DAGSTER_READ_ONLY", ("off", "on")) == "on",
        dbt_project=Path(read_variable("LAKE_DBT_PROJECT", str(PROJECT / "dbt_project"))).expanduser().resolve(),
        spark=Spark(
            runner=_one_of("LAKE_SPARK_RUNNER", RUNNERS),
            threshold=_number("LAKE_SPARK_THRESHOLD", SPARK_THRESHOLD),
            timeout=_number("LAKE_SPARK_TIMEOUT", 4 * 3600),
            project=Path(read_variable("LAKE_SPARK_PROJECT", str(PROJECT / "spark"))).expanduser().resolve(),
            memory=read_variable("LAKE_SPARK_MEMORY", "2g"),
        ),
        # Amazon creates "primary" in every account.
        athena_workgroup=read_variable("LAKE_ATHENA_WORKGROUP", "primary"),
        gcp=_gcp(stack, needed=target == "gcp"),
        analysts=tuple(read_variable("LAKE_ANALYSTS", "").split()),
        preview_analysts=tuple(read_variable("LAKE_PREVIEW_ANALYSTS", "").split()),
        commit_seconds=_number("LAKE_COMMIT_SECONDS", PROFILES[target].commit_seconds, least=1),
        mart_minutes=_number("LAKE_MART_MINUTES", PROFILES[target].mart_minutes),
        run_seconds=_number("LAKE_RUN_SECONDS", RUN_SECONDS, least=10),
        parallel_runs=parallel_runs(),
        metric_processes=_number("LAKE_METRIC_PROCESSES", int(stack.get("metric_processes", 1)), least=1),
        kafka_producer=read_variable("LAKE_KAFKA_PRODUCER", PRODUCER if own_user else ""),
    )


def _embedded_user(stack: Mapping[str, int | str]) -> str:
    """Return the lake's user at its embedded broker; empty for another broker, and until a `lake up` with passwords."""
    return "" if read_variable("LAKE_KAFKA") is not None else str(stack.get("kafka_user", ""))


def _kafka_access(home: Path, own_user: str) -> KafkaAccess:
    """Return the access to the broker; `own_user` is the user of the broker that `lake up` starts."""
    mechanism: Mechanism = _one_of("LAKE_KAFKA_SASL_MECHANISM", MECHANISMS, "PLAIN" if own_user else "")
    access = KafkaAccess(
        protocol=_one_of("LAKE_KAFKA_SECURITY", PROTOCOLS, "sasl_plaintext" if own_user else ""),
        mechanism=mechanism,
        user=read_variable("LAKE_KAFKA_USER", own_user),
        password_file=_file("LAKE_KAFKA_PASSWORD_FILE") or home / "secrets" / "kafka_password",
        ca=_file("LAKE_KAFKA_CA"),
        certificate=_file("LAKE_KAFKA_CERTIFICATE"),
        tokens=_token_endpoint(mechanism),
    )
    if access.sasl and not access.user:
        raise SettingsError(f"LAKE_KAFKA_SECURITY is '{access.protocol}': set LAKE_KAFKA_USER too.")
    if not access.sasl:
        needs = "sasl_ssl, or to sasl_plaintext where no one else can listen"
        for variable in ("LAKE_KAFKA_USER", "LAKE_KAFKA_PASSWORD_FILE", "LAKE_KAFKA_SASL_MECHANISM"):
            _refuse_unused(variable, "LAKE_KAFKA_SECURITY", access.protocol, needs)
    if not access.tls:
        for variable in ("LAKE_KAFKA_CA", "LAKE_KAFKA_CERTIFICATE"):
            _refuse_unused(variable, "LAKE_KAFKA_SECURITY", access.protocol, "ssl or sasl_ssl")
    return access


def _token_endpoint(mechanism: Mechanism) -> TokenEndpoint | None:
    if mechanism != "OAUTHBEARER":
        for variable in ("LAKE_KAFKA_TOKEN_URL", "LAKE_KAFKA_TOKEN_SCOPE", "LAKE_KAFKA_TOKEN_CA"):
            _refuse_unused(variable, "LAKE_KAFKA_SASL_MECHANISM", mechanism, "OAUTHBEARER")
        return None
    url = read_variable("LAKE_KAFKA_TOKEN_URL", "")
    if urlsplit(url).scheme != "https":
        raise SettingsError(
            f"LAKE_KAFKA_SASL_MECHANISM is 'OAUTHBEARER' and LAKE_KAFKA_TOKEN_URL is '{url}': set it to the https "
            "address that issues tokens."
        )
    return TokenEndpoint(url, read_variable("LAKE_KAFKA_TOKEN_SCOPE", ""), _file("LAKE_KAFKA_TOKEN_CA"))


def _connect_access(home: Path, address: str, own_user: str) -> ConnectAccess:
    """Return the access to the REST API; `own_user` is the user of the worker that `lake up` starts."""
    url = urlsplit(address)
    if url.password is not None:
        raise SettingsError("LAKE_CONNECT has a password in it: set LAKE_CONNECT_USER and LAKE_CONNECT_PASSWORD_FILE.")
    user = read_variable("LAKE_CONNECT_USER", "" if read_variable("LAKE_CONNECT") is not None else own_user)
    if not user:
        _refuse_unused("LAKE_CONNECT_PASSWORD_FILE", "LAKE_CONNECT_USER", user, "the lake's user there")
    if url.scheme != "https":
        _refuse_unused("LAKE_CONNECT_CA", "LAKE_CONNECT", address, "an address with https")
    password_file = _file("LAKE_CONNECT_PASSWORD_FILE") or home / "secrets" / "connect_password"
    return ConnectAccess(user, password_file, _file("LAKE_CONNECT_CA"))


def _postgres_ca() -> Path | None:
    mode, ca = _one_of("LAKE_POSTGRES_SSLMODE", SSL_MODES), _file("LAKE_POSTGRES_CA")
    if mode.startswith("verify") and ca is None:
        raise SettingsError(f"LAKE_POSTGRES_SSLMODE is '{mode}': set LAKE_POSTGRES_CA to the file of its authority.")
    if not mode.startswith("verify"):
        _refuse_unused("LAKE_POSTGRES_CA", "LAKE_POSTGRES_SSLMODE", mode, "verify-full")
    return ca


def _refuse_unused(variable: VariableName, other: str, value: str, needed: str) -> None:
    """Reject settings that would be silently ignored."""
    if read_variable(variable):
        raise SettingsError(f"{variable} is set, but {other} is '{value}': set {other} to {needed}.")


def _file(variable: VariableName) -> Path | None:
    """Return the path without resolving links: Kubernetes moves them to another folder when a secret changes."""
    text = read_variable(variable)
    return Path(text).expanduser().absolute() if text else None


def _gcp(stack: Mapping[str, int | str], *, needed: bool) -> Gcp:
    project = read_variable("LAKE_GCP_PROJECT", str(stack.get("gcp_project", "")))
    location = read_variable("LAKE_GCP_LOCATION", str(stack.get("gcp_location", "")))
    if needed and not project:
        raise SettingsError("the target 'gcp' needs LAKE_GCP_PROJECT: set it to the id of the Google Cloud project.")
    if needed and not location:
        raise SettingsError("the target 'gcp' needs LAKE_GCP_LOCATION: set it to the bucket's location, such as EU.")
    tags = [part.partition("=") for part in read_variable("LAKE_GCP_POLICY_TAGS", "").split()]
    for classification, equals, tag in tags:
        if classification not in CLASSIFICATIONS or not tag.startswith("projects/"):
            raise SettingsError(
                f"LAKE_GCP_POLICY_TAGS has '{classification}{equals}{tag}': write personal=projects/… with the tag's "
                f"resource name, for one or more of {', '.join(CLASSIFICATIONS)}."
            )
    announces = _one_of("LAKE_GCP_LOAD_FUNCTION", ("off", "on")) == "on"
    return Gcp(project, location, tuple((classification, tag) for classification, _, tag in tags), announces)


def _one_of(variable: VariableName, allowed: tuple[T, ...], recorded: str = "") -> T:
    """Return the variable's value; without one the recorded value, or else the first allowed one."""
    text = read_variable(variable, recorded or allowed[0])
    for value in allowed:
        if value == text:
            return value
    raise SettingsError(f"{variable} is '{text}': it must be one of {', '.join(allowed)}.")


def _number(variable: VariableName, default: int, least: int = 0) -> int:
    text = read_variable(variable, str(default))
    if not text.isdecimal() or int(text) < least:
        raise SettingsError(f"{variable} is '{text}': it must be a whole number, {least} or more.")
    return int(text)
