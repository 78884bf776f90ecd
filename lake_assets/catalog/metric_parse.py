"""Parse a metric's text into a `Metric`, or report all its problems."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from lake_assets.catalog.metric import Filter, Group, GroupValue, Measure, Metric
from lake_assets.catalog.metric_schema import METRIC_NAME_LENGTH, metric_schema
from lake_assets.catalog.model import Asset, Field
from lake_assets.catalog.names import FIELD_NAME_LENGTH, SYSTEM_COLUMNS, name_problem
from lake_assets.catalog.partial_contract import Draft
from lake_assets.catalog.problems import ContractError, Problem, TreePath, did_you_mean
from lake_assets.catalog.source import read_source

_UNITS = {
    "s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1),
    "d": timedelta(days=1),
}  # fmt: skip
_DAY = timedelta(days=1)
_GROUP_TYPES = {"string": str, "integer": int, "boolean": bool}
_MEASURE_TYPES = ("integer", "decimal")
# Columns of the tables and the view besides groups and measures.
SERVING_COLUMNS = (
    "window_start", "window_end", "shard", "source_offset", "late_before", "revision", "is_final", "late_events",
)  # fmt: skip


def parse_metric(text: str, path: PurePath, assets: Mapping[str, Asset]) -> Metric:
    """Parse a metric's file. Raises ContractError, which lists all problems with line and path."""
    draft = Draft(read_source(text, path), metric_schema)
    _check_name(draft)
    window, lateness, retention = _length(draft, "window"), _length(draft, "lateness"), _length(draft, "retention")
    if window is not None and (not window or _DAY % window):
        draft.report(("window",), f"'{draft.word('window')}' does not divide a day; 10s, 1m, 15m, 1h and 1d do.")
    if retention is not None and retention < _DAY * 2 + (lateness or _DAY):
        word = draft.word("retention")
        draft.report(("retention",), f"'{word}' is too short: keep windows for two days and the lateness at least.")
    source = _source(draft, assets)
    groups, measures, filters = _groups(draft, source), _measures(draft, source), _filters(draft, source)
    _check_columns(draft)
    if draft.problems or window is None or lateness is None:
        raise ContractError(draft.problems)
    return Metric(
        name=draft.value("name"),
        version=draft.value("version"),
        description=draft.value("description"),
        owners=tuple(draft.value("owners")),
        source=draft.value("source"),
        groups=groups,
        window=window,
        lateness=lateness,
        measures=measures,
        filters=filters,
        transform=draft.value("transform"),
        retention=retention,
        path=path,
    )


def check_metrics_together(metrics: Iterable[Metric]) -> None:
    """Check that the names of metrics are unique in a catalog. Raises ContractError."""
    views: dict[str, Metric] = {}
    problems: list[Problem] = []
    for metric in metrics:
        other = views.setdefault(metric.table, metric)
        if other is not metric:
            problems.append(
                Problem(metric.path, 1, "name", f"'{metric.table}' is also the view of {other.path}; change one.")
            )
    if problems:
        raise ContractError(problems)


def _check_name(draft: Draft) -> None:
    name = draft.value("name")
    problem = name_problem(name, METRIC_NAME_LENGTH) if name else None
    if problem:
        draft.report(("name",), f"'{name}' {problem}")


def _length(draft: Draft, key: str) -> timedelta | None:
    text = draft.value(key)
    match = re.fullmatch(r"(\d+)([smhd])", text) if text else None
    return int(match[1]) * _UNITS[match[2]] if match else None


def _source(draft: Draft, assets: Mapping[str, Asset]) -> Asset | None:
    name = draft.value("source")
    if name is None:
        return None
    if name not in assets:
        draft.report(("source",), f"'{name}' is not an asset of this catalog.{did_you_mean(name, assets)}")
    return assets.get(name)


def _field(draft: Draft, place: TreePath, name: str | None, source: Asset | None) -> Field | None:
    """Return the source's field of that name; report a problem when it does not exist or is optional."""
    if source is None or name is None:
        return None
    found = next((field for field in source.fields if field.name == name), None)
    if found is None:
        hint = did_you_mean(name, [field.name for field in source.fields])
        draft.report(place, f"'{name}' is not a field of {source.name}.{hint}")
    elif found.is_confidential:
        kind = found.protection or found.classification
        draft.report(place, f"'{name}' of {source.name} is confidential ({kind}): readers of metrics must not see it.")
        return None
    elif not found.required:
        draft.report(place, f"'{name}' is optional in {source.name}: a metric needs fields with required: true.")
        return None
    return found


def _groups(draft: Draft, source: Asset | None) -> tuple[Group, ...]:
    groups: list[Group] = []
    for place in draft.places("groupBy"):
        field = _field(draft, place, draft.value(*place), source)
        if field and field.type.name not in _GROUP_TYPES:
            draft.report(place, f"'{field.name}' is {field.type}; group by a string, an integer or a boolean.")
        elif field:
            groups.append(Group(field.name, field.type))
    return tuple(groups)


def _measures(draft: Draft, source: Asset | None) -> tuple[Measure, ...]:
    measures: list[Measure] = []
    for place in draft.places("measures"):
        item: dict[str, Any] | None = draft.value(*place)
        if item is None:
            continue
        if item["function"] == "count":
            measures.append(Measure(item["name"], "count", item["description"]))
            continue
        at = (*place, "field")
        field = _field(draft, at, item["field"], source)
        if field and field.type.name not in _MEASURE_TYPES:
            draft.report(at, f"'{field.name}' is {field.type}; only an integer or a decimal is exact.")
        elif field:
            measures.append(Measure(item["name"], item["function"], item["description"], field.name, field.type))
    return tuple(measures)


def _filters(draft: Draft, source: Asset | None) -> tuple[Filter, ...]:
    filters: list[Filter] = []
    for place in draft.places("filter"):
        item: dict[str, Any] | None = draft.value(*place)
        field = _field(draft, (*place, "field"), item["field"], source) if item else None
        if item is None or field is None:
            continue
        wanted = _GROUP_TYPES.get(field.type.name)
        if wanted is None:
            draft.report((*place, "field"), f"'{field.name}' is {field.type}; filter a string, integer or boolean.")
            continue
        values: list[GroupValue] = item["in"]
        for number, value in enumerate(values):
            if type(value) is not wanted:
                draft.report((*place, "in", number), f"'{value}' is not of the field's type, {field.type}.")
        filters.append(Filter(field.name, tuple(values)))
    return tuple(filters)


def _check_columns(draft: Draft) -> None:
    """Check the names of groups and measures, which are columns of one table."""
    used: set[str] = set(SERVING_COLUMNS)
    places = [*draft.places("groupBy"), *((*place, "name") for place in draft.places("measures"))]
    for place in places:
        name = draft.word(*place)
        if name is None:
            continue
        if name in used:
            draft.report(place, f"'{name}' is already a column of the metric; use another name.")
        elif name in SYSTEM_COLUMNS:
            draft.report(place, f"'{name}' is a column that Postgres adds to every table; use another name.")
        used.add(name)
        problem = name_problem(name, FIELD_NAME_LENGTH)
        if problem:
            draft.report(place, f"'{name}' {problem}")
