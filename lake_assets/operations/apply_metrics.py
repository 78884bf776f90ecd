"""Compare the metrics with their topics, tables, views and sinks, and create or change what differs."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.texts import Catalog
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.metric_sink import metric_sinks
from lake_assets.compile.metric_topics import metric_topics
from lake_assets.compile.topic import TopicSpec
from lake_assets.landing.connect import config_differences, ensure_connectors
from lake_assets.landing.topics import compare_topics, ensure_topics
from lake_assets.operations.apply_steps import PlannedStep, Step, steps_of_report, targets
from lake_assets.settings import Settings
from lake_assets.warehouse.metric_tables import applied_definitions, ensure_metric_tables, sink_database

MetricStep = PlannedStep[TopicSpec] | PlannedStep[Metric] | PlannedStep[ConnectorSpec] | PlannedStep[None]


def plan_metrics(
    settings: Settings, wanted: Catalog, applied: Catalog, failed: Mapping[str, str]
) -> Sequence[MetricStep]:
    """Return every step that `apply_metrics` takes, in order, and those that end a metric. Changes nothing.

    `failed` has the causes of failed connectors, by name. Raises Unavailable.
    """
    return [
        *_topic_steps(settings, wanted),
        *_table_and_sink_steps(settings, wanted, applied, failed),
        *_end_steps(wanted, applied),
    ]


def apply_metrics(settings: Settings, steps: Sequence[MetricStep], on_progress: Callable[[str], None]) -> None:
    """Execute the steps: topics, then tables, then sinks. Raises Unavailable, and what `ensure_connectors` raises."""
    if topics := targets(steps, TopicSpec):
        ensure_topics(settings, topics)
    for metric in targets(steps, Metric):
        on_progress(f"metric {metric.table}")
        ensure_metric_tables(settings, metric)
    ensure_connectors(settings, targets(steps, ConnectorSpec), on_progress)


def _topic_steps(settings: Settings, wanted: Catalog) -> Iterator[PlannedStep[TopicSpec]]:
    specs = [spec for metric in wanted.metrics.values() for spec in metric_topics(metric, wanted.assets[metric.source])]
    for report, spec in zip(compare_topics(settings, specs), specs, strict=True):
        yield from steps_of_report("topic", report.name, report.outcome, report.differences, spec)


def _table_and_sink_steps(
    settings: Settings, wanted: Catalog, applied: Catalog, failed: Mapping[str, str]
) -> Iterator[PlannedStep[Metric] | PlannedStep[ConnectorSpec]]:
    tables = applied_definitions(settings, wanted.metrics.values())
    for metric in wanted.metrics.values():
        before = applied.metrics.get(metric.name)
        if metric.table not in tables:
            detail = f"from {metric.source}, by {', '.join(group.name for group in metric.groups)}"
            yield PlannedStep(Step("metric", f"metrics.{metric.table}", "create", detail), metric)
        elif before is None or applied.text(before) != wanted.text(metric):
            detail = "its text, and nothing that is counted"
            yield PlannedStep(Step("metric", f"metrics.{metric.table}", "change", detail), metric)
        for sink in metric_sinks(metric, sink_database(settings)):
            yield from connector_steps(settings, sink, failed, f"into {sink.config.get('collection.name.format')}")


def _end_steps(wanted: Catalog, applied: Catalog) -> Iterator[PlannedStep[None]]:
    for name, metric in applied.metrics.items():
        if name not in wanted.metrics:
            detail = "its file is missing: nothing is deleted, but it is no longer counted"
            yield PlannedStep(Step("metric", f"metrics.{metric.table}", "end", detail), None)


def connector_steps(
    settings: Settings, spec: ConnectorSpec, failed: Mapping[str, str], detail: str
) -> Iterator[PlannedStep[ConnectorSpec]]:
    """Yield the step for a connector that is missing, differs, or has failed. `detail` is that of a missing one."""
    differences = config_differences(settings, spec)
    if differences is None:
        yield PlannedStep(Step("connector", spec.name, "create", detail), spec)
    elif differences:
        yield PlannedStep(Step("connector", spec.name, "change", ", ".join(differences)), spec)
    elif spec.name in failed:
        yield PlannedStep(Step("connector", spec.name, "restart", failed[spec.name]), spec)
