"""The asset `spark_orphans`: terminate clusters that were created for one Spark job and outlived it."""

import time
from collections.abc import Callable, Mapping

import dagster as dg
from dagster import MetadataValue

from lake_assets.conform.runner import ClusterRunner
from lake_assets.errors import LakeError
from lake_assets.operations.adapters import cluster_runner_for
from lake_assets.settings import Settings

_EVERY_HOUR = "7 * * * *"


def spark_orphans_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset, for a runner that creates clusters."""

    @dg.asset(
        name="spark_orphans",
        group_name="operations",
        tags={"layer": "operations"},
        kinds={"spark"},
        description="Terminates clusters that were created for one Spark job and outlived it; finds them by tag.",
    )
    def spark_orphans(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=end_orphans(cluster_runner_for(settings), time.time(), context.log.info))

    return spark_orphans


def spark_orphans_schedule(asset: dg.AssetsDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="spark_orphans_hourly",
        target=[asset],
        cron_schedule=_EVERY_HOUR,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def end_orphans(runner: ClusterRunner, now: float, log: Callable[[str], None]) -> Mapping[str, MetadataValue]:
    """Terminate each orphan, and return the list. `now` is in seconds since 1970.

    Raises LakeError when some cannot be terminated, after all others were.
    """
    removed, stuck = list[dict[str, str]](), list[str]()
    orphans = runner.orphans(now)
    for orphan in orphans:
        try:
            runner.end_cluster(orphan.cluster)
        except LakeError as error:
            stuck.append(f"{orphan.cluster} of {orphan.job} ({error})")
            continue
        log(f"ended the cluster {orphan.cluster} of {orphan.job}: {orphan.reason}")
        removed.append({"cluster": orphan.cluster, "job": orphan.job, "reason": orphan.reason})
    if stuck:
        raise LakeError(f"end these clusters by hand, they cost money: {'; '.join(stuck)}")
    return {
        "found": MetadataValue.int(len(orphans)),
        "removed": MetadataValue.int(len(removed)),
        "clusters": MetadataValue.json(removed),
    }
