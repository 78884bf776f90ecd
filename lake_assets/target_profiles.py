"""Facts about each target of a lake: one entry a target, for all that differs between targets by a value only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Target = Literal["local", "gcp", "aws"]
TARGETS: tuple[Target, ...] = get_args(Target)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetProfile:
    """Values of one target.

    `warehouse` is its name for a person. `bucket_scheme` is the scheme that a bucket's URL must have, empty for any.
    `commit_seconds` is how often sinks commit by default, in seconds. `sink_tasks` is the number of a connector's
    tasks. `dbt_adapter` is the module below `dbt.adapters`. `staging_kind` and `mart_kind` are Dagster's names for the
    stores of staging tables and marts, `staging_database` is the first part of a staging table's full name, empty for
    the Google Cloud project.
    `mart_poll_seconds` is how often the tour asks whether a mart has changed. `audited_at_once` is the number of assets
    that an audit reads together, under the locks of all: a warehouse in a cloud takes seconds for each. `mart_minutes`
    is the shortest time between two automatic builds of a mart by default; 0 builds it after each change.
    """

    warehouse: str
    bucket_scheme: str
    commit_seconds: int
    sink_tasks: int
    dbt_adapter: str
    staging_kind: str
    staging_database: str
    mart_kind: str
    mart_poll_seconds: float
    audited_at_once: int
    mart_minutes: int


# Commits: locally an event should be visible within seconds; in a cloud each commit costs requests and small files, and
# BigQuery accepts 1,500 loads a day into a table: with some late windows beside the current one, a minute would be too
# often. Tasks: one that has seen no record since it started answers no commit, and the others' files wait for its
# time-out. Two tasks on a quiet lake therefore cost seconds of freshness, and on two cores they land no more than one.
# Builds of marts: each reads all history of its tables, and a query in a cloud is paid by the bytes that it reads.
PROFILES: Mapping[Target, TargetProfile] = {
    "local": TargetProfile(
        warehouse="DuckLake",
        bucket_scheme="",
        commit_seconds=1,
        sink_tasks=1,
        dbt_adapter="duckdb",
        staging_kind="ducklake",
        staging_database="lake",
        mart_kind="postgres",
        mart_poll_seconds=0.1,
        audited_at_once=100,
        mart_minutes=0,
    ),
    "aws": TargetProfile(
        warehouse="Athena",
        bucket_scheme="s3://",
        commit_seconds=300,
        sink_tasks=2,
        dbt_adapter="athena",
        staging_kind="athena",
        staging_database="awsdatacatalog",
        mart_kind="athena",
        mart_poll_seconds=2.0,
        audited_at_once=1,
        mart_minutes=60,
    ),
    "gcp": TargetProfile(
        warehouse="BigQuery",
        bucket_scheme="gs://",
        commit_seconds=300,
        sink_tasks=2,
        dbt_adapter="bigquery",
        staging_kind="bigquery",
        staging_database="",
        mart_kind="bigquery",
        mart_poll_seconds=2.0,
        audited_at_once=1,
        mart_minutes=60,
    ),
}
