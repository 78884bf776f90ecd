"""The lake's graph as jobs of OpenLineage: landing, conform, staging, metrics, marts and boards. Pure.

A job is found by the table that it writes, by the table's key in Dagster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.catalog.versions import by_dataset
from lake_assets.compile.ddl import LINEAGE, QUARANTINE, Column, duckdb_type, staging_columns
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.operations.lineage.facets import (
    InputField,
    Json,
    Processing,
    column_lineage_facet,
    schema_facet,
    storage_facet,
)
from lake_assets.operations.lineage.marts import Mart, Marts
from lake_assets.operations.lineage.names import DatasetName, Names

# A table's key in Dagster.
Key = tuple[str, ...]

_RAW = (
    Column("payload", "blob", "Payload, as it came."),
    Column("_key", "blob", "Kafka key, as it came."),
    Column("_partition", "integer", "Kafka partition."),
    Column("_offset", "bigint", "Kafka offset."),
    Column("_timestamp", "timestamp with time zone", "Event time, UTC."),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A dataset that jobs read and write. `columns` has the sources of its columns, as far as they are known."""

    key: Key
    dataset: DatasetName
    facets: Mapping[str, Json] = field(default_factory=dict[str, Json])
    columns: Mapping[str, tuple[InputField, ...]] = field(default_factory=dict[str, tuple[InputField, ...]])

    @property
    def output_facets(self) -> dict[str, Json]:
        """Return the facets of the table as an output, with the lineage of its columns."""
        return {**self.facets, **({"columnLineage": column_lineage_facet(self.columns)} if self.columns else {})}


@dataclass(frozen=True, slots=True)
class Job:
    """A job with the tables that it reads and writes; a board writes none."""

    name: str
    integration: str
    kind: str
    processing: Processing
    inputs: tuple[Table, ...]
    outputs: tuple[Table, ...]


class LakeGraph:
    """Jobs and tables of one lake, each made when it is needed: a lake may have thousands."""

    def __init__(self, names: Names, catalog: Catalog, marts: Marts) -> None:
        self._names = names
        self._catalog = catalog
        self._marts = marts
        self._newest = {dataset: versions[-1] for dataset, versions in by_dataset(catalog.assets.values()).items()}
        self._staging: dict[Key, Asset] = {}
        for asset in catalog.assets.values():
            self._staging[asset.staging_schema, asset.name] = asset
            self._staging[asset.staging_schema, asset.quarantine_table] = asset
        self._metrics = {metric.table: metric for metric in catalog.metrics.values()}

    def observed_keys(self) -> list[Key]:
        """Return the keys of tables that are written outside of Dagster's runs."""
        return [*(("raw", name) for name in self._newest), *((SCHEMA, table) for table in self._metrics)]

    def jobs(self, keys: Iterable[Key]) -> list[Job]:
        """Return the jobs that write these tables, without duplicates. Keys of other assets are left out."""
        jobs = {job.name: job for key in keys if (job := self._job(key)) is not None}
        return list(jobs.values())

    def boards_on(self, keys: Iterable[Key]) -> list[Job]:
        """Return the boards that show any of these tables."""
        shown = set(keys)
        return [
            Job(f"board.{board.name}", "STREAMLIT", "DASHBOARD", "SERVICE", tuple(map(self._read, board.reads)), ())
            for board in self._marts.boards
            if shown.intersection(board.reads)
        ]

    def table(self, key: Key) -> Table | None:
        """Return the table of a key; None if it is none of this lake."""
        kind, name = (key[0], key[-1]) if len(key) == 2 else ("", "")
        if kind == "topic":
            return Table(key, self._names.topic(name))
        if kind == "raw" and name in self._newest:
            return self._raw(self._newest[name])
        if kind == "conformed" and name in self._catalog.assets:
            return self._conformed(self._catalog.assets[name])
        if (asset := self._staging.get(key)) is not None:
            return self._staged(asset) if name == asset.name else self._quarantine(asset)
        if kind == SCHEMA and name in self._metrics:
            return self._metric(self._metrics[name])
        return self._mart(key, self._marts.by_key[key]) if key in self._marts.by_key else None

    def _read(self, key: Key) -> Table:
        """Return a table that is read. A mart may read tables of the warehouse that belong to no contract."""
        return self.table(key) or Table(key, self._names.table(key[0], key[-1]))

    def _job(self, key: Key) -> Job | None:
        kind, name = (key[0], key[-1]) if len(key) == 2 else ("", "")
        if kind == "raw" and name in self._newest:
            topic = ("topic", self._newest[name].topic)
            return self._made(f"landing.{name}", ("KAFKA_CONNECT", "SINK", "STREAMING"), [topic], [key])
        if kind == "conformed" and (asset := self._catalog.assets.get(name)) is not None:
            return self._made(f"conform.{name}", ("DAGSTER", "ASSET", "BATCH"), [("raw", asset.dataset)], [key])
        if (asset := self._staging.get(key)) is not None:
            tables = [(asset.staging_schema, asset.name), (asset.staging_schema, asset.quarantine_table)]
            how: tuple[str, str, Processing] = ("DAGSTER", "ASSET", "BATCH")
            return self._made(f"staging.{asset.name}", how, [("conformed", asset.name)], tables)
        if kind == SCHEMA and (metric := self._metrics.get(name)) is not None:
            topic = ("topic", self._catalog.assets[metric.source].topic)
            return self._made(f"metric.{name}", ("STREAM_APP", "METRIC", "STREAMING"), [topic], [key])
        if (mart := self._marts.by_key.get(key)) is not None:
            return self._made(".".join(key), ("DBT", "MODEL", "BATCH"), mart.reads, [key])
        return None

    def _made(self, name: str, how: tuple[str, str, Processing], reads: Iterable[Key], writes: Iterable[Key]) -> Job:
        integration, kind, processing = how
        return Job(name, integration, kind, processing, tuple(map(self._read, reads)), tuple(map(self._read, writes)))

    def _raw(self, asset: Asset) -> Table:
        facets = {"schema": _schema(_RAW), "storage": storage_facet("iceberg", "parquet")}
        return Table(("raw", asset.dataset), self._names.raw(asset.raw_name), facets)

    def _conformed(self, asset: Asset) -> Table:
        columns = tuple(Column(f.name, duckdb_type(f.type), f.description) for f in asset.fields)
        raw = self._names.raw(asset.raw_name)
        sources = {
            f.name: (InputField(raw, "payload", "TRANSFORMATION", masked=f.protection is not None),)
            for f in asset.fields
        }
        facets = {"schema": _schema((*columns, *LINEAGE)), "storage": storage_facet("files", "parquet")}
        return Table(("conformed", asset.name), self._names.conformed(asset.dataset, asset.major), facets, sources)

    def _staged(self, asset: Asset) -> Table:
        conformed = self._names.conformed(asset.dataset, asset.major)
        columns = staging_columns(asset)
        sources = {column.name: (InputField(conformed, column.name, "IDENTITY"),) for column in columns}
        return self._warehouse_table(asset.staging_schema, asset.name, columns, sources)

    def _quarantine(self, asset: Asset) -> Table:
        return self._warehouse_table(asset.staging_schema, asset.quarantine_table, QUARANTINE, {})

    def _warehouse_table(
        self, schema: str, name: str, columns: Iterable[Column], sources: Mapping[str, tuple[InputField, ...]]
    ) -> Table:
        facets: dict[str, Json] = {"schema": _schema(columns)}
        if self._names.settings.target == "local":
            facets["storage"] = storage_facet("ducklake", "parquet")
        return Table((schema, name), self._names.table(schema, name), facets, sources)

    def _metric(self, metric: Metric) -> Table:
        columns = [(group.name, str(group.type), "") for group in metric.groups]
        columns += [("window_start", "timestamp", ""), ("window_end", "timestamp", "")]
        columns += [(m.name, str(m.type) if m.type else "integer", m.description) for m in metric.measures]
        columns += [("is_final", "boolean", ""), ("late_events", "integer", "")]
        return Table((SCHEMA, metric.table), self._names.metric(metric.table), {"schema": schema_facet(columns)})

    def _mart(self, key: Key, mart: Mart) -> Table:
        sources = {
            column: tuple(InputField(self._read(leaf.table).dataset, leaf.column, "TRANSFORMATION") for leaf in leaves)
            for column, leaves in mart.column_sources.items()
        }
        return Table(key, self._names.table(key[0], key[1]), {"schema": schema_facet(mart.columns)}, sources)


def _schema(columns: Iterable[Column]) -> Json:
    return schema_facet((column.name, column.type, column.description) for column in columns)
