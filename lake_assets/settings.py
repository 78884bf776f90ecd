"""One typed settings object: where the lake's parts are, from the environment and from what `lake up` wrote."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args
from urllib.parse import quote

from lake_assets.catalog.model import CLASSIFICATIONS
from lake_assets.errors import SettingsError

Target = Literal["local", "gcp", "aws"]
TARGETS: tuple[Target, ...] = get_args(Target)
Runner = Literal["local", "emr-serverless", "emr", "dataproc", "dataproc-batch"]
RUNNERS: tuple[Runner, ...] = get_args(Runner)
# Bytes of raw files; docs/decisions.md says how it was measured.
SPARK_THRESHOLD = 500_000_000
# Locally an event should be seen within seconds; in a cloud each commit costs requests and small files, and BigQuery
# takes 1,500 loads a day into a table: with some late windows beside the current one, a minute would be too often.
COMMIT_SECONDS: Mapping[Target, int] = {"local": 1, "gcp": 300, "aws": 60}
T = TypeVar("T", bound=str)
Role = Literal["lake_admin", "lake", "connect", "dagster", "analyst"]
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Postgres:
    """Address of the lake's Postgres. Passwords stay in `passfile` (libpq's format, mode 0600), never in a URL."""

    host: str
    port: int
    dbname: str
    passfile: Path

    def conninfo(self, role: Role, dbname: str | None = None) -> str:
        """A libpq connection string without a password; for psycopg and for DuckDB's attach."""
        name = dbname or self.dbname
        return f"host={self.host} port={self.port} dbname={name} user={role} passfile='{self.passfile}'"

    def url(self, role: Role, driver: str = "postgresql", dbname: str | None = None, options: str = "") -> str:
        """A URL without a password for SQLAlchemy; `options` is libpq's, for example `-csearch_path=raw`."""
        extra = f"&options={quote(options)}" if options else ""
        name = dbname or self.dbname
        return f"{driver}://{role}@{self.host}:{self.port}/{name}?passfile={quote(str(self.passfile))}{extra}"


@dataclass(frozen=True, slots=True)
class Spark:
    """Where Spark jobs run, and when. `threshold` is in bytes of raw files: what a run with `engine: auto` leaves to
    DuckDB. `timeout` is in seconds. `project` is the folder of the entrypoints."""

    runner: Runner
    threshold: int
    timeout: float
    project: Path
    memory: str


@dataclass(frozen=True, slots=True)
class Gcp:
    """The warehouse's Google Cloud project, and where its datasets are, which is where the bucket is. `policy_tags` are
    pairs: a classification in the contract, and the resource name of the tag that its columns bear; strictest first.
    With `load_function`, each publication is announced in the bucket, for a function that loads it too.
    """

    project: str
    location: str
    policy_tags: tuple[tuple[str, str], ...]
    load_function: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between two lakes. `bucket` is a URL without a trailing slash. `athena_workgroup` is the
    one that the lake's own queries run in, on AWS. `analysts` are who may read marts in a cloud, as it names them. What
    was produced lands every `commit_seconds`."""

    target: Target
    home: Path
    catalog: Path
    bucket: str
    kafka: str
    connect: str
    postgres: Postgres
    dagster_port: int
    dbt_project: Path
    spark: Spark
    athena_workgroup: str
    gcp: Gcp
    analysts: tuple[str, ...]
    commit_seconds: int

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
        """The reference by which Kafka Connect's worker finds the password of role `connect`."""
        return f"${{file:{self.home / 'secrets' / 'connect' / 'postgres.properties'}:password}}"


def lake_home() -> Path:
    """The folder that holds all state of one lake: `LAKE_HOME`, else `.lake` in the project."""
    return Path(os.environ.get("LAKE_HOME", PROJECT / ".lake")).expanduser().resolve()


def load_settings() -> Settings:
    """The settings of the lake at `lake_home()`; raises SettingsError.

    Addresses come from the environment (`LAKE_KAFKA`, `LAKE_CONNECT`) or from `stack.json`, which `lake up` writes
    before it starts anything. The port 0 stands for "not set up yet", so that definitions load without a stack.
    """
    home = lake_home()
    stack_file = home / "stack.json"
    stack: dict[str, int | str] = json.loads(stack_file.read_text("utf-8")) if stack_file.exists() else {}
    target: Target = _one_of("LAKE_TARGET", TARGETS, str(stack.get("target", "local")))
    return Settings(
        target=target,
        home=home,
        catalog=Path(os.environ.get("LAKE_CATALOG", PROJECT / "lake_assets" / "catalog")).expanduser().resolve(),
        bucket=os.environ.get("LAKE_BUCKET", str(stack.get("bucket", f"file://{home}/bucket"))).rstrip("/"),
        kafka=os.environ.get("LAKE_KAFKA", f"127.0.0.1:{stack.get('kafka_port', 0)}"),
        connect=os.environ.get("LAKE_CONNECT", f"http://127.0.0.1:{stack.get('connect_port', 0)}"),
        postgres=Postgres(
            host=str(stack.get("postgres_host", "127.0.0.1")),
            port=int(stack.get("postgres_port", 0)),
            dbname=str(stack.get("postgres_dbname", "lake")),
            passfile=home / "secrets" / "pgpass",
        ),
        dagster_port=int(stack.get("dagster_port", 0)),
        dbt_project=Path(os.environ.get("LAKE_DBT_PROJECT", PROJECT / "dbt_project")).expanduser().resolve(),
        spark=Spark(
            runner=_one_of("LAKE_SPARK_RUNNER", RUNNERS),
            threshold=_number("LAKE_SPARK_THRESHOLD", SPARK_THRESHOLD),
            timeout=_number("LAKE_SPARK_TIMEOUT", 4 * 3600),
            project=Path(os.environ.get("LAKE_SPARK_PROJECT", PROJECT / "spark")).expanduser().resolve(),
            memory=os.environ.get("LAKE_SPARK_MEMORY", "2g"),
        ),
        # Amazon makes "primary" in every account.
        athena_workgroup=os.environ.get("LAKE_ATHENA_WORKGROUP", "primary"),
        gcp=_gcp(stack, needed=target == "gcp"),
        analysts=tuple(os.environ.get("LAKE_ANALYSTS", "").split()),
        commit_seconds=_number("LAKE_COMMIT_SECONDS", COMMIT_SECONDS[target]),
    )


def _gcp(stack: Mapping[str, int | str], *, needed: bool) -> Gcp:
    project = os.environ.get("LAKE_GCP_PROJECT", str(stack.get("gcp_project", "")))
    location = os.environ.get("LAKE_GCP_LOCATION", str(stack.get("gcp_location", "")))
    if needed and not project:
        raise SettingsError("the target 'gcp' needs LAKE_GCP_PROJECT: set it to the id of the Google Cloud project.")
    if needed and not location:
        raise SettingsError("the target 'gcp' needs LAKE_GCP_LOCATION: set it to the bucket's location, such as EU.")
    tags = [part.partition("=") for part in os.environ.get("LAKE_GCP_POLICY_TAGS", "").split()]
    for classification, equals, tag in tags:
        if classification not in CLASSIFICATIONS or not tag.startswith("projects/"):
            raise SettingsError(
                f"LAKE_GCP_POLICY_TAGS has '{classification}{equals}{tag}': write personal=projects/… with the tag's "
                f"resource name, for one or more of {', '.join(CLASSIFICATIONS)}."
            )
    announces = _one_of("LAKE_GCP_LOAD_FUNCTION", ("off", "on")) == "on"
    return Gcp(project, location, tuple((classification, tag) for classification, _, tag in tags), announces)


def _one_of(variable: str, allowed: tuple[T, ...], kept: str = "") -> T:
    """The kept one, or else the first one, when the variable is not set."""
    text = os.environ.get(variable, kept or allowed[0])
    for value in allowed:
        if value == text:
            return value
    raise SettingsError(f"{variable} is '{text}': it must be one of {', '.join(allowed)}.")


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{variable} is '{text}': it must be a whole number, 1 or more.")
    return int(text)
