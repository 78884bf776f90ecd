"""Domain -> its one Kafka Connect connector: every topic of the domain into its raw table."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lake_assets.compile.topic import MAX_CONTROL_BYTES, control_topic

CATALOG = "raw"
# SQLSTATE class 57P0x of Postgres: shutdown, crash, start-up. None of them can follow a commit, so retrying on a new
# connection is safe; without them a connection from before a restart of Postgres fails the task.
_UNAVAILABLE = "57P01,57P02,57P03"
# The lake's own classes, in connectors/src.
SINK, ENVELOPE = "lake.connect.RawSink", "lake.connect.Envelope"
# All options of its Kafka clients that a connector of this project overrides (`consumer.override.…`).
CLIENT_OVERRIDES = (
    "auto.offset.reset",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.poll.records",
    "metadata.max.age.ms",
    "session.timeout.ms",
)


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """The desired state of a connector. `config` holds no secret, only references that the worker resolves."""

    name: str
    config: Mapping[str, str]


def connector_name(domain: str) -> str:
    return f"raw-{domain}"


def jdbc_catalog(url: str, user: str, password: str) -> dict[str, str]:
    """Return the sink's properties for the raw catalog in a Postgres at the JDBC `url`.

    Raises ValueError for a password that is not a config provider reference (`${file:PATH:KEY}`): the REST API shows a
    config to anyone.
    """
    if not re.fullmatch(r"\$\{\w+:[^}]+\}", password):
        raise ValueError("the connector's password must be a config provider reference such as ${file:PATH:KEY}")
    return {
        "iceberg.catalog.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "iceberg.catalog.uri": url,
        "iceberg.catalog.jdbc.user": user,
        "iceberg.catalog.jdbc.password": password,
        "iceberg.catalog.jdbc.schema-version": "V1",
        "iceberg.catalog.retryable_status_codes": _UNAVAILABLE,
    }


def glue_catalog(endpoint: str | None) -> dict[str, str]:
    """Return the sink's properties for the raw catalog in AWS Glue, at another `endpoint` than Amazon's if given."""
    custom_endpoint = {"iceberg.catalog.glue.endpoint": endpoint} if endpoint else {}
    return {"iceberg.catalog.catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog", **custom_endpoint}


def domain_connector(
    domain: str,
    *,
    catalog: Mapping[str, str],
    warehouse: str,
    bucket: Mapping[str, str],
    commit_interval_ms: int,
    tasks: int,
    kafka: Mapping[str, str],
    tables: Mapping[str, str],
    left_out: Collection[str] = (),
) -> ConnectorSpec:
    """Return the connector of one domain.

    It names no asset whose topic is <domain>.<name>, so that such an asset changes no connector. `tables` are the raw
    tables, by topic, of assets with other topics. `left_out` are topics of removed assets: they are not read although
    their names begin with the domain.

    `catalog` and `bucket` are the sink's properties for the raw catalog and for that kind of bucket. `warehouse` is the
    URL of raw in the bucket, such as `file:///…/raw`. `kafka` has the security options of a Java client: the sink has
    its own clients.
    """
    return ConnectorSpec(
        connector_name(domain),
        {
            "connector.class": SINK,
            "tasks.max": str(tasks),
            "topics.regex": "|".join([_own_topics(domain, left_out), *map(re.escape, sorted(tables))]),
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            **_record_as_row(tables),
            **_tables(),
            "iceberg.catalog": CATALOG,
            **catalog,
            "iceberg.catalog.warehouse": warehouse,
            **bucket,
            **_delivery(domain, commit_interval_ms),
            **{f"iceberg.kafka.{key}": value for key, value in kafka.items()},
        },
    )


def _own_topics(domain: str, left_out: Collection[str]) -> str:
    """Return the topics named <domain>.<name>, as Java's regular expression."""
    domain_topics = re.escape(domain) + r"\..*"
    names = sorted(re.escape(topic) for topic in left_out if topic.partition(".")[0] == domain)
    return f"(?!(?:{'|'.join(names)})$){domain_topics}" if names else domain_topics


def _record_as_row(tables: Mapping[str, str]) -> dict[str, str]:
    """Map a record to a row: value bytes become `payload`; key, headers and position become `_` columns."""
    return {
        "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "transforms": "envelope",
        "transforms.envelope.type": ENVELOPE,
        "transforms.envelope.tables": ",".join(f"{topic}:{tables[topic]}" for topic in sorted(tables)),
    }


def _tables() -> dict[str, str]:
    """Route records to tables. Without auto-create, the net under `lake apply`, records of a missing table are lost."""
    return {
        "iceberg.tables.dynamic-enabled": "true",
        "iceberg.tables.route-field": "_table",
        "iceberg.tables.auto-create-enabled": "true",
        "iceberg.tables.default-partition-by": "days(_timestamp)",
        # Each window that a commit touches has an open writer, which holds 2.3 MB of the heap with pages of 1 MiB and
        # dictionaries, the defaults, and 0.16 MB so. Files are about as large, and no slower to write.
        "iceberg.tables.write-props.write.parquet.page-size-bytes": str(64 << 10),
        "iceberg.tables.write-props.parquet.enable.dictionary": "false",
    }


def _delivery(domain: str, commit_interval_ms: int) -> dict[str, str]:
    """Return options of commits and recovery.

    With the defaults the first commit after a killed worker comes 80 s later: the dead member's session, its open
    transaction and its missing responses are each waited for in turn.
    """
    return {
        "iceberg.control.topic": control_topic(domain).name,
        "iceberg.control.commit.interval-ms": str(commit_interval_ms),
        "iceberg.control.commit.timeout-ms": "6000",
        # With the default of 1, one failed commit fails the task; this many bridge an outage of the catalog.
        "iceberg.control.commit.max-consecutive-failures": "600",
        "iceberg.kafka.auto.offset.reset": "earliest",
        "iceberg.kafka.session.timeout.ms": "6000",
        "iceberg.kafka.heartbeat.interval.ms": "1500",
        "iceberg.kafka.transaction.timeout.ms": "8000",
        "iceberg.kafka.max.request.size": str(MAX_CONTROL_BYTES),
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.session.timeout.ms": "6000",
        "consumer.override.heartbeat.interval.ms": "1500",
        # The time until a topic newer than the connector is noticed.
        "consumer.override.metadata.max.age.ms": "5000",
    }
