"""Tables of marts that no model builds any more, because it was deleted or renamed: readers see its last rows."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from lake_assets.catalog.problems import closest
from lake_assets.dbt.manifest import DbtProjectError, load_manifest
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.adapters import mart_access_for
from lake_assets.operations.orchestrator import Orchestrator
from lake_assets.settings import Settings
from lake_assets.warehouse.local.mart_tables import describe_table, drop_table


@dataclass(frozen=True, slots=True)
class LeftMart:
    """A table without a model, as `schema.table`: its number of rows, and the views that keep it from being dropped."""

    table: str
    rows: int
    readers: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """Identifies the table and its number of rows."""
        return hashlib.sha256(f"mart {self.table} {self.rows}".encode()).hexdigest()[:12]


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


def plan_left_mart(settings: Settings, table: str) -> LeftMart:
    """Describe a table that no model builds. Changes nothing. Raises LakeError if it is none, Unavailable."""
    left = marts_without_model(settings)
    if left is None:
        raise LakeError(
            f"on the target {settings.target} the lake does not look up tables of marts: drop {table} with your own "
            "login there."
        )
    if table not in left:
        near = closest(table, left)
        hint = f"did you mean '{near}'?" if near else f"such tables are: {', '.join(left) or 'none'}."
        raise LakeError(f"{table} is no table of a mart that has lost its model: {hint}")
    described = describe_table(settings, *table.split(".", 1))
    return LeftMart(table, described.rows, described.readers)


def remove_left_mart(
    settings: Settings,
    ledger: Ledger,
    orchestrator: Orchestrator,
    table: str,
    checksum: str,
    *,
    on_progress: Callable[[str], None],
) -> LeftMart:
    """Drop a table that no model builds, if its plan still has this checksum, and delete its history in Dagster.

    Raises LakeError if a view reads it or the checksum is another one, Unavailable. Dropped or not, nothing else is
    changed.
    """
    with ledger.locked("apply"):
        planned = plan_left_mart(settings, table)
        if planned.readers:
            raise LakeError(f"{table} is read by {', '.join(planned.readers)}: drop that first. Nothing was removed.")
        if planned.checksum != checksum:
            raise LakeError(
                f"what would be removed has not the checksum {checksum}: look again without --confirm, nothing was "
                "removed."
            )
        schema, name = table.split(".", 1)
        on_progress("Dagster")
        # Before the table, by which a repeated command finds what is left to do.
        orchestrator.delete_mart(schema, name)
        on_progress(f"table {table}")
        drop_table(settings, schema, name)
    return planned
