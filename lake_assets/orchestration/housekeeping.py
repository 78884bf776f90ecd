"""The asset `leftovers`: hourly housekeeping of what commits and runs leave behind. Deletes no data."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import MetadataValue

from lake_assets.catalog.model import Asset
from lake_assets.operations.housekeeping import clean
from lake_assets.settings import Settings

# A window of a day that is rebuilt at each commit leaves a copy of itself each time.
_EVERY_HOUR = "23 * * * *"


def housekeeping_asset(settings: Settings, assets: Sequence[Asset]) -> dg.AssetsDefinition:
    """Return the asset that does the housekeeping of all assets of the catalog."""

    @dg.asset(
        name="leftovers",
        group_name="operations",
        tags={"layer": "operations"},
        kinds={"iceberg"},
        description="Hourly housekeeping: expires raw snapshots older than a week, with the files that only they name, "
        "deletes conformed files of rebuilt windows, and compacts small raw files of closed windows. Deletes "
        "Dagster's runs older than a month, but not the state of assets. Deletes no data.",
    )
    def leftovers(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        cleaned = clean(settings, assets, datetime.now(UTC), context.log.info)
        return dg.MaterializeResult(
            metadata={
                "files_removed": MetadataValue.json({each.dataset: each.files_removed for each in cleaned}),
                "superseded_removed": MetadataValue.json({each.dataset: each.superseded_removed for each in cleaned}),
                "files_compacted": MetadataValue.json(
                    {each.dataset: [each.before.count, each.after.count] for each in cleaned if each.compactions}
                ),
            }
        )

    return leftovers


def housekeeping_schedule(asset: dg.AssetsDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="leftovers_hourly",
        target=[asset],
        cron_schedule=_EVERY_HOUR,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
