"""Sources of mart columns, kept beside the events: dbt compiles the models once for each state of the project."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.dbt.compiled_manifest import compiled_manifest
from lake_assets.dbt.manifest import Manifest
from lake_assets.local_files import write_atomically
from lake_assets.operations.lineage.files import lineage_folder
from lake_assets.operations.lineage.marts import Leaf, ModelSources, column_sources
from lake_assets.settings import Settings

RETRY_SECONDS = 600.0


def stored_column_sources(
    settings: Settings, manifest: Manifest, assets: Mapping[str, Asset], metrics: Mapping[str, Metric]
) -> dict[str, ModelSources]:
    """Return the sources of the models' columns, by unique id. dbt is called when the manifest is a new one.

    A model that dbt cannot compile has none, until the project changes. If dbt compiled none at all, as without the
    credentials of a cloud, it is called again after `RETRY_SECONDS`.
    """
    path = lineage_folder(settings) / "columns.json"
    state = [manifest["metadata"].get("invocation_id"), settings.target, sorted(assets), sorted(metrics)]
    try:
        stored = json.loads(path.read_bytes())
        if stored["state"] == state and (stored["models"] or time.time() - stored["at"] < RETRY_SECONDS):
            return {name: _read(entry) for name, entry in stored["models"].items()}
    except (FileNotFoundError, ValueError, KeyError):
        pass  # compiled below
    # Stored first: Dagster ends a tick in which dbt takes too long, and the next one must not begin with it again.
    _store(path, state, {})
    compiled = compiled_manifest(settings, manifest, introspect=False)
    sources = column_sources(compiled, assets, metrics, settings.profile.dbt_adapter)
    _store(path, state, sources)
    return sources


def _store(path: Path, state: Sequence[object], sources: Mapping[str, ModelSources]) -> None:
    entries = {name: _written(entry) for name, entry in sources.items()}
    write_atomically(path, json.dumps({"state": state, "at": time.time(), "models": entries}), private=True)


def _written(sources: ModelSources) -> dict[str, object]:
    columns = {name: [[*leaf.table, leaf.column] for leaf in leaves] for name, leaves in sources.columns.items()}
    return {"columns": columns, "metrics": sources.metrics}


def _read(entry: Mapping[str, object]) -> ModelSources:
    columns: dict[str, list[list[str]]] = entry["columns"]  # pyright: ignore[reportAssignmentType]
    metrics: list[list[str]] = entry["metrics"]  # pyright: ignore[reportAssignmentType]
    leaves = {name: tuple(Leaf((s, t), column) for s, t, column in found) for name, found in columns.items()}
    return ModelSources(leaves, tuple((schema, table) for schema, table in metrics))
