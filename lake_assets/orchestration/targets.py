"""Which adapter serves which target; the only place that knows them all."""

from lake_assets.settings import Settings, SettingsError
from lake_assets.warehouse.protocol import Warehouse


def warehouse_for(settings: Settings) -> Warehouse:
    """The target's warehouse. Raises SettingsError for a target that has none."""
    match settings.target:
        case "local":
            from lake_assets.warehouse.ducklake import DuckLake

            return DuckLake(settings)
        case "gcp" | "aws":
            raise SettingsError(f"the target '{settings.target}' has no warehouse adapter: set LAKE_TARGET=local.")
