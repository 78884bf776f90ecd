"""Columns of the staging and quarantine tables, for each warehouse's DDL."""

from dataclasses import dataclass

from lake_assets.catalog.model import Asset, FieldType
from lake_assets.compile.sql import identifier


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a staging or quarantine table; `type` is DuckDB's, which DuckLake shares."""

    name: str
    type: str
    description: str


_DUCKDB_TYPES = {
    "string": "varchar",
    "boolean": "boolean",
    "integer": "bigint",
    "double": "double",
    "date": "date",
    "timestamp": "timestamp with time zone",
    # JSON stays text in staging: every target reads it, and no warehouse rewrites it.
    "json": "varchar",
}

LINEAGE = (
    Column("_window", "timestamp with time zone", "Start of the window the row belongs to, UTC."),
    # Not `_partition`, as in raw: BigQuery refuses column names that begin with that.
    Column("_kafka_partition", "integer", "Kafka partition the event came from."),
    Column("_offset", "bigint", "Kafka offset the event came from."),
    Column("_event_at", "timestamp with time zone", "Event time, UTC."),
    Column("_loaded_at", "timestamp with time zone", "When the window was last made, UTC."),
    Column("_contract_version", "varchar", "Version of the contract the row was judged by."),
    Column("_extra", "varchar", "JSON object of the fields that the contract does not declare, or null."),
)

ERRORS_TYPE = 'struct("code" varchar, "field" varchar, "value" varchar, "message" varchar)[]'

QUARANTINE = (
    Column("asset", "varchar", "Asset the row was meant for."),
    Column("_window", "timestamp with time zone", "Start of the window the row belongs to, UTC."),
    Column("topic", "varchar", "Kafka topic."),
    Column("partition", "integer", "Kafka partition."),
    Column("offset", "bigint", "Kafka offset."),
    Column("key", "blob", "Kafka key, as it came."),
    Column("payload", "blob", "Payload, as it came."),
    Column("errors", ERRORS_TYPE, "Every rule the row broke: code, field, value, message."),
    Column("contract_version", "varchar", "Version of the contract that judged the row."),
    Column("run_id", "varchar", "Dagster run that judged the row."),
    Column("first_seen", "timestamp with time zone", "When the row was first quarantined, UTC."),
)


def duckdb_type(kind: FieldType) -> str:
    """Return DuckDB's name for a field type."""
    return f"decimal({kind.precision}, {kind.scale})" if kind.name == "decimal" else _DUCKDB_TYPES[kind.name]


def staging_columns(asset: Asset) -> tuple[Column, ...]:
    """Return the contract's fields in their order, then the lineage columns."""
    declared = tuple(Column(f.name, duckdb_type(f.type), f.description) for f in asset.fields)
    return declared + LINEAGE


def create_table(name: str, columns: tuple[Column, ...]) -> str:
    """Return `create table if not exists` for an already quoted table name."""
    lines = ",\n".join(f"  {identifier(column.name)} {column.type}" for column in columns)
    return f"create table if not exists {name} (\n{lines}\n)"
