"""Models of the dbt project that read staging tables in a way that marts may not."""

import json
import re
from collections.abc import Iterable

from lake_assets.catalog.model import Asset
from lake_assets.compile.dbt_sources import staging_model
from lake_assets.dbt.environment import manifest_path
from lake_assets.dbt.manifest import Manifest
from lake_assets.settings import Settings

# A staging table in SQL outside of dbt's calls, where the name is in quotes and no dot follows.
_DIRECT_READ = re.compile(r'\b[a-z][a-z0-9_]*_staging["`]?\."?[a-z_][a-z0-9_]*', re.IGNORECASE)


def stored_manifest(settings: Settings) -> Manifest | None:
    """Return the last parsed manifest; None before the first one."""
    path = manifest_path(settings)
    return json.loads(path.read_bytes()) if path.exists() else None


def refused_models(manifest: Manifest, assets: Iterable[Asset]) -> dict[str, str]:
    """Return a sentence for each model, by its id, that bypasses the `stg_` models, which hide confidential fields.

    Models that depend on one of them must be left out too.
    """
    hidden = {(a.staging_schema, a.name): a for a in assets if not all(field.is_shown for field in a.fields)}
    refused: dict[str, str] = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "model" or node["path"].startswith("staging/"):
            continue
        if match := _DIRECT_READ.search(node["raw_code"]):
            refused[unique_id] = (
                f"the model {node['name']} names {match[0].strip()} directly: write ref('stg_…') or source(…), so that "
                "it is rebuilt when the table changes, and shows only fields that marts may show. It is left out."
            )
        for parent in node["depends_on"]["nodes"]:
            source = manifest["sources"].get(parent)
            asset = hidden.get((source["schema"], source["name"])) if source else None
            if asset is not None:
                refused[unique_id] = (
                    f"the model {node['name']} reads the staging table of {asset.name}, which has confidential fields "
                    f"({', '.join(field.name for field in asset.fields if not field.is_shown)}): write "
                    f"ref('{staging_model(asset)}'), which leaves them out. It is left out."
                )
    return refused
