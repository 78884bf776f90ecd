"""Marts and boards of a dbt manifest, as far as lineage needs them. Pure.

The sources of columns come from the models' compiled SQL; `column_sources` reads them, and `columns` stores them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.grain import kind_of_test
from lake_assets.dbt.manifest import Manifest
from lake_assets.operations.catalog_page.lineage import STAR, Tables, UnknownLineage
from lake_assets.operations.catalog_page.marts import ModelGraph, known_tables

Key = tuple[str, ...]
Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Leaf:
    """A column of a table that a mart reads itself."""

    table: Key
    column: str


@dataclass(frozen=True, slots=True)
class ModelSources:
    """Sources in a model's compiled SQL: of its columns, where all are known, and the tables of metrics."""

    columns: Mapping[str, tuple[Leaf, ...]]
    metrics: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class DataTest:
    """A test of dbt: its kind, such as `not_null`, and its column if it has one."""

    kind: str
    column: str | None


@dataclass(frozen=True, slots=True)
class Mart:
    """A mart with the tables that it reads. `columns` are name, type and description."""

    reads: tuple[Key, ...]
    columns: tuple[tuple[str, str, str], ...]
    column_sources: Mapping[str, tuple[Leaf, ...]]


@dataclass(frozen=True, slots=True)
class Board:
    """A board with the marts and metrics that it shows."""

    name: str
    reads: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Marts:
    """Marts by key, boards, and data tests by name."""

    by_key: Mapping[Key, Mart] = field(default_factory=dict[Key, Mart])
    boards: tuple[Board, ...] = ()
    tests: Mapping[str, DataTest] = field(default_factory=dict[str, DataTest])


def read_marts(
    manifest: Manifest,
    assets: Mapping[str, Asset],
    metrics: Mapping[str, Metric],
    sources: Mapping[str, ModelSources],
) -> Marts:
    """Return marts and boards of a manifest; `sources` are those of the models' SQL, by unique id."""
    graph = _graph(manifest, assets)
    models = _models(manifest)
    by_key = {_key(node): _mart(graph, models, unique_id, sources.get(unique_id)) for unique_id, node in models.items()}
    tests = {
        node["name"]: DataTest(kind_of_test(node), node.get("column_name"))
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    }
    return Marts(by_key, tuple(_boards(manifest, models, assets.values(), metrics)), tests)


def column_sources(
    manifest: Manifest, assets: Mapping[str, Asset], metrics: Mapping[str, Metric], dialect: str
) -> dict[str, ModelSources]:
    """Return the sources of each model that dbt could compile and sqlglot can analyse, by unique id."""
    models = _models(manifest)
    tables = Tables(known_tables(_graph(manifest, assets), models, metrics), dialect)
    # Keys as Dagster has them: compiled SQL may spell a table in another case.
    keys = {
        _folded((asset.staging_schema, asset.name)): (asset.staging_schema, asset.name) for asset in assets.values()
    }
    keys |= {_folded((SCHEMA, metric.table)): (SCHEMA, metric.table) for metric in metrics.values()}
    keys |= {_folded(_key(node)): _key(node) for node in models.values()}
    found: dict[str, ModelSources] = {}
    for unique_id, node in models.items():
        sql = node.get("compiled_code")
        if sql:
            read = {keys.get(_folded(table), table) for table in tables.read_tables(sql)}
            named = tuple(sorted(key for key in read if key[0] == SCHEMA))
            found[unique_id] = ModelSources(_leaves(tables, sql, keys), named)
    return found


def _leaves(tables: Tables, sql: str, keys: Mapping[Key, Key]) -> dict[str, tuple[Leaf, ...]]:
    try:
        columns = tables.column_sources(sql)
    except UnknownLineage:
        return {}
    leaves: dict[str, tuple[Leaf, ...]] = {}
    for name, sources in columns.items():
        if name != STAR and sources is not None and all(source.column != STAR for source in sources):
            found = {Leaf(keys.get(_folded(t := (s.schema, s.table)), t), s.column) for s in sources}
            leaves[name] = tuple(sorted(found))
    return leaves


def _folded(key: Iterable[str]) -> Key:
    return tuple(part.lower() for part in key)


def _graph(manifest: Manifest, assets: Mapping[str, Asset]) -> ModelGraph:
    return ModelGraph(manifest, {(asset.staging_schema, asset.name): asset for asset in assets.values()})


def _models(manifest: Manifest) -> dict[str, Node]:
    return {
        unique_id: node
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral"
    }


def _key(node: Node) -> Key:
    return node["schema"], node["alias"]


def _mart(graph: ModelGraph, models: Mapping[str, Node], unique_id: str, sources: ModelSources | None) -> Mart:
    node = models[unique_id]
    reads: set[Key] = set(sources.metrics if sources else ())
    for name in graph.reads(unique_id):
        source = graph.manifest["sources"].get(name)
        if source:
            reads.add((source["schema"], source["identifier"]))
        elif name in models:
            reads.add(_key(models[name]))
    columns = tuple(
        (column["name"], column.get("data_type") or "", column.get("description") or "")
        for column in node["columns"].values()
    )
    return Mart(tuple(sorted(reads)), columns, sources.columns if sources else {})


def _boards(
    manifest: Manifest, models: Mapping[str, Node], assets: Iterable[Asset], metrics: Mapping[str, Metric]
) -> Iterable[Board]:
    charts = {board.name: board.charts for board in read_boards(manifest, metrics, assets).boards}
    for exposure in manifest["exposures"].values():
        name = exposure["name"]
        reads = {_key(models[parent]) for parent in exposure["depends_on"]["nodes"] if parent in models}
        reads |= {(chart.table.schema, chart.table.name) for chart in charts.get(name, ())}
        if reads:
            yield Board(name, tuple(sorted(reads)))
