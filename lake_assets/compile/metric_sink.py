"""Metric -> the Kafka Connect connector that upserts its rows into the database."""

import json
import re
from dataclasses import dataclass

from lake_assets.catalog.metric import Metric
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.serving import SCHEMA, key_columns, shards_table

_TYPES = {"string": "string", "integer": "int64", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class Database:
    """Where the rows go. `url` is JDBC's; user and password are references for a config provider (`${file:PATH:KEY}`),
    or, for the user, a name."""

    url: str
    user: str
    password: str


def metric_sink(metric: Metric, database: Database) -> ConnectorSpec:
    """The connector of one metric. Values are plain JSON; their schema stands in the connector (KIP-1054).

    Raises ValueError for a password that is no config provider reference: the REST API shows a config to anyone.
    """
    if not re.fullmatch(r"\$\{\w+:[^}]+\}", database.password):
        raise ValueError("the connector's password must be a config provider reference such as ${file:PATH:KEY}")
    return ConnectorSpec(
        metric.topic,
        {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": "1",
            "topics": metric.topic,
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "true",
            "value.converter.schema.content": json.dumps(_schema(metric)),
            "connection.url": database.url,
            "connection.username": database.user,
            "connection.password": database.password,
            "insert.mode": "upsert",
            "primary.key.mode": "record_value",
            "primary.key.fields": ",".join(key_columns(metric)),
            "schema.evolution": "none",
            "collection.name.format": f"{SCHEMA}.{shards_table(metric)}",
            "use.time.zone": "UTC",
            "batch.size": "5000",
            "consumer.override.isolation.level": "read_committed",
            "consumer.override.auto.offset.reset": "earliest",
            "consumer.override.max.poll.records": "5000",
            "consumer.override.fetch.max.wait.ms": "50",
            "consumer.override.session.timeout.ms": "6000",
            "consumer.override.heartbeat.interval.ms": "1500",
        },
    )


def _schema(metric: Metric) -> dict[str, object]:
    fields = [(group.name, _TYPES[group.type.name]) for group in metric.groups]
    fields += [("shard", "int32"), ("late_offset", "int64")]
    fields += [(measure.name, "int64") for measure in metric.measures]
    fields += [("source_offset", "int64"), ("revision", "int64"), ("is_final", "boolean")]
    window = {"field": "window_start", "type": "int64", "optional": False, "version": 1,
              "name": "org.apache.kafka.connect.data.Timestamp"}  # fmt: skip
    plain: list[dict[str, object]] = [{"field": name, "type": type_, "optional": False} for name, type_ in fields]
    return {"type": "struct", "optional": False, "fields": [*plain, window]}
