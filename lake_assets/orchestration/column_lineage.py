"""Column lineage of marts in Dagster: the columns of other assets that each column is computed from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.compile.ddl import staging_columns
from lake_assets.dbt.environment import dbt_state
from lake_assets.dbt.manifest import Manifest
from lake_assets.local_files import write_atomically
from lake_assets.settings import Settings

# Schema, table and column of each source, by the mart's column.
Sources = Mapping[str, Sequence[tuple[str, str, str]]]
KeyedAssets = Mapping[dg.AssetKey, Asset]


def with_lineage(settings: Settings, manifest: Manifest, assets: KeyedAssets, work: Path, event: Any) -> Any:
    """Return an event of a dbt call with the lineage of the model that it reports as built; others as they are.

    `work` is the folder of the call.
    """
    if not isinstance(event, dg.Output):
        return event
    unique_id = str(event.metadata["unique_id"].value)
    sql = compiled_sql(work, manifest["nodes"][unique_id])
    lineage = column_lineage(settings, manifest, assets, unique_id, sql) if sql else {}
    return event.with_metadata({**event.metadata, **lineage})


def column_lineage(
    settings: Settings, manifest: Manifest, assets: KeyedAssets, unique_id: str, sql: str
) -> Mapping[str, dg.TableColumnLineage]:
    """Return the metadata of a build with this compiled SQL; none if the SQL cannot be analysed.

    Marts are built at each change of their data, their SQL changes rarely, and the analysis takes longer than many a
    build: its result is kept with a digest of what it depends on.
    """
    tables = sorted(_tables_read(manifest, assets, unique_id))
    dialect = settings.profile.dbt_adapter
    digest = hashlib.sha256(json.dumps([sql, tables, dialect]).encode()).hexdigest()
    file = dbt_state(settings) / "lineage" / f"{unique_id}.json"
    stored = json.loads(file.read_bytes()) if file.exists() else {}
    if stored.get("digest") != digest:
        stored = {"digest": digest, "sources": _analyse(sql, tables, dialect)}
        write_atomically(file, json.dumps(stored))
    sources: Sources = stored["sources"]
    if not sources:
        return {}
    deps = {
        name: [dg.TableColumnDep(dg.AssetKey([schema, table]), column) for schema, table, column in columns]
        for name, columns in sources.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


def compiled_sql(work: Path, node: Mapping[str, Any]) -> str | None:
    """Return the SQL that a call of dbt with this folder has compiled for a model; None if it did not get so far."""
    path = work / "compiled" / node["package_name"] / node["original_file_path"]
    return path.read_text("utf-8") if path.is_file() else None


def _analyse(sql: str, tables: Sequence[tuple[str, str, str, Sequence[str]]], dialect: str) -> Sources:
    # A third of a second, which a run with a stored analysis does not pay.
    from lake_assets.operations.catalog_page.lineage import STAR, KnownTable, Tables, UnknownLineage

    known = Tables(
        (KnownTable(database, schema, name, tuple(names)) for database, schema, name, names in tables), dialect
    )
    try:
        sources = known.column_sources(sql)
    except UnknownLineage:
        return {}
    return {
        name: [(each.schema, each.table, each.column) for each in columns if each.column != STAR]
        for name, columns in sources.items()
        if columns and name != STAR
    }


def _tables_read(
    manifest: Manifest, assets: KeyedAssets, unique_id: str
) -> Iterator[tuple[str, str, str, Sequence[str]]]:
    """Yield database, schema, name and columns of the tables that a model reads, also through ephemeral models."""
    for parent in manifest["nodes"][unique_id]["depends_on"]["nodes"]:
        if source := manifest["sources"].get(parent):
            asset = assets.get(dg.AssetKey([source["schema"], source["name"]]))
            names = [column.name for column in staging_columns(asset)] if asset else list(source["columns"])
            yield source["database"] or "", source["schema"], source["identifier"], names
        elif node := manifest["nodes"].get(parent):
            if node["config"]["materialized"] == "ephemeral":
                yield from _tables_read(manifest, assets, parent)
            else:
                yield node["database"] or "", node["schema"], node["alias"], list(node["columns"])
