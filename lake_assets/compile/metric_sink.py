"""Metric -> the Kafka Connect connectors that upsert its rows into the database."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.metric import Metric
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.metric_tables import LATE_KEYS, SCHEMA, late_table, shard_keys, shards_table

_TYPES = {"string": "string", "integer": "int64", "boolean": "boolean"}
Field = dict[str, object]


@dataclass(frozen=True, slots=True)
class Database:
    """The target database.

    `url` is JDBC's, `user` a role's name, `password` a reference for a config provider (`${file:PATH:KEY}`).
    """

    url: str
    user: str
    password: str


def metric_sinks(metric: Metric, database: Database) -> tuple[ConnectorSpec, ConnectorSpec]:
    """Return the connectors of one metric: its rows, and its late events.

    Late events have their own connector, so that a burst of them does not delay the rows. Raises ValueError for a
    password that is not a config provider reference: the REST API shows a config to anyone.
    """
    if not re.fullmatch(r"\$\{\w+:[^}]+\}", database.password):
        raise ValueError("the connector's password must be a config provider reference such as ${file:PATH:KEY}")
    cell = [*(_field(group.name, _TYPES[group.type.name]) for group in metric.groups), WINDOW, _field("shard", "int32")]
    numbers = [*(_field(measure.name, "int64") for measure in metric.measures), _field("source_offset", "int64")]
    state = [_field("late_before", "int64"), _field("revision", "int64"), _field("is_final", "boolean")]
    return (
        _sink(metric.topic, shards_table(metric), shard_keys(metric), [*cell, *numbers, *state], database),
        _sink(metric.late, late_table(metric), LATE_KEYS, [*cell, *numbers], database),
    )


WINDOW: Field = {
    "field": "window_start", "type": "int64", "optional": False, "version": 1,
    "name": "org.apache.kafka.connect.data.Timestamp",
}  # fmt: skip


def _field(name: str, kind: str) -> Field:
    return {"field": name, "type": kind, "optional": False}


def _sink(topic: str, table: str, keys: Sequence[str], fields: Sequence[Field], database: Database) -> ConnectorSpec:
    """Return a connector for plain JSON values, whose schema is in the connector's config (KIP-1054)."""
    return ConnectorSpec(
        topic,
        {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": "1",
            "topics": topic,
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            "value.converter.schema.content": json.dumps({"type": "struct", "optional": False, "fields": list(fields)}),
            "connection.url": database.url,
            "connection.username": database.user,
            "connection.password": database.password,
            # A task writes with one connection. The default pool of five used up the database's connections at 20
            # metrics.
            "connection.pool.min_size": "1",
            "connection.pool.max_size": "2",
            "insert.mode": "upsert",
            "primary.key.mode": "record_value",
            "primary.key.fields": ",".join(keys),
            "schema.evolution": "none",
            "collection.name.format": f"{SCHEMA}.{table}",
            "use.time.zone": "UTC",
            "batch.size": "5000",
            # Keep the last of several revisions of a row in one batch: the driver makes one statement of many rows,
            # and Postgres refuses to change a row twice in a statement.
            "use.reduction.buffer": "true",
            # When the database restarts, wait and reconnect.
            "connection.restart.on.errors": "true",
            "flush.max.retries": "10",
            "flush.retry.delay.ms": "1000",
            "consumer.override.isolation.level": "read_committed",
            "consumer.override.auto.offset.reset": "earliest",
            "consumer.override.max.poll.records": "5000",
            "consumer.override.session.timeout.ms": "6000",
            "consumer.override.heartbeat.interval.ms": "1500",
        },
    )
