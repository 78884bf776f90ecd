"""Entries of assets and metrics, from contracts and figures."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset, Check, Field
from lake_assets.compile.metric_tables import SCHEMA, late_table
from lake_assets.operations.catalog_page.document import (
    AssetColumn,
    AssetEntry,
    JsonSource,
    MetricEntry,
    MetricMeasure,
    QualityCheck,
)
from lake_assets.operations.catalog_page.figures import Figures

# Checks of every asset, besides those of its contract; Dagster has their results under these names.
_OWN_CHECKS = {
    "rows_match_ledger": "The published tables hold as many rows as the ledger counted as good and quarantined.",
    "every_window_made": "No window of the last run failed.",
}


def asset_entry(asset: Asset, figures: Figures, marts: Sequence[str], metrics: Sequence[str]) -> AssetEntry:
    """Return the entry of one asset; `marts` and `metrics` are the names of its readers."""
    return AssetEntry(
        name=asset.name,
        description=asset.description,
        owners=asset.owners,
        domain=asset.domain,
        status=asset.status,
        version=asset.version,
        topic=asset.topic,
        table=f"{asset.staging_schema}.{asset.name}",
        window=asset.window,
        key=asset.key,
        event_time=asset.event_time,
        columns=tuple(_column(asset, field) for field in asset.fields),
        checks=tuple(_checks(asset, figures)),
        freshness_seconds=_seconds(asset.freshness),
        frequency_seconds=_seconds(asset.frequency),
        roster=asset.roster,
        retention=str(asset.retention),
        quarantine_budget=str(asset.quarantine) if asset.quarantine else None,
        marts=tuple(marts),
        metrics=tuple(metrics),
        figures=figures.assets.get(asset.name),
    )


def metric_entry(metric: Metric, source: Asset, figures: Figures, marts: Sequence[str]) -> MetricEntry:
    """Return the entry of one metric; `marts` are the names of its readers."""
    results = sorted((name, result) for (key, name), result in figures.checks.items() if key == (SCHEMA, metric.table))
    return MetricEntry(
        name=metric.table,
        description=metric.description,
        owners=metric.owners,
        version=metric.version,
        source=metric.source,
        groups=tuple(group.name for group in metric.groups),
        measures=tuple(
            MetricMeasure(measure.name, measure.function, measure.field, measure.description)
            for measure in metric.measures
        ),
        filters=tuple(
            f"{filter.field} is one of {len(filter.values)} values that are not shown"
            if source.field(filter.field).is_confidential
            else f"{filter.field} is {' or '.join(str(value) for value in filter.values)}"
            for filter in metric.filters
        ),
        transform=metric.transform,
        window_seconds=int(metric.window.total_seconds()),
        lateness_seconds=int(metric.lateness.total_seconds()),
        tables=(f"{SCHEMA}.{metric.table}", f"{SCHEMA}.{late_table(metric)}"),
        topic=metric.topic,
        marts=tuple(marts),
        checks=tuple(QualityCheck(name, "", "", False, result) for name, result in results),
    )


def json_source(field: Field) -> JsonSource:
    """Return the keys of the payload that a field is read from."""
    if field.path:
        return JsonSource("path", field.path)
    return JsonSource("join", field.join) if field.join else JsonSource("key", (field.payload_key,))


def _column(asset: Asset, field: Field) -> AssetColumn:
    return AssetColumn(
        name=field.name,
        type=str(field.type),
        description=field.description,
        is_key=field.name in asset.key,
        rules=tuple(_rules(field)),
        classification=field.classification,
        protection=field.protection,
        in_marts=field.is_shown,
        json=json_source(field),
    )


def _rules(field: Field) -> Iterator[str]:
    """Yield a field's row rules in words. The values of a confidential field are counted, not named."""
    if field.required:
        yield "required"
    if field.enum:
        yield f"one of {_values(field, field.enum)}"
    if field.minimum is not None:
        yield f"at least {field.minimum:f}"
    if field.maximum is not None:
        yield f"at most {field.maximum:f}"
    if field.min_length is not None or field.max_length is not None:
        low, high = field.min_length or 0, field.max_length
        yield f"length {low} or more" if high is None else f"length {low} to {high}"
    if field.pattern:
        yield f"matches {field.pattern}"
    if field.form:
        yield f"written as {field.form}"
    if field.nulls:
        yield f"empty if {_values(field, field.nulls)}"


def _values(field: Field, values: Sequence[str]) -> str:
    return f"{len(values)} values that are not shown" if field.is_confidential else ", ".join(values)


def _checks(asset: Asset, figures: Figures) -> Iterator[QualityCheck]:
    results = {name: result for (key, name), result in figures.checks.items() if key == _key(asset)}
    for name, description in _OWN_CHECKS.items():
        yield QualityCheck(name, description, "", False, results.get(name))
    if asset.quarantine:
        yield QualityCheck(BUDGET, "Rows of a window in quarantine.", f"at most {asset.quarantine}", True,
                           results.get(BUDGET))  # fmt: skip
    for check in asset.checks:
        yield QualityCheck(check.name, check.description, _expects(check), check.blocking, results.get(check.name))


def _key(asset: Asset) -> tuple[str, ...]:
    """Return Dagster's key of the staging table, as a path."""
    return asset.staging_schema, asset.name


def _expects(check: Check) -> str:
    return f"{check.operator} {' and '.join(f'{bound:f}' for bound in check.bounds)}"


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())


def metric_readers(metrics: Mapping[str, Metric], asset: Asset) -> list[str]:
    """Return the metrics that count an asset's events."""
    return [metric.table for metric in metrics.values() if metric.source == asset.name]
