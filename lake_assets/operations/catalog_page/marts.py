"""Entries of marts, from dbt's manifest; its models are compiled as far as they could be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.ddl import staging_columns
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.dbt.grain import grain_of, kind_of_test, tested_model
from lake_assets.dbt.manifest import Manifest
from lake_assets.dbt.mart_reads import refused_models
from lake_assets.operations.catalog_page.assets import json_source
from lake_assets.operations.catalog_page.document import (
    Board,
    ColumnSource,
    DataTest,
    MartColumn,
    MartEntry,
    UnitTest,
)
from lake_assets.operations.catalog_page.figures import Figures
from lake_assets.operations.catalog_page.lineage import STAR, KnownTable, TableColumn, Tables, UnknownLineage

_NOT_COMPILED = "dbt could not compile the model."
Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Marts:
    """Entries in the order of their names, and a sentence about each model that is left out."""

    entries: Sequence[MartEntry] = ()
    notes: Sequence[str] = field(default=())

    def readers_of_asset(self, name: str) -> list[str]:
        return [mart.name for mart in self.entries if name in mart.assets]

    def readers_of_metric(self, name: str) -> list[str]:
        return [mart.name for mart in self.entries if name in mart.metrics]


def read_marts(
    manifest: Manifest, assets: Mapping[str, Asset], metrics: Mapping[str, Metric], figures: Figures, dialect: str
) -> Marts:
    """Return the marts whose staging tables are all in the catalog, as Dagster has them."""
    refused = refused_models(manifest, assets.values())
    graph = ModelGraph(manifest, {(asset.staging_schema, asset.name): asset for asset in assets.values()})
    notes: list[str] = []
    models: dict[str, Node] = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "model" or node["config"]["materialized"] == "ephemeral":
            continue
        if not graph.upstream(unique_id).isdisjoint(refused):
            notes.append(
                _sentence(refused.get(unique_id)) or f"The model {node['name']} is left out: it reads one that is."
            )
        elif unknown := graph.unknown_tables(unique_id):
            tables = ", ".join(sorted(unknown))
            notes.append(f"The model {node['name']} is left out: {tables} belongs to no contract of this catalog.")
        else:
            models[unique_id] = node
    lineage = _Lineage(graph, models, metrics, dialect)
    entries = [_entry(manifest, graph, lineage, unique_id, models, figures) for unique_id in models]
    return Marts(sorted(entries, key=lambda entry: entry.name), sorted(notes))


class ModelGraph:
    """Dependencies of models, each computed once: a project may have many paths between two models."""

    def __init__(self, manifest: Manifest, assets: Mapping[tuple[str, str], Asset]) -> None:
        self.manifest = manifest
        self.assets = assets
        self._reads: dict[str, frozenset[str]] = {}
        self._upstream: dict[str, frozenset[str]] = {}

    def _parents(self, unique_id: str) -> list[str]:
        node = self.manifest["nodes"].get(unique_id)
        return node["depends_on"]["nodes"] if node else []

    def reads(self, unique_id: str) -> frozenset[str]:
        """Return the sources and the models with tables that a model reads, also through ephemeral models."""
        if unique_id not in self._reads:
            read: set[str] = set()
            for parent in self._parents(unique_id):
                node = self.manifest["nodes"].get(parent)
                is_ephemeral = node is not None and node["config"]["materialized"] == "ephemeral"
                read |= self.reads(parent) if is_ephemeral else {parent}
            self._reads[unique_id] = frozenset(read)
        return self._reads[unique_id]

    def upstream(self, unique_id: str) -> frozenset[str]:
        """Return everything that a model reads, directly or through other models, and the model itself."""
        if unique_id not in self._upstream:
            parents = (self.upstream(parent) for parent in self._parents(unique_id))
            self._upstream[unique_id] = frozenset({unique_id}.union(*parents))
        return self._upstream[unique_id]

    def unknown_tables(self, unique_id: str) -> set[str]:
        """Return the staging tables without a contract that a model reads, directly or through other models."""
        sources = (self.manifest["sources"].get(name) for name in self.upstream(unique_id))
        tables = {(source["schema"], source["name"]) for source in sources if source}
        return {".".join(table) for table in tables if table not in self.assets and table[0] != SCHEMA}


class _Lineage:
    """Lineage of all marts, resolved through each other down to fields of contracts."""

    def __init__(
        self, graph: ModelGraph, models: Mapping[str, Node], metrics: Mapping[str, Metric], dialect: str
    ) -> None:
        self._assets = graph.assets
        self._models = {
            (node["schema"].lower(), node["alias"].lower()): unique_id for unique_id, node in models.items()
        }
        self.problems: dict[str, str] = {}
        self.tables_read: dict[str, set[tuple[str, str]]] = {}
        self._resolved: dict[tuple[str, str], set[ColumnSource] | None] = {}
        self._sources: dict[str, Mapping[str, tuple[TableColumn, ...] | None]] = {}
        tables = Tables(known_tables(graph, models, metrics), dialect)
        for unique_id, node in models.items():
            sql = node.get("compiled_code")
            if not sql:
                self.problems[unique_id] = _NOT_COMPILED
                continue
            self.tables_read[unique_id] = {(s.lower(), t.lower()) for s, t in tables.read_tables(sql)}
            try:
                sources = tables.column_sources(sql)
                self._sources[unique_id] = {name.lower(): columns for name, columns in sources.items()}
            except UnknownLineage as error:
                self.problems[unique_id] = f"{error}"

    def sources(self, unique_id: str, column: str) -> tuple[ColumnSource, ...] | None:
        """Return the fields and other columns that a mart's column is computed from; None if that is unknown."""
        sources = self._resolve(unique_id, column.lower())
        return None if sources is None else tuple(sorted(sources, key=repr))

    def _resolve(self, unique_id: str, column: str) -> set[ColumnSource] | None:
        if (unique_id, column) not in self._resolved:
            self._resolved[unique_id, column] = self._resolve_once(unique_id, column)
        return self._resolved[unique_id, column]

    def _resolve_once(self, unique_id: str, column: str) -> set[ColumnSource] | None:
        columns = self._sources.get(unique_id, {})
        leaves = columns.get(column, columns.get(STAR))
        if leaves is None:
            return None
        result: set[ColumnSource] = set()
        for leaf in leaves:
            table = leaf.schema.lower(), leaf.table.lower()
            name = ".".join(table)
            mart = self._models.get(table)
            if mart is not None and leaf.column != STAR and mart != unique_id:
                inner = self._resolve(mart, leaf.column.lower())
                if inner is None:
                    return None
                result |= {replace(source, through=(name, *source.through)) for source in inner}
                continue
            asset = self._assets.get(table)
            field = next((f for f in asset.fields if f.name.lower() == leaf.column.lower()), None) if asset else None
            if asset and field:
                result.add(ColumnSource("field", asset.name, field.name, json_source(field), ()))
            else:
                result.add(ColumnSource("column", asset.name if asset else name, leaf.column, None, ()))
        return result


def known_tables(graph: ModelGraph, models: Mapping[str, Node], metrics: Mapping[str, Metric]) -> Iterator[KnownTable]:
    """Yield staging tables, marts and metrics, each with its columns."""
    databases = {node["database"] or "" for node in models.values()}
    for source in graph.manifest["sources"].values():
        asset = graph.assets.get((source["schema"], source["name"]))
        if asset is not None:
            columns = tuple(column.name for column in staging_columns(asset))
            yield KnownTable(source["database"] or "", source["schema"], source["identifier"], columns)
    for node in models.values():
        columns = tuple(column["name"] for column in node["columns"].values())
        if columns:
            yield KnownTable(node["database"] or "", node["schema"], node["alias"], columns)
    for metric in metrics.values():
        names = [*(group.name for group in metric.groups), "window_start", "window_end"]
        names += [*(measure.name for measure in metric.measures), "is_final", "late_events"]
        for database in databases:
            yield KnownTable(database, SCHEMA, metric.table, tuple(names))


def _entry(
    manifest: Manifest,
    graph: ModelGraph,
    lineage: _Lineage,
    unique_id: str,
    models: Mapping[str, Node],
    figures: Figures,
) -> MartEntry:
    node = models[unique_id]
    read = graph.reads(unique_id)
    sources = [manifest["sources"][name] for name in read if name in manifest["sources"]]
    tables = lineage.tables_read.get(unique_id, set()) | {
        (source["schema"], source["identifier"]) for source in sources
    }
    tests = [test for test in manifest["nodes"].values() if tested_model(test) == unique_id]
    return MartEntry(
        name=_name(node),
        description=node["description"].strip(),
        owners=tuple(_texts(node["config"].get("meta", {}).get("owners", []))),
        grain=grain_of(manifest, unique_id),
        columns=tuple(_column(lineage, unique_id, column) for column in node["columns"].values()),
        sql=node["raw_code"],
        compiled_sql=node.get("compiled_code"),
        data_tests=tuple(_data_test(test, node, figures) for test in tests),
        unit_tests=tuple(
            UnitTest(test["name"], test.get("description") or "")
            for test in manifest.get("unit_tests", {}).values()
            if unique_id in test["depends_on"]["nodes"] and test["model"] == node["name"]
        ),
        boards=tuple(
            _board(exposure)
            for exposure in manifest["exposures"].values()
            if unique_id in exposure["depends_on"]["nodes"]
        ),
        assets=tuple(sorted(asset.name for table, asset in graph.assets.items() if table in tables)),
        metrics=tuple(sorted(table for schema, table in tables if schema == SCHEMA)),
        marts=tuple(sorted(_name(models[name]) for name in read if name in models)),
        read_by=tuple(sorted(_name(other) for name, other in models.items() if unique_id in graph.reads(name))),
        lineage_problem=lineage.problems.get(unique_id),
    )


def _name(node: Node) -> str:
    """Return schema and table: two schemas may have a table of one name."""
    return f"{node['schema']}.{node['alias']}"


def _sentence(text: str | None) -> str | None:
    return text and f"{text[0].upper()}{text[1:]}"


def _column(lineage: _Lineage, unique_id: str, column: Mapping[str, Any]) -> MartColumn:
    constraints: list[Node] = column.get("constraints") or []
    return MartColumn(
        name=column["name"],
        type=column.get("data_type") or "",
        description=column.get("description") or "",
        rules=tuple(str(constraint["type"]).replace("_", " ") for constraint in constraints),
        sources=lineage.sources(unique_id, column["name"]),
    )


def _arguments(test: Node) -> str:
    metadata: Node = test.get("test_metadata") or {}
    arguments: Node = metadata.get("kwargs") or {}
    given = {name: value for name, value in arguments.items() if name not in ("model", "column_name")}
    return "; ".join(f"{name} {', '.join(_texts(value)) or value}" for name, value in given.items())


def _data_test(test: Node, node: Node, figures: Figures) -> DataTest:
    return DataTest(
        name=test["name"],
        test=kind_of_test(test),
        arguments=_arguments(test),
        column=test.get("column_name"),
        severity=str(test["config"].get("severity", "error")).lower(),
        result=figures.checks.get(((node["schema"], node["alias"]), test["name"])),
    )


def _board(exposure: Mapping[str, Any]) -> Board:
    owner: Node = exposure.get("owner") or {}
    return Board(
        name=exposure.get("label") or exposure["name"],
        type=exposure.get("type") or "",
        description=exposure.get("description") or "",
        owner=" ".join(_texts([owner.get("name"), owner.get("email")])),
        url=exposure.get("url"),
    )


def _texts(values: Any) -> list[str]:
    """Return the texts of what a YAML file may have as one text or as a list."""
    listed = cast(list[Any], values) if isinstance(values, list) else [values]
    return [str(value) for value in listed if value is not None]
