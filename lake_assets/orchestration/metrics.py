"""Streaming metrics as Dagster assets beside their batch twins, each with a check that reconciles speed and batch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import MetadataValue

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.operations.metric_parity import MetricParity, reconcile_metric
from lake_assets.orchestration.asset_tags import metric_tags
from lake_assets.orchestration.code_references import code_references
from lake_assets.orchestration.keys import metric_key, staging_key, topic_key
from lake_assets.settings import Settings

AGREES = "agrees_with_staging"
# The sensor compares new windows only; the check itself, run by hand, all.
SINCE = timedelta(days=1)
INTERVAL_SECONDS = 60


def metric_asset(metric: Metric, asset: Asset) -> dg.AssetSpec:
    """Return the metric's node in the graph; stream_app and Kafka Connect fill it."""
    columns = [
        *(dg.TableColumn(group.name, str(group.type)) for group in metric.groups),
        dg.TableColumn("window_start", "timestamp", "First instant of the window (UTC)."),
        dg.TableColumn("window_end", "timestamp", "First instant after it (UTC)."),
        *(dg.TableColumn(m.name, str(m.type) if m.type else "integer", m.description) for m in metric.measures),
        dg.TableColumn("is_final", "boolean", "True when the numbers no longer change."),
        dg.TableColumn("late_events", "integer", "Events that arrived after the window was final; not in the numbers."),
    ]
    return dg.AssetSpec(
        metric_key(metric),
        deps=[topic_key(asset)],
        description=metric.description,
        group_name=asset.domain,
        kinds={"kafka", "postgres"},
        owners=list(metric.owners),
        tags=metric_tags(metric, asset),
        freshness_policy=_freshness(metric, asset),
        metadata={
            **code_references([("metric", metric.path), ("contract", asset.path)]),
            "dagster/table_name": f"metrics.{metric.table}",
            "dagster/column_schema": dg.TableSchema(columns),
            "metric": MetadataValue.text(str(metric.path)),
            "topic": metric.topic,
        },
    )


def _freshness(metric: Metric, asset: Asset) -> dg.FreshnessPolicy | None:
    """Return the longest age of the newest final numbers that follows from the contract's `freshness`.

    Staging may be that old, and its newest window ends, and is final, later.
    """
    if asset.freshness is None:
        return None
    longest = asset.freshness + metric.window + metric.lateness + timedelta(seconds=INTERVAL_SECONDS)
    return dg.FreshnessPolicy.time_window(fail_window=longest)


def parity_check(settings: Settings, metric: Metric, asset: Asset) -> dg.AssetChecksDefinition:
    """Return the check of all final windows against staging; the sensor `metrics` runs it for the last day."""

    @dg.asset_check(
        asset=metric_key(metric),
        name=AGREES,
        additional_deps=[staging_key(asset)],
        description=f"Each final window equals the same aggregate over {asset.staging_schema}.{asset.name}.",
    )
    def agrees() -> dg.AssetCheckResult:
        parity = reconcile_metric(settings, metric, asset)
        return dg.AssetCheckResult(passed=parity.agrees, metadata=_metadata(parity))

    return agrees


def metrics_sensor(
    settings: Settings, metrics: Mapping[str, Metric], assets: Mapping[str, Asset]
) -> dg.SensorDefinition:
    """Return the sensor `metrics`: it reports newly final or newly comparable windows, with the check's result."""

    @dg.sensor(
        name="metrics",
        asset_selection=[metric_key(metric) for metric in metrics.values()],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compares the final windows of streaming metrics with staging, and reports differences.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        before: dict[str, list[Any]] = json.loads(context.cursor) if context.cursor else {}
        after: dict[str, list[Any]] = {}
        events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = []
        for name, metric in metrics.items():
            parity = reconcile_metric(settings, metric, assets[metric.source], SINCE)
            after[name] = [parity.cells, str(parity.high), parity.agrees]
            if not parity.waiting and after[name] != before.get(name):
                events.extend(_events(metric, parity))
        return dg.SensorResult(asset_events=events, cursor=json.dumps(after))

    return watch


def _events(metric: Metric, parity: MetricParity) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    key = metric_key(metric)
    if not parity.failed:
        yield dg.AssetMaterialization(key, metadata={"final_through": str(parity.high)})
    yield dg.AssetCheckEvaluation(
        asset_key=key, check_name=AGREES, passed=parity.agrees, metadata=_metadata(parity), blocking=False
    )


def _metadata(parity: MetricParity) -> dict[str, MetadataValue]:
    differing: Sequence[str] = [str(difference) for difference in parity.differing]
    return {
        "compared": MetadataValue.text(parity.sentence),
        "final_numbers": MetadataValue.int(parity.cells),
        "differing": MetadataValue.json(list(differing)),
        "from": MetadataValue.text(str(parity.low)),
        "to": MetadataValue.text(str(parity.high)),
    }
