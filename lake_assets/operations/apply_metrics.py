"""Topics, tables with their views, and sinks of the metrics: compare them with the lake, and create them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.compile.metric_sink import metric_sinks
from lake_assets.compile.metric_topics import metric_topics
from lake_assets.compile.topic import TopicSpec
from lake_assets.landing.connect import config_differences, ensure_connector
from lake_assets.landing.topics import compare_topics, ensure_topics
from lake_assets.settings import Settings
from lake_assets.warehouse.metric_tables import applied_definitions, ensure_metric_tables, sink_database


@dataclass(frozen=True, slots=True)
class MetricStep:
    """One thing to do for a metric: `action` on the `kind` of thing called `name`."""

    kind: str
    name: str
    action: str
    detail: str = ""


def metric_steps(settings: Settings, wanted: Catalog, before: Catalog) -> Iterator[MetricStep]:
    """Every step that `apply` would take for metrics; changes nothing. Raises Unavailable."""
    metrics, assets = wanted.metrics, wanted.assets
    applied = applied_definitions(settings, metrics.values())
    for report in compare_topics(settings, _topics(metrics, assets)):
        if report.outcome == "created":
            yield MetricStep("topic", report.name, "create")
        elif report.outcome == "updated":
            yield MetricStep("topic", report.name, "change", "; ".join(report.differences))
        elif report.outcome == "differs":
            yield MetricStep("topic", report.name, "leave", "; ".join(report.differences))
    for metric in metrics.values():
        if metric.table not in applied:
            detail = f"from {metric.source}, by {', '.join(group.name for group in metric.groups)}"
            yield MetricStep("metric", f"metrics.{metric.table}", "create", detail)
        elif metric.name not in before.metrics or before.text(before.metrics[metric.name]) != wanted.text(metric):
            yield MetricStep("metric", f"metrics.{metric.table}", "change", "its text, and nothing that is counted")
        for sink in metric_sinks(metric, sink_database(settings)):
            differences = config_differences(settings, sink)
            if differences is None:
                yield MetricStep("connector", sink.name, "create", f"into {sink.config['collection.name.format']}")
            elif differences:
                yield MetricStep("connector", sink.name, "change", ", ".join(differences))
    for name, metric in before.metrics.items():
        if name not in metrics:
            detail = "its file is missing: nothing is deleted, but it is no longer counted"
            yield MetricStep("metric", f"metrics.{metric.table}", "end", detail)


def apply_metrics(
    settings: Settings, metrics: Mapping[str, Metric], assets: Mapping[str, Asset], on_progress: Callable[[str], None]
) -> None:
    """Makes topics, then tables, then sinks. Raises what `metric_steps` raises, and ConnectorFailed."""
    ensure_topics(settings, _topics(metrics, assets))
    for metric in metrics.values():
        on_progress(f"metric {metric.table}")
        ensure_metric_tables(settings, metric)
        for sink in metric_sinks(metric, sink_database(settings)):
            ensure_connector(settings, sink)


def _topics(metrics: Mapping[str, Metric], assets: Mapping[str, Asset]) -> list[TopicSpec]:
    return [spec for metric in metrics.values() for spec in metric_topics(metric, assets[metric.source])]
