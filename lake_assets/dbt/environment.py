"""dbt's environment for this lake: the variables that `dbt_project/profiles.yml` and dbt itself read."""

from collections.abc import Mapping
from pathlib import Path

from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import link_extensions
from lake_assets.warehouse.local.mart_blockers import BUSY_SECONDS, IDLE_SECONDS

OWN_SCHEMA = "LAKE_DBT_SCHEMA"
# An analyst's own schema is this and the name.
DRAFTS = "dev_"
_NOT_FOR_ANALYSTS = frozenset({
    "LAKE_BUCKET", "LAKE_POSTGRES", "LAKE_POSTGRES_DSN", "LAKE_STAGING_DATA", "PGPASSFILE", "PGPASSWORD",
})  # fmt: skip


def dbt_environment(settings: Settings, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment with this lake's addresses. A `DBT_` variable that the caller sets stays.

    With `LAKE_DBT_SCHEMA` the caller builds into a personal schema, and models not built there are read from the shared
    marts (`--defer`). On the local target that is the analyst's session: it reads marts with the login of the analyst
    whose schema it is, or as role analyst if there is none. The schema is in a DuckDB file of its own, so that no
    analyst needs write access to the shared database. Its environment has the analyst's connection and no other one.
    """
    own_schema = caller.get(OWN_SCHEMA, "")
    target = "analyst" if own_schema and settings.target == "local" else settings.target
    state = dbt_state(settings)
    work = state / "own" / own_schema if own_schema else state
    work.mkdir(parents=True, exist_ok=True)
    lake_variables = {
        "LAKE_DBT_TARGET": target,
        "LAKE_DBT_PERSONAL": str(work / "personal.duckdb"),
        "LAKE_DUCKDB_EXTENSIONS": str(link_extensions(settings)),
    }
    if target == "analyst":
        name = own_schema.removeprefix(DRAFTS)
        has_login = name.isidentifier() and (settings.postgres.folder_of_analyst(name) / "pgpass").exists()
        lake_variables["LAKE_POSTGRES_ANALYST"] = (
            settings.postgres.conninfo_of_analyst(name) if has_login else settings.postgres.conninfo("analyst")
        )
        caller = {name: value for name, value in caller.items() if name not in _NOT_FOR_ANALYSTS}
    else:
        lake_variables |= {
            "LAKE_POSTGRES": settings.postgres.conninfo("lake"),
            "LAKE_STAGING_DATA": settings.staging_data,
            "LAKE_BUCKET": settings.bucket,
            "LAKE_BUSY_READER_SECONDS": str(BUSY_SECONDS),
            "LAKE_IDLE_READER_SECONDS": str(IDLE_SECONDS),
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
    return {**defaults, **caller, **lake_variables}


def dbt_state(settings: Settings) -> Path:
    """Return the folder for all of dbt's output, outside the source tree: two lakes in one clone must not share it."""
    return settings.home / "dbt" / settings.target


def manifest_path(settings: Settings) -> Path:
    """Return the path of the shared manifest, replaced atomically for Dagster and `--defer` of personal schemas."""
    return dbt_state(settings) / "shared" / "manifest.json"
