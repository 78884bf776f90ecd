"""One typed settings object: where the lake's parts are, from the environment and from what `lake up` wrote."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

from lake_assets.errors import LakeError

Target = Literal["local", "gcp", "aws"]
TARGETS: tuple[Target, ...] = get_args(Target)
Role = Literal["lake_admin", "lake", "connect", "dagster", "analyst"]
PROJECT = Path(__file__).resolve().parent.parent


class SettingsError(LakeError):
    """A setting is missing or not one of the values it may have; the message says what to set."""


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
class Settings:
    """Everything that differs between two lakes. `bucket` is a URL without a trailing slash."""

    target: Target
    home: Path
    catalog: Path
    bucket: str
    kafka: str
    connect: str
    postgres: Postgres
    dagster_port: int
    dbt_project: Path

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
    def secrets(self) -> Path:
        return self.home / "secrets"


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
    return Settings(
        target=_target(os.environ.get("LAKE_TARGET", "local")),
        home=home,
        catalog=Path(os.environ.get("LAKE_CATALOG", PROJECT / "lake_assets" / "catalog")).expanduser().resolve(),
        bucket=os.environ.get("LAKE_BUCKET", f"file://{home}/bucket").rstrip("/"),
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
    )


def _target(name: str) -> Target:
    for target in TARGETS:
        if target == name:
            return target
    raise SettingsError(f"LAKE_TARGET is '{name}': it must be one of {', '.join(TARGETS)}.")
