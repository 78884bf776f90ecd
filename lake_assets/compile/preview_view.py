"""Staging tables as a preview has them: views without confidential columns, under the names that models use."""

from lake_assets.catalog.model import Asset
from lake_assets.compile.ddl import staging_columns
from lake_assets.compile.sql import identifier


def preview_columns(asset: Asset) -> tuple[str, ...]:
    """Return the columns of a staging table that a preview may read.

    Fields that the contract does not declare may be confidential ones under another name: they are left out too, if
    the asset has any confidential field.
    """
    hidden = {field.name for field in asset.fields if not field.is_shown}
    if asset.is_confidential:
        hidden.add("_extra")
    return tuple(column.name for column in staging_columns(asset) if column.name not in hidden)


def hidden_keys(asset: Asset) -> tuple[str, ...]:
    """Return the confidential fields of an asset's key. Without them no preview can select the latest rows."""
    return tuple(field.name for field in asset.fields if field.name in asset.key and not field.is_shown)


def preview_view(asset: Asset, staged: str) -> str:
    """Return `create view` in the database `lake`, over the staging table in the database `staged`."""
    table = f"{identifier(asset.staging_schema)}.{identifier(asset.name)}"
    columns = ", ".join(map(identifier, preview_columns(asset)))
    return f"create view lake.{table} as select {columns} from {identifier(staged)}.{table}"
