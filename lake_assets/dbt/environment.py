"""What dbt must be told about this lake: the variables that `dbt_project/profiles.yml` and dbt itself read."""

from collections.abc import Mapping
from pathlib import Path

from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import link_extensions

OWN_SCHEMA = "LAKE_DBT_SCHEMA"


def dbt_environment(settings: Settings, caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with this lake's addresses in it. A `DBT_` variable that the caller sets stays.

    With `LAKE_DBT_SCHEMA` the caller builds into a schema of their own and what they do not build is taken from the
    shared marts (`--defer`). On the local target that is the analyst's session: it reads marts as role analyst, and the
    schema lies in a DuckDB file of its own, so that nobody needs a right to write to the shared database.
    """
    own_schema = caller.get(OWN_SCHEMA, "")
    target = "analyst" if own_schema and settings.target == "local" else settings.target
    state = dbt_state(settings)
    work = state / "own" / own_schema if own_schema else state
    work.mkdir(parents=True, exist_ok=True)
    spill = settings.home / "tmp" / "duckdb"
    spill.mkdir(parents=True, exist_ok=True)
    facts = {
        "LAKE_DBT_TARGET": target,
        "LAKE_DBT_PERSONAL": str(work / "personal.duckdb"),
        "LAKE_POSTGRES": settings.postgres.conninfo("lake"),
        "LAKE_POSTGRES_ANALYST": settings.postgres.conninfo("analyst"),
        "LAKE_STAGING_DATA": settings.staging_data,
        "LAKE_BUCKET": settings.bucket,
        "LAKE_DUCKDB_EXTENSIONS": str(link_extensions(settings)),
        "LAKE_DUCKDB_SPILL": str(spill),
    }
    defaults = {
        "DBT_PROJECT_DIR": str(settings.dbt_project),
        "DBT_PROFILES_DIR": str(settings.dbt_project),
        "DBT_TARGET_PATH": str(work / "target"),
        "DBT_LOG_PATH": str(work / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    if own_schema:
        defaults |= {"DBT_DEFER": "true", "DBT_STATE": str(manifest_path(settings).parent)}
    return {**defaults, **caller, **facts}


def dbt_state(settings: Settings) -> Path:
    """The folder for all that dbt writes. Not in the source tree: two lakes in one clone must not fight over it."""
    return settings.home / "dbt" / settings.target


def manifest_path(settings: Settings) -> Path:
    """The shared project's manifest, replaced in one step: Dagster reads it and personal schemas defer to it."""
    return dbt_state(settings) / "shared" / "manifest.json"
