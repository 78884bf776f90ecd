"""What the mart side of the warehouse needs before dbt runs: the generated sources, and schemas analysts may read."""

from collections.abc import Iterable
from pathlib import Path

import psycopg

from lake_assets.catalog.model import Asset
from lake_assets.compile.dbt_sources import dbt_files
from lake_assets.compile.grants import mart_grants
from lake_assets.errors import Unavailable
from lake_assets.settings import Settings


def write_dbt_sources(settings: Settings, assets: Iterable[Asset]) -> list[Path]:
    """Writes each asset's source and `stg_` model into the dbt project; the paths that changed, in name order.

    Files of assets that are not given stay: their tables stay too, and marts may still read them.
    """
    changed: list[Path] = []
    for asset in assets:
        for relative, text in dbt_files(asset).items():
            path = settings.dbt_project / "models" / "staging" / relative
            if path.exists() and path.read_text("utf-8") == text:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.new")
            aside.write_text(text, "utf-8")
            aside.replace(path)
            changed.append(path)
    return sorted(changed)


def mart_schemas(settings: Settings) -> list[str]:
    """The mart schemas of the dbt project: each folder under `models/marts` is one."""
    folder = settings.dbt_project / "models" / "marts"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def ensure_mart_access(settings: Settings, schemas: Iterable[str]) -> None:
    """Makes the mart schemas and grants the analyst what is in them, and nothing else. Can be run again.

    Raises MartNameError for a schema that analysts must not read and Unavailable when Postgres does not answer.
    """
    statements = mart_grants(schemas)
    try:
        connection = psycopg.connect(settings.postgres.conninfo("lake"))
    except psycopg.OperationalError as error:
        address = f"{settings.postgres.host}:{settings.postgres.port}"
        raise Unavailable(f"Postgres at {address} does not answer: start it with `lake up`.") from error
    with connection:
        for statement in statements:
            connection.execute(statement.encode())


def mart_access_missing(settings: Settings) -> list[str]:
    """The mart schemas of the dbt project that are not there yet, or that the analyst may not read."""
    with psycopg.connect(settings.postgres.conninfo("lake")) as connection:
        rows = connection.execute(
            "select name from unnest(%s::text[]) as wanted (name) left join pg_namespace on nspname = name "
            "where nspname is null or not has_schema_privilege('analyst', nspname, 'usage') order by name",
            [mart_schemas(settings)],
        ).fetchall()
    return [name for (name,) in rows]
