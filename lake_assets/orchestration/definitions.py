"""Assemble the code location: assets of every contract, marts, metrics, sensors, checks."""

import logging
from collections.abc import Mapping, Sequence

import dagster as dg

from lake_assets.catalog.texts import Catalog
from lake_assets.catalog.versions import by_dataset
from lake_assets.operations.adapters import makes_clusters
from lake_assets.operations.unapplied import unapplied
from lake_assets.orchestration.arrival_checks import silence_checks, silence_sensor
from lake_assets.orchestration.assets import WindowSteps, conforming_definition, landing_definitions
from lake_assets.orchestration.boards import board_assets
from lake_assets.orchestration.connectors import connectors_sensor
from lake_assets.orchestration.housekeeping import housekeeping_asset, housekeeping_schedule
from lake_assets.orchestration.lineage import lineage_sensor
from lake_assets.orchestration.marts import mart_definitions
from lake_assets.orchestration.metrics import metric_asset, metrics_sensor, parity_check
from lake_assets.orchestration.notifications import notifications_sensor
from lake_assets.orchestration.paced_marts import paced_marts_sensor
from lake_assets.orchestration.raw_checks import readable_checks
from lake_assets.orchestration.run_requests import Graph
from lake_assets.orchestration.sensors import WAIT_SECONDS, raw_windows_sensor
from lake_assets.orchestration.spark_orphans import spark_orphans_asset, spark_orphans_schedule
from lake_assets.settings import Settings

_log = logging.getLogger("lake_assets")


def build_definitions(settings: Settings, applied: Catalog) -> dg.Definitions:
    """Return the code location of one lake, as it is applied.

    Differences of the files are logged, and shown with the code location.
    """
    assets, metrics = applied.assets, applied.metrics
    newest = [versions[-1] for versions in by_dataset(assets.values()).values()]
    landing = [node for asset in newest for node in landing_definitions(settings, asset)]
    steps = WindowSteps(settings)
    conforming = [conforming_definition(settings, asset, steps) for asset in assets.values()]
    marts = mart_definitions(settings, assets)
    graph = mart_graph(marts.assets)
    # Marts that wait between two builds are left to a sensor of their own.
    joint = Graph({}, {}) if settings.mart_minutes else graph
    mart_sensors = (
        [paced_marts_sensor(node, graph, settings.mart_minutes) for node in marts.assets]
        if settings.mart_minutes
        else marts.sensors
    )
    counted = [(metric, assets[metric.source]) for metric in metrics.values()]
    expected = [asset for asset in assets.values() if asset.frequency]
    orphan_assets = [spark_orphans_asset(settings)] if makes_clusters(settings) else []
    housekeeping = housekeeping_asset(settings, list(assets.values()))
    # After the marts, which parse the dbt project when it has changed.
    notes = unapplied(settings, applied).sentences
    for note in notes:
        _log.warning("%s", note)
    return dg.Definitions(
        assets=[
            *landing,
            *conforming,
            *marts.assets,
            *(metric_asset(metric, asset) for metric, asset in counted),
            *(board_assets(settings, marts.manifest, assets, metrics) if marts.manifest else []),
            *orphan_assets,
            housekeeping,
        ],
        asset_checks=[
            *(parity_check(settings, metric, asset) for metric, asset in counted),
            *silence_checks(settings, expected),
            *([readable_checks(settings, newest)] if newest else []),
        ],
        sensors=[
            *(
                [raw_windows_sensor(settings, assets, joint, [*conforming, *marts.assets], WAIT_SECONDS)]
                if assets
                else []
            ),
            connectors_sensor(settings),
            *mart_sensors,
            *([metrics_sensor(settings, metrics, assets)] if metrics else []),
            *([silence_sensor(settings, expected)] if expected else []),
            *([notifications_sensor(settings, assets, graph, marts.assets)] if assets else []),
            *([lineage_sensor(settings, applied)] if assets else []),
        ],
        schedules=[*(spark_orphans_schedule(asset) for asset in orphan_assets), housekeeping_schedule(housekeeping)],
        resources=dict(marts.resources),
        metadata={"not applied": dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))} if notes else {},
        executor=dg.in_process_executor,
    )


def mart_graph(marts: Sequence[dg.AssetsDefinition]) -> Graph:
    """Return the staging tables that each mart reads, also through other marts, and the version of each mart's SQL."""
    direct: Mapping[dg.AssetKey, set[dg.AssetKey]] = {
        key: set(definition.asset_deps[key]) for definition in marts for key in definition.keys
    }

    def sources(key: dg.AssetKey) -> frozenset[dg.AssetKey]:
        if key not in direct:
            return frozenset([key])
        return frozenset(source for parent in direct[key] for source in sources(parent))

    versions = {key: version for definition in marts for key, version in definition.code_versions_by_key.items()}
    parents = {key: frozenset(deps & set(direct)) for key, deps in direct.items()}
    return Graph({key: sources(key) for key in direct}, versions, parents)
