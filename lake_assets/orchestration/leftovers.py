"""The asset `leftovers`: what each commit of a sink leaves behind and nobody needs after a while. No data goes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import MetadataValue

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.retention import expire
from lake_assets.settings import Settings

_EVERY_NIGHT = "23 3 * * *"
# Somebody who reads raw by an old snapshot, as an audit of Iceberg's own does, has so much time.
KEPT = timedelta(days=7)


def leftovers_asset(settings: Settings, assets: Sequence[Asset]) -> dg.AssetsDefinition:
    """For all assets of the catalog."""

    @dg.asset(
        name="leftovers",
        group_name="operations",
        kinds={"iceberg"},
        description="Raw snapshots older than a week, and files that only they name: removed each night; no data goes.",
    )
    def leftovers(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=clean(settings, assets, datetime.now(UTC) - KEPT, context.log.info))

    return leftovers


def leftovers_schedule(asset: dg.AssetsDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="leftovers_nightly",
        target=[asset],
        cron_schedule=_EVERY_NIGHT,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def clean(
    settings: Settings, assets: Sequence[Asset], before: datetime, log: Callable[[str], None]
) -> Mapping[str, MetadataValue]:
    """Expires raw snapshots older than `before` of every applied asset; how many files went.

    Raises LakeError when that failed for some, after all others were done.
    """
    files: dict[str, int] = {}
    failed: list[str] = []
    with Ledger(settings) as ledger:
        applied = set(ledger.contracts()) if ledger.exists() else set[str]()
        for asset in assets:
            if asset.name not in applied:
                continue
            try:
                with ledger.locked(f"dataset:{asset.dataset}"):
                    files[asset.name] = expire(settings, ledger, asset, before)
            except LakeError as error:
                failed.append(f"{asset.name}: {error}")
                continue
            if files[asset.name]:
                log(f"{asset.name}: {files[asset.name]} files that only old snapshots named are removed")
    if failed:
        raise LakeError(f"old snapshots are still there, the next night tries again: {'; '.join(failed)}")
    return {"files_removed": MetadataValue.json(files)}
