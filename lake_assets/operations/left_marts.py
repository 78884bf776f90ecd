"""Tables of marts that no model builds any more, because it was deleted or renamed: readers see its last rows."""

from lake_assets.dbt.manifest import DbtProjectError, load_manifest
from lake_assets.operations.adapters import mart_access_for
from lake_assets.settings import Settings


def marts_without_model(settings: Settings) -> list[str] | None:
    """Return these tables as `schema.table`; None where the target does not look them up. Raises Unavailable."""
    tables = mart_access_for(settings).tables()
    if tables is None:
        return None
    # Where each table has a file of its name, the manifest need not be read: with a thousand models it takes a second.
    folder = settings.dbt_project / "models" / "marts"
    others = [table for table in tables if not (folder / f"{table.replace('.', '/', 1)}.sql").exists()]
    if not others:
        return []
    try:
        nodes = load_manifest(settings)["nodes"].values()
    except DbtProjectError:
        return []  # it never had a mart
    built = {f"{node['schema']}.{node['alias']}" for node in nodes if node["resource_type"] == "model"}
    return [table for table in others if table not in built]
