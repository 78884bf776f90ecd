"""Topics, raw tables and connectors: made once, compared without a change, and clear when they cannot be made."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.raw_table import raw_table
from lake_assets.compile.topic import TopicSpec, control_topic, topic_spec
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.landing import acls, topics
from lake_assets.landing.broker import broker_error, client_config, quiet
from lake_assets.landing.changes import changes
from lake_assets.landing.connect import (
    ConnectorFailed,
    config_differences,
    connector_for,
    connector_status,
    ensure_connector,
    ensure_connectors,
    restart_failed,
)
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.raw_tables import compare_raw_tables, ensure_raw_tables
from lake_assets.landing.topics import compare_topics, delete_topics, ensure_topics, offsets
from lake_assets.settings import Settings, load_settings
from tests.support.conditions import wait_until
from tests.support.connect_api import ask
from tests.support.raw_assets import example_asset

REQUESTS = ("create_topics", "incremental_alter_configs", "delete_topics", "create_acls", "delete_acls")


def test_topics_are_made_once_and_comparing_makes_nothing(stack: Settings) -> None:
    specs = [topic_spec(example_asset("first", "topics")), topic_spec(example_asset("second", "topics", partitions=2))]
    assert [report.outcome for report in compare_topics(stack, specs)] == ["created", "created"]
    assert offsets(stack, ["topics.first"]) == {}
    assert [report.outcome for report in ensure_topics(stack, specs)] == ["created", "created"]
    assert [report.outcome for report in ensure_topics(stack, specs)] == ["unchanged", "unchanged"]
    assert offsets(stack, ["topics.second", "topics.nothing"]) == {"topics.second": {0: (0, 0), 1: (0, 0)}}


def test_no_request_names_more_topics_than_a_piece(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, list[int]] = {}

    class Admin(AdminClient):
        def __getattribute__(self, name: str) -> Any:
            call = super().__getattribute__(name)
            if name not in (*REQUESTS, "describe_configs"):
                return call

            def counting(named: Sequence[Any], **options: Any) -> Any:
                sizes.setdefault(name, []).append(len(named))
                return call(named, **options)

            return counting

    monkeypatch.setattr(topics, "PIECE", 5)
    monkeypatch.setattr(acls, "PIECE", 5)
    monkeypatch.setattr(topics, "admin", lambda settings: Admin(client_config(settings), logger=quiet()))
    specs = [TopicSpec(f"pieces.{number:02}", 1, {"retention.ms": "1000"}, for_producers=True) for number in range(12)]
    longer = [replace(spec, config={"retention.ms": "2000"}) for spec in specs]
    assert {report.outcome for report in ensure_topics(stack, specs)} == {"created"}
    assert {report.outcome for report in ensure_topics(stack, longer)} == {"updated"}
    assert {report.outcome for report in compare_topics(stack, longer)} == {"unchanged"}
    delete_topics(stack, [spec.name for spec in specs])
    assert offsets(stack, [spec.name for spec in specs]) == {}
    described = sizes.pop("describe_configs")
    assert sizes == {key: [5, 5, 2] for key in REQUESTS}
    assert described == [5, 5, 2] * 2


def test_topic_of_an_asset_is_opened_to_producers_and_closed_with_it(stack: Settings) -> None:
    spec, own = topic_spec(example_asset("opened", "topics")), control_topic("topics")
    delete_topics(stack, [spec.name, own.name])
    assert [report.is_closed for report in compare_topics(stack, [spec, own])] == [True, False]
    closed = replace(stack, kafka_producer="")
    assert [report.is_closed for report in ensure_topics(closed, [spec, own])] == [False, False]
    assert [report.is_closed for report in ensure_topics(stack, [spec, own])] == [True, False]
    assert writable(stack) >= {spec.name}
    assert [report.is_closed for report in compare_topics(stack, [spec, own])] == [False, False]
    delete_topics(stack, [spec.name, own.name])
    assert spec.name not in writable(stack)


def writable(settings: Settings) -> set[str]:
    return acls.writable_topics(topics.admin(settings), settings.kafka_producer)


def test_no_request_makes_more_records_than_a_controller_takes() -> None:
    specs = [
        TopicSpec(f"wide.{number}", partitions, {"a": "b"}) for number, partitions in enumerate([1500] * 5 + [9000, 1])
    ]
    pieces = list(topics._pieces(specs))
    assert [spec for piece in pieces for spec in piece] == specs
    assert [len(piece) for piece in pieces] == [2, 2, 1, 1, 1]


def test_a_topic_s_config_is_restored_and_its_partitions_are_only_reported(stack: Settings) -> None:
    spec = topic_spec(example_asset("changing", "topics"))
    ensure_topics(stack, [TopicSpec(spec.name, spec.partitions, {"retention.ms": "1000"})])
    (report,) = ensure_topics(stack, [spec])
    assert report.outcome == "updated"
    assert "retention.ms is 1000, not -1" in report.differences
    assert compare_topics(stack, [spec])[0].outcome == "unchanged"
    (report,) = ensure_topics(stack, [TopicSpec(spec.name, 9, spec.config)])
    assert report.outcome == "differs"
    assert report.differences[0].startswith("4 partitions, not 9")
    assert len(offsets(stack, [spec.name])[spec.name]) == 4


def test_raw_tables_are_created_once_and_their_properties_restored(stack: Settings) -> None:
    spec = raw_table(example_asset("made", "tables"))
    assert compare_raw_tables(stack, [spec])[0].outcome == "created"
    assert compare_raw_tables(stack, [spec])[0].outcome == "created"
    assert ensure_raw_tables(stack, [spec])[0].outcome == "created"
    assert ensure_raw_tables(stack, [spec])[0].outcome == "unchanged"
    changed = replace(spec, properties={**spec.properties, "write.parquet.compression-codec": "gzip"})
    assert ensure_raw_tables(stack, [changed])[0].outcome == "updated"
    assert ensure_raw_tables(stack, [changed])[0].outcome == "unchanged"
    with raw_catalog(stack) as catalog:
        table = catalog.load_table(spec.identifier)
    assert table.metadata.format_version == 2
    assert [field.name for field in table.schema().fields] == [
        "payload",
        "_topic",
        "_partition",
        "_offset",
        "_timestamp",
        "_key",
        "_headers",
    ]


def test_another_window_than_the_table_s_is_only_reported(stack: Settings) -> None:
    ensure_raw_tables(stack, [raw_table(example_asset("cut", "tables"))])
    (report,) = ensure_raw_tables(stack, [raw_table(example_asset("cut", "tables", window="hour"))])
    assert report.outcome == "differs"
    assert "partitioned by day, not by hour" in report.differences[0]


def test_a_connector_is_updated_only_when_its_config_differs(lake: Settings) -> None:
    spec = connector_for(lake, "crm")
    assert config_differences(lake, spec) == {}
    assert ensure_connector(lake, spec) == "unchanged"
    changed = replace(spec, config={**spec.config, "iceberg.control.commit.interval-ms": "1500"})
    assert config_differences(lake, changed) == {"iceberg.control.commit.interval-ms": ("1000", "1500")}
    assert ensure_connector(lake, changed) == "updated"
    assert ensure_connector(lake, spec) == "updated"
    status = connector_status(lake, spec.name)
    assert status is not None
    assert status.running
    assert len(status.tasks) == 1
    assert connector_status(lake, "nothing") is None
    assert config_differences(lake, replace(spec, name="nothing")) is None


def test_no_password_can_be_read_from_the_connector(lake: Settings) -> None:
    password = (lake.home / "secrets/connect/postgres.properties").read_text("utf-8").split("password=")[1].strip()
    name = connector_for(lake, "crm").name
    for path in ("config", "tasks", "status", ""):
        shown = ask(lake, "GET", f"/connectors/{name}/{path}").text
        assert shown
        assert password not in shown


def test_a_failed_task_is_named_with_its_cause_and_runs_once_it_is_fixed(stack: Settings) -> None:
    good = connector_for(stack, "broken")
    ensure_topics(stack, [TopicSpec("control-broken", 1, {}), topic_spec(example_asset("one", "broken"))])
    bad = ConnectorSpec(good.name, {**good.config, "iceberg.catalog.catalog-impl": "no.such.Catalog"})
    with pytest.raises(ConnectorFailed, match=r"task \d of connector 'raw-broken' failed: .*no\.such\.Catalog"):
        ensure_connector(stack, bad)
    assert restart_failed(stack, good.name)
    assert ensure_connector(stack, good) == "updated"

    def runs() -> bool:
        found = connector_status(stack, good.name)
        return found is not None and found.running

    wait_until(runs)
    assert not restart_failed(stack, good.name)
    ask(stack, "DELETE", f"/connectors/{good.name}")


def test_new_topics_are_there_for_a_producer_that_starts_at_once(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, looks = TopicSpec("apply.late", 1, {}), list[bool]()
    listed = topics._partitions

    def late(client: Any) -> dict[str, int]:
        counts = listed(client)
        looks.append(spec.name in counts)
        # The broker lists it two looks late.
        return {name: count for name, count in counts.items() if name != spec.name or sum(looks) > 2}

    monkeypatch.setattr(topics, "_partitions", late)
    ensure_topics(stack, [spec])
    assert spec.name in topics._partitions(topics.admin(stack))


def test_a_connector_that_fails_keeps_no_other_from_running(stack: Settings) -> None:
    specs = [connector_for(stack, name) for name in ("broken", "sound")]
    ensure_topics(stack, [TopicSpec(f"control-{name}", 1, {}) for name in ("broken", "sound")])
    ensure_topics(stack, [topic_spec(example_asset("one", name)) for name in ("broken", "sound")])
    bad = ConnectorSpec(specs[0].name, {**specs[0].config, "iceberg.catalog.catalog-impl": "no.such.Catalog"})
    refused = ConnectorSpec("raw-refused", {"connector.class": "no.such.Connector"})
    with pytest.raises(ConnectorFailed, match=r"(?s)no\.such\.Connector.*'raw-broken' failed: .*no\.such\.Catalog"):
        ensure_connectors(stack, [refused, bad, specs[1]], lambda _: None)
    status = connector_status(stack, specs[1].name)
    assert status is not None
    assert status.running
    for spec in specs:
        ask(stack, "DELETE", f"/connectors/{spec.name}")


def test_a_refused_config_is_shown_with_connect_s_own_words(stack: Settings) -> None:
    spec = ConnectorSpec("raw-refused", {"connector.class": "no.such.Connector"})
    with pytest.raises(LakeError, match=r"no\.such\.Connector"):
        ensure_connector(stack, spec)


def test_parts_that_do_not_answer_are_named_in_time() -> None:
    nowhere = load_settings()
    none_yet = replace(
        nowhere, kafka="127.0.0.1:0", connect="http://127.0.0.1:0", postgres=replace(nowhere.postgres, port=0)
    )
    dead = replace(
        nowhere, kafka="127.0.0.1:1", connect="http://127.0.0.1:1", postgres=replace(nowhere.postgres, port=1)
    )
    asset = example_asset("leads")
    for settings, words in ((none_yet, "yet"), (dead, "does not answer")):
        began = time.monotonic()
        with pytest.raises(Unavailable, match=f"Kafka broker.*{words}.*lake up"):
            compare_topics(settings, [topic_spec(asset)])
        with pytest.raises(Unavailable, match=f"Kafka Connect.*{words}.*lake up"):
            config_differences(settings, connector_for(settings, "crm"))
        with pytest.raises(Unavailable, match=f"Postgres.*{words}.*lake up"):
            changes(settings, [asset], {})
        with pytest.raises(Unavailable, match=f"Postgres.*{words}.*lake up"):
            compare_raw_tables(settings, [raw_table(asset)])
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("code", [KafkaError.FENCED_LEADER_EPOCH, KafkaError.NOT_LEADER_FOR_PARTITION])
def test_a_broker_that_has_just_started_is_asked_again_and_does_not_refuse(code: int) -> None:
    """`lake run` ended as if what it asked were wrong, when the broker was killed while it asked."""
    error = broker_error(load_settings(), KafkaError(code), "list offsets")
    assert isinstance(error, Unavailable)
    assert "try again in a moment" in str(error)


def test_a_broker_that_dies_amid_a_login_has_not_refused_the_lake() -> None:
    """`lake run` ended as if its password were wrong, when the broker was killed while it logged in."""
    words = (
        "SASL PLAIN mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms: (n/a)"
    )
    error = broker_error(load_settings(), KafkaError(KafkaError._AUTHENTICATION, words), "list offsets")
    assert isinstance(error, Unavailable)
    assert "does not answer" in str(error)
    words = "SASL authentication error: Authentication failed: Invalid username or password"
    error = broker_error(load_settings(), KafkaError(KafkaError._AUTHENTICATION, words), "list offsets")
    assert isinstance(error, SettingsError)
    assert "does not let in user" in str(error)


def test_the_commit_interval_of_a_sink_is_a_setting_with_target_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {"local": 1, "aws": 300, "gcp": 300}
    monkeypatch.setenv("LAKE_GCP_PROJECT", "project")
    monkeypatch.setenv("LAKE_GCP_LOCATION", "EU")
    for target, seconds in defaults.items():
        monkeypatch.setenv("LAKE_TARGET", target)
        assert load_settings().commit_seconds == seconds
    monkeypatch.setenv("LAKE_TARGET", "local")
    monkeypatch.setenv("LAKE_COMMIT_SECONDS", "900")
    assert connector_for(load_settings(), "shop").config["iceberg.control.commit.interval-ms"] == "900000"
    for wrong in ("0", "soon", "-5"):
        monkeypatch.setenv("LAKE_COMMIT_SECONDS", wrong)
        with pytest.raises(SettingsError, match=f"LAKE_COMMIT_SECONDS is '{wrong}': it must be a whole number"):
            load_settings()
