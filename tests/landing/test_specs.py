"""Topics and connectors that an asset's landing is compiled to."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from lake_assets.compile.connector import CLIENT_OVERRIDES, ConnectorSpec, domain_connector, jdbc_catalog
from lake_assets.compile.metric_sink import Database, metric_sinks
from lake_assets.compile.raw_table import raw_table
from lake_assets.compile.topic import control_topic, topic_spec
from tests.support.metric_examples import metric, orders
from tests.support.raw_assets import example_asset

PASSWORD = "${file:/secrets/connect/postgres.properties:password}"


def connector(domain: str, tables: Mapping[str, str] | None = None) -> ConnectorSpec:
    catalog = jdbc_catalog("jdbc:postgresql://127.0.0.1:5432/lake", "connect", PASSWORD)
    return domain_connector(
        domain,
        catalog=catalog,
        warehouse="file:///raw",
        bucket={},
        commit_interval_ms=1000,
        tasks=2,
        kafka={},
        tables=tables or {},
    )


def test_a_topic_keeps_events_until_they_are_read_however_old_they_are() -> None:
    for spec in (topic_spec(example_asset("leads", partitions=7)), control_topic("crm")):
        assert spec.config["retention.ms"] == "-1"
        assert spec.config["cleanup.policy"] == "delete"
    assert topic_spec(example_asset("leads", partitions=7)).partitions == 7
    assert control_topic("crm").partitions == 1


def test_a_commit_of_thousands_of_windows_fits_into_one_control_record() -> None:
    taken, sent = control_topic("crm").config["max.message.bytes"], connector("crm").config
    assert 20_000 * 600 < int(taken) == int(sent["iceberg.kafka.max.request.size"]) < 32 << 20


def test_a_topic_refuses_times_that_no_sink_can_write() -> None:
    """Kafka Connect fails at the first record before 1970, and with it the whole domain."""
    config = topic_spec(example_asset("leads")).config
    ago = int(config["message.timestamp.before.max.ms"])
    assert datetime(1970, 1, 1, tzinfo=UTC) < datetime.now(UTC) - timedelta(milliseconds=ago)
    assert timedelta(milliseconds=ago) > timedelta(days=50 * 365)
    assert timedelta(milliseconds=int(config["message.timestamp.after.max.ms"])) == timedelta(hours=1)
    assert int(config["max.message.bytes"]) == 8 << 20


@pytest.mark.parametrize(
    ("topic", "table"),
    [("crm.leads", "leads"), ("crm.other", "other"), ("crm.EU.Leads", "leads"), ("leads", "leads"),
     ("A-b_c.d", "leads"), ("shop.leads", "leads"), ("crm.", "leads")],
)  # fmt: skip
def test_the_raw_table_has_a_name_that_every_catalog_takes(topic: str, table: str) -> None:
    assert raw_table(example_asset("leads", topic=topic)).identifier == ("crm", table)


def test_the_raw_table_is_cut_by_the_asset_s_window() -> None:
    assert raw_table(example_asset("leads", window="hour")).transform == "hour"
    assert raw_table(example_asset("leads")).transform == "day"


def test_a_connector_reads_all_topics_of_its_domain_and_no_others() -> None:
    regex = connector("crm").config["topics.regex"]
    assert re.fullmatch(regex, "crm.leads")
    assert not re.fullmatch(regex, "crmx.leads")
    assert not re.fullmatch(regex, "control-crm")
    assert not re.fullmatch(regex, "shop.crm.leads")


def test_a_connector_reads_topics_of_other_names_by_their_list() -> None:
    config = connector("crm", {"Leads.v1": "crm.leads", "a-b": "crm.b"}).config
    assert [name for name in ("crm.x", "Leads.v1", "a-b", "Leads-v1", "Leads.v12", "ab", "a-b.c")
            if re.fullmatch(config["topics.regex"], name)] == ["crm.x", "Leads.v1", "a-b"]  # fmt: skip
    assert config["transforms.envelope.tables"] == "Leads.v1:crm.leads,a-b:crm.b"


def test_a_connector_leaves_out_topics_of_removed_assets_and_no_others() -> None:
    catalog = jdbc_catalog("jdbc:postgresql://127.0.0.1:5432/lake", "connect", PASSWORD)
    left_out = ["crm.leads", "crm.a.b", "Leads.v1"]
    regex = domain_connector(
        "crm",
        catalog=catalog,
        warehouse="file:///raw",
        bucket={},
        commit_interval_ms=1000,
        tasks=2,
        kafka={},
        tables={"a-b": "crm.b"},
        left_out=left_out,
    ).config["topics.regex"]
    named = ("crm.leads", "crm.a.b", "crm.leads2", "crm.lead", "crm.aXb", "crm.x", "a-b", "Leads.v1", "shop.x")
    assert [name for name in named if re.fullmatch(regex, name)] == [
        "crm.leads2",
        "crm.lead",
        "crm.aXb",
        "crm.x",
        "a-b",
    ]


def test_connectors_of_two_domains_share_neither_name_nor_control_topic() -> None:
    one, two = connector("crm"), connector("shop")
    assert one.name != two.name
    assert one.config["iceberg.control.topic"] == control_topic("crm").name != two.config["iceberg.control.topic"]


def test_a_record_whose_table_is_missing_makes_it() -> None:
    """The sink silently drops such records without auto-create."""
    config = connector("crm").config
    assert config["iceberg.tables.auto-create-enabled"] == "true"
    assert config["iceberg.tables.default-partition-by"] == "days(_timestamp)"


def test_an_outage_of_the_catalog_fails_no_task_for_ten_minutes() -> None:
    """The sink's default is one failed commit: then the domain stands still until its connector is restarted."""
    config = connector("crm").config
    failures = int(config["iceberg.control.commit.max-consecutive-failures"])
    assert failures * int(config["iceberg.control.commit.interval-ms"]) >= 600_000


def test_the_worker_allows_the_overrides_of_our_connectors_only() -> None:
    sinks = metric_sinks(metric(orders()), Database("jdbc:postgresql://x", "connect", "${file:/x:password}"))
    keys = {key for spec in (connector("crm"), *sinks) for key in spec.config}
    overrides = {key.split(".override.")[1] for key in keys if ".override." in key}
    assert overrides == set(CLIENT_OVERRIDES)


def test_no_reader_of_a_connector_begins_at_the_end_of_a_topic() -> None:
    config = connector("crm").config
    assert config["consumer.override.auto.offset.reset"] == "earliest"
    assert config["iceberg.kafka.auto.offset.reset"] == "earliest"


@pytest.mark.parametrize("password", ["secret", "", "${file:/x:password} "])
def test_a_password_in_a_connector_s_config_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="config provider"):
        jdbc_catalog("jdbc:postgresql://127.0.0.1:5432/lake", "connect", password)
