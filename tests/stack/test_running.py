"""The running stack of the session: who may do what, what is written where, and what happens when a part is killed."""

import json
import os
import signal
import time
from collections.abc import Callable

import psutil
import psycopg
import pytest

from lake_assets.home import Home
from lake_assets.landing.broker import broker_options
from lake_assets.landing.connect import rest_access
from lake_assets.settings import Role, Settings
from lake_assets.stack.lifecycle import PartStatus, status, up
from lake_assets.stack.passwords import passfile_of, read_kafka_passwords, read_passwords
from lake_assets.stack.supervisor import owned_processes
from tests.support.conditions import PROMISED_SECONDS, wait_until
from tests.support.connect_api import restart_connectors

SERVERS = ("postgres", "kafka", "connect")


def servers() -> dict[str, PartStatus]:
    return {part.name: part for part in status() if part.name in SERVERS}


def all_answer() -> bool:
    return all(part.health is None for part in servers().values())


def refused(settings: Settings, role: Role, statement: str, database: str | None = None) -> str:
    """Return the server's error when `role` tries the statement, which must fail for missing rights."""
    refusal = (psycopg.errors.InsufficientPrivilege, psycopg.OperationalError)
    conninfo = settings.postgres.conninfo(role, database)
    with pytest.raises(refusal) as failure, psycopg.connect(conninfo) as connection:
        connection.execute(statement)  # type: ignore[arg-type]
    return str(failure.value)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from raw.iceberg_tables",
        "create table public.mine (x int)",
        "create temporary table mine (x int)",
        "create schema mine",
        "select pg_read_file('pg_hba.conf')",
        "select rolpassword from pg_authid",
        "set role lake",
    ],
)
def test_an_analyst_may_log_in_and_nothing_else(stack: Settings, statement: str) -> None:
    with psycopg.connect(stack.postgres.conninfo("analyst")) as connection:
        assert connection.execute("select current_user").fetchone() == ("analyst",)
    assert "permission denied" in refused(stack, "analyst", statement)


@pytest.mark.parametrize("database", ["dagster", "postgres", "template1"])
def test_an_analyst_enters_no_other_database(stack: Settings, database: str) -> None:
    assert "permission denied for database" in refused(stack, "analyst", "select 1", database)


def test_the_sink_may_change_its_two_catalog_tables_and_nothing_else(stack: Settings) -> None:
    with psycopg.connect(stack.postgres.conninfo("connect")) as connection:
        # No schema is named: Iceberg's own statements name none either.
        connection.execute("insert into iceberg_namespace_properties values ('t', 'n', 'exists', 'true')")
        connection.execute("delete from iceberg_namespace_properties where catalog_name = 't'")
        connection.execute(
            "insert into iceberg_tables (catalog_name, table_namespace, table_name) values ('t', 'n', 'x')"
        )
        connection.execute("update iceberg_tables set iceberg_type = 'TABLE' where catalog_name = 't'")
        connection.rollback()
    with psycopg.connect(stack.postgres.conninfo("lake"), autocommit=True) as owner:
        owner.execute("create schema if not exists ledger_of_this_test")
        owner.execute("create table if not exists ledger_of_this_test.windows (x int)")
    for statement in (
        "create table raw.mine (x int)",
        "drop table raw.iceberg_tables",
        "select * from ledger_of_this_test.windows",
        "create schema mine",
        "set role lake",
    ):
        message = refused(stack, "connect", statement)
        assert "permission denied" in message or "must be owner" in message


def test_pyiceberg_and_the_sink_share_one_catalog(stack: Settings) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    url = stack.postgres.url("lake", "postgresql+psycopg", options="-csearch_path=raw")
    catalog = SqlCatalog("raw", uri=url, warehouse=stack.raw_warehouse, init_catalog_tables="false")
    catalog.create_namespace_if_not_exists("shared")
    with psycopg.connect(stack.postgres.conninfo("connect")) as connection:
        found = connection.execute("select 1 from iceberg_namespace_properties where namespace = 'shared'").fetchone()
    assert found == (1,)
    catalog.drop_namespace("shared")


def test_no_password_is_in_a_process_a_log_or_a_configuration_file(stack: Settings) -> None:
    layout = Home(stack.home)
    passwords = read_passwords(layout) | {f"{u} of Kafka": p for u, p in read_kafka_passwords(layout).items()}
    assert len(passwords) == 8
    places = {
        f"{process.pid} {process.name()}": " ".join([*process.cmdline(), *process.environ().values()])
        for process in owned_processes(layout)
    }
    assert {"postgres", "java"} <= {name.split()[1] for name in places}
    written = [*layout.logs.iterdir(), *layout.run.iterdir(), *layout.dagster.iterdir(), layout.stack_file]
    places |= {str(path): path.read_text("utf-8", "replace") for path in written if path.is_file()}
    for role, password in passwords.items():
        assert [place for place, text in places.items() if password in text] == [], role


def test_servers_listen_on_this_machine_only(stack: Settings) -> None:
    pids = {process.pid for process in owned_processes(Home(stack.home))}
    listening = [c for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.pid in pids]
    assert len(listening) >= 4  # Postgres, Kafka, its controller, Connect
    assert {c.laddr[0].removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


def test_up_again_leaves_running_parts_alone(stack: Settings) -> None:
    before = {name: part.pid for name, part in servers().items()}
    addresses = json.loads((stack.home / "stack.json").read_text("utf-8"))
    up(parts=SERVERS)
    assert {name: part.pid for name, part in servers().items()} == before
    assert json.loads((stack.home / "stack.json").read_text("utf-8")) == addresses


@pytest.mark.fault("Postgres, broker or worker is killed -9", "its supervisor starts it again")
@pytest.mark.parametrize("part", SERVERS)
def test_a_killed_part_comes_back_by_itself(stack: Settings, part: str, record_property: Callable[..., None]) -> None:
    wait_until(all_answer)
    pid = servers()[part].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    answered = wait_until(lambda: servers()[part].pid not in (pid, None) and all_answer(), PROMISED_SECONDS)
    record_property("all answer", answered)
    restart_connectors(stack)


def test_connect_reads_a_password_where_a_connector_names_it(stack: Settings) -> None:
    """A connector's configuration with `${file:...}` is accepted and shown as it was written."""
    import requests

    secret = f"${{file:{Home(stack.home).connect_secrets / 'postgres.properties'}:password}}"
    config = {
        "connector.class": "org.apache.iceberg.connect.IcebergSinkConnector",
        "topics": "nothing",
        "iceberg.catalog": "raw",
        "iceberg.catalog.jdbc.password": secret,
    }
    plugin = f"{stack.connect}/connector-plugins/IcebergSinkConnector/config/validate"
    access = rest_access(stack)
    answer = requests.put(plugin, json=config, timeout=30, **access)
    assert answer.status_code == 200, answer.text
    assert read_passwords(Home(stack.home))["connect"] not in answer.text
    plugins = {
        plugin["class"] for plugin in requests.get(f"{stack.connect}/connector-plugins", timeout=30, **access).json()
    }
    assert {
        "org.apache.iceberg.connect.IcebergSinkConnector",
        "io.debezium.connector.jdbc.JdbcSinkConnector",
    } <= plugins


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/connectors"),
        ("PUT", "/connectors/mine/config"),
        ("DELETE", "/connectors/mine"),
        ("PUT", "/connector-plugins/IcebergSinkConnector/config/validate"),
        ("PATCH", "/connectors/mine/offsets"),
        ("PUT", "/admin/loggers/root"),
    ],
)
def test_connect_answers_only_with_its_password(stack: Settings, method: str, path: str) -> None:
    import requests

    passwords = Home(stack.home).connect_secrets / "postgres.properties"
    body = {"connector.class": "x", "name": f"${{file:{passwords}:user}}"}
    for auth in (None, ("lake", "wrong"), ("", "")):
        answer = requests.request(method, stack.connect + path, json=body, timeout=30, auth=auth)
        assert answer.status_code == requests.codes.unauthorized, answer.text
        assert "connect" not in answer.text.lower().replace("kafka connect", "")


def test_no_connector_reads_the_password_of_connect_itself(stack: Settings) -> None:
    import requests

    access = rest_access(stack)
    config = {"connector.class": "x", "name": f"${{file:{Home(stack.home).rest_password}:lake}}"}
    plugin = f"{stack.connect}/connector-plugins/IcebergSinkConnector/config/validate"
    answer = requests.put(plugin, json=config, timeout=30, **access)
    assert access["auth"]
    assert access["auth"][1] not in answer.text
    outside = {**config, "name": f"${{file:{passfile_of(Home(stack.home), 'lake')}:127.0.0.1}}"}
    answer = requests.put(plugin, json=outside, timeout=30, **access)
    assert not [role for role, password in read_passwords(Home(stack.home)).items() if password in answer.text]


@pytest.mark.parametrize("option", ["bootstrap.servers", "sasl.jaas.config", "group.id"])
def test_no_connector_replaces_where_its_clients_connect(stack: Settings, option: str) -> None:
    import requests

    config = {
        "name": "mine",
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "topics": "nothing",
        "connection.url": "jdbc:postgresql://127.0.0.1/x",
        f"consumer.override.{option}": "elsewhere:9092",
    }
    answer = requests.put(f"{stack.connect}/connectors/mine/config", json=config, timeout=30, **rest_access(stack))
    assert answer.status_code == requests.codes.bad_request
    assert option in answer.text


@pytest.mark.fault("an event from the future", "the broker refuses it")
def test_the_broker_refuses_events_from_the_future_and_unknown_topics(stack: Settings) -> None:
    from confluent_kafka import KafkaError, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient(broker_options(stack))
    admin.create_topics([NewTopic("stack.clock", 1, 1)])["stack.clock"].result(30)
    outcomes: list[KafkaError | None] = []
    producer = Producer({**broker_options(stack), "topic.metadata.propagation.max.ms": 2000})
    now = int(time.time() * 1000)
    for topic, timestamp in (
        ("stack.clock", now - 400 * 86_400_000),
        ("stack.clock", now + 2 * 3_600_000),
        ("stack.tpyo", now),
    ):
        producer.produce(topic, b"x", timestamp=timestamp, on_delivery=lambda error, _: outcomes.append(error))
        producer.flush(30)
    producer.close()
    old, future, unknown = (error and error.code() for error in outcomes)
    assert (old, future) == (None, KafkaError.INVALID_TIMESTAMP)
    assert unknown in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
