"""The embedded broker lets in its two users only: the lake, and a producer that may write to the topics of assets."""

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # pyright: ignore[reportPrivateImportUsage]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from lake_assets.compile.topic import TopicSpec, control_topic, topic_spec
from lake_assets.home import Home
from lake_assets.landing.broker import broker_options, hangs_up, quiet, silence
from lake_assets.landing.topics import delete_topics, ensure_topics, offsets
from lake_assets.settings import PROJECT, Settings, load_settings
from lake_assets.stack import kafka, lifecycle, starting
from lake_assets.stack.addresses import read_addresses
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from lake_assets.stack.passwords import read_kafka_passwords
from lake_assets.stack.supervisor import owned_processes
from tests.support.conditions import wait_until
from tests.support.raw_assets import example_asset
from tests.support.stack_removal import end_stack

DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
SPEC = topic_spec(example_asset("guests", "access", partitions=1))
TOPIC, METRIC, CONTROL = SPEC.name, "metric-access", control_topic("access").name
Options = dict[str, str | int | float | bool]
Futures = Mapping[Any, Future[Any]]


@pytest.fixture(scope="module")
def producer(stack: Settings) -> Generator[Options]:
    """The options of the file for producers, beside a topic of an asset and two of the lake's own."""
    specs = [SPEC, TopicSpec(METRIC, 1, {}), control_topic("access")]
    ensure_topics(stack, specs)
    yield options_of(stack)
    delete_topics(stack, [spec.name for spec in specs])


def options_of(settings: Settings) -> Options:
    text = (Home(settings.home).kafka_clients("producer") / "librdkafka.properties").read_text("utf-8")
    return {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}


@pytest.mark.parametrize("port", ["kafka_port", "controller_port"])
@pytest.mark.parametrize("user", ["lake", "producer", "admin", "ANONYMOUS"])
def test_wrong_password_or_user_is_refused(stack: Settings, port: str, user: str) -> None:
    address = f"127.0.0.1:{read_addresses(Home(stack.home))[port]}"
    other = read_kafka_passwords(Home(stack.home))["lake" if user == "producer" else "producer"]
    for password in ("wrong", other):
        login = {"sasl.username": user, "sasl.password": password, "bootstrap.servers": address}
        error = silence({**broker_options(stack), **login}, 20)
        assert error
        assert error.code() == KafkaError._AUTHENTICATION, error


@pytest.mark.parametrize("port", ["kafka_port", "controller_port"])
def test_client_without_a_login_gets_no_answer(stack: Settings, port: str) -> None:
    assert first_bytes(int(read_addresses(Home(stack.home))[port]), port) == b""


def first_bytes(port: int, name: str) -> bytes:
    """Ask for a description of the cluster (API 60, version 1) at the end point of brokers or of controllers."""
    end_point = 1 if name == "kafka_port" else 2
    request = struct.pack(">hhih", 60, 1, 1, -1) + bytes([0, 0, end_point, 0])
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        try:
            return connection.recv(4)
        except ConnectionResetError:
            return b""


def test_producers_do_not_enter_the_controller(stack: Settings, producer: Options) -> None:
    address = f"127.0.0.1:{read_addresses(Home(stack.home))['controller_port']}"
    error = silence({**producer, "bootstrap.servers": address}, 20)
    assert error
    assert error.code() == KafkaError._AUTHENTICATION, error


def sent(options: Options, topic: str, **more: object) -> KafkaError | None:
    """Send one event, and return the broker's answer."""
    outcomes: list[KafkaError | None] = []
    client = Producer({**options, "topic.metadata.propagation.max.ms": 100, **more}, logger=quiet())
    client.produce(topic, b"{}", on_delivery=lambda error, _: outcomes.append(error))
    client.flush(30)
    client.close()
    [outcome] = outcomes
    return outcome


def test_producer_writes_to_the_topic_of_an_asset(stack: Settings, producer: Options) -> None:
    [(_, before)] = offsets(stack, [TOPIC])[TOPIC].values()
    assert sent(producer, TOPIC, **{"enable.idempotence": True}) is None
    file = Home(stack.home).kafka_clients("producer") / "java.properties"
    command = [find_java(), "-cp", f"{jars_folder() / 'kafka'}/*", "org.apache.kafka.tools.ConsoleProducer"]
    command += ["--bootstrap-server", stack.kafka, "--topic", TOPIC, "--command-config", str(file)]
    done = subprocess.run(command, input="{}\n", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert offsets(stack, [TOPIC])[TOPIC] == {0: (0, before + 2)}, done.stdout + done.stderr


def test_program_of_the_documentation_sends_an_event(
    stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [program] = re.findall(r"```python\n(.+?)```", (PROJECT / "docs" / "add-an-asset.md").read_text("utf-8"), re.DOTALL)
    spec = topic_spec(example_asset("deliveries", "shop", partitions=1))
    # Another test's asset has the documentation's name too, and its topic may still be there.
    ensure_topics(stack, [spec])
    before = offsets(stack, [spec.name])[spec.name]
    try:
        (tmp_path / ".lake").symlink_to(stack.home)
        monkeypatch.chdir(tmp_path)
        exec(compile(program, "docs/add-an-asset.md", "exec"), {})
        after = offsets(stack, [spec.name])[spec.name]
        assert sum(end for _, end in after.values()) == sum(end for _, end in before.values()) + 1
    finally:
        delete_topics(stack, [spec.name])


def test_producer_sees_no_topic_but_those_of_assets(stack: Settings, producer: Options) -> None:
    every = set(AdminClient(broker_options(stack)).list_topics(timeout=30).topics)
    assert {TOPIC, METRIC, "connect-configs"} <= every
    seen = set(AdminClient(producer, logger=quiet()).list_topics(timeout=30).topics)
    assert TOPIC in seen
    assert not [topic for topic in seen if topic.startswith(("metric-", "control-", "connect-", "__"))]


@pytest.mark.parametrize("topic", ["connect-configs", "connect-offsets", METRIC, CONTROL, "__consumer_offsets"])
def test_producer_writes_to_no_topic_of_the_lake_itself(producer: Options, topic: str) -> None:
    error = sent(producer, topic)
    assert error
    assert error.code() in DENIED, error


def rights_of_the_lake(admin: AdminClient) -> Futures:
    arguments = (ResourceType.TOPIC, METRIC, ResourcePatternType.LITERAL, "User:producer", "*")
    return admin.create_acls([AclBinding(*arguments, AclOperation.ALL, AclPermissionType.ALLOW)])


def other_retention(admin: AdminClient) -> Futures:
    entry = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])
    return admin.incremental_alter_configs([resource])


REQUESTS: dict[str, Callable[[AdminClient], Futures]] = {
    "create a topic": lambda admin: admin.create_topics([NewTopic("access.mine", 1, 1)]),
    "delete a topic": lambda admin: admin.delete_topics([TOPIC]),
    "change a topic": other_retention,
    "describe the broker": lambda admin: admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")]),
    "describe a topic": lambda admin: admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC)]),
    "give itself rights": rights_of_the_lake,
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_producer_administers_nothing(
    stack: Settings, producer: Options, request_: Callable[[AdminClient], Futures]
) -> None:
    admin = AdminClient(producer, logger=quiet())
    [future] = request_(admin).values()
    with pytest.raises(KafkaException) as refused:
        future.result(30)
    assert refused.value.args[0].code() in DENIED, refused.value
    assert "access.mine" not in AdminClient(broker_options(stack)).list_topics(timeout=30).topics


def test_producer_does_not_learn_who_has_which_rights(stack: Settings, producer: Options) -> None:
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    lake, other = AdminClient(broker_options(stack)), AdminClient(producer, logger=quiet())
    assert TOPIC in {rule.name for rule in lake.describe_acls(every).result(30)}
    # The broker refuses, and librdkafka gives its refusal as an empty list.
    assert other.describe_acls(every).result(30) == []


def test_producer_uses_no_transaction_of_a_metric(producer: Options) -> None:
    client = Producer({**producer, "transactional.id": f"{METRIC}-one"}, logger=quiet())
    with pytest.raises(KafkaException) as refused:
        client.init_transactions(20)
    assert refused.value.args[0].code() in DENIED, refused.value


def test_producer_reads_no_topic_not_even_its_own(producer: Options) -> None:
    consumer = Consumer({**producer, "group.id": "access"}, logger=quiet())
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    try:
        message = consumer.poll(30)
        assert message
        error = message.error()
        assert error
        assert error.code() in DENIED, error
    finally:
        consumer.close()


def test_broker_shows_no_password_of_its_users(stack: Settings) -> None:
    resource = ConfigResource(ConfigResource.Type.BROKER, "1")
    admin = AdminClient(broker_options(stack))
    [future] = admin.describe_configs([resource]).values()
    shown = {name: entry.value for name, entry in future.result(30).items()}
    assert "StandardAuthorizer" in str(shown["authorizer.class.name"])
    for password in read_kafka_passwords(Home(stack.home)).values():
        assert password not in str(shown)


# The listeners of the version before, which let in every user of the machine.
OPEN = """\
listeners=PLAINTEXT://${listen}:${kafka_port},CONTROLLER://127.0.0.1:${controller_port}
advertised.listeners=PLAINTEXT://${host}:${kafka_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
"""


@pytest.mark.server
def test_older_lake_keeps_its_topics_and_offsets_and_gets_passwords(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("lake")
    monkeypatch.setenv("LAKE_HOME", str(home))
    try:
        with monkeypatch.context() as older:
            template = (kafka.PROJECT / "connectors" / "broker.properties").read_text("utf-8")
            names = tuple(line.partition("=")[0] for line in OPEN.splitlines())
            lines = [
                line
                for line in template.splitlines(keepends=True)
                if not line.startswith((*names, "sasl.", "listener.name.", "config.providers", "authorizer.", "super."))
            ]
            (home / "old" / "connectors").mkdir(parents=True)
            (home / "old" / "connectors" / "broker.properties").write_text("".join([*lines, OPEN]), "utf-8")
            worker = kafka.PROJECT / "connectors" / "worker.properties"
            shutil.copy(worker, home / "old" / "connectors")
            older.setattr(kafka, "PROJECT", home / "old")
            older.setattr(starting, "LAKE_USER", "")
            lifecycle.up(parts=["kafka"])
            before = load_settings()
            assert broker_options(before) == {"bootstrap.servers": before.kafka}
            ensure_topics(before, [SPEC])
            assert sent({"bootstrap.servers": before.kafka}, TOPIC) is None
            assert first_bytes(int(before.kafka.rpartition(":")[2]), "kafka_port") != b""
            commit_offset(before)
            [pid] = pids(before)
        lifecycle.up(parts=["kafka"])
        settings = load_settings()
        assert pids(settings) not in ([pid], [])
        error = silence({"bootstrap.servers": settings.kafka}, 5)
        assert error
        assert hangs_up(error)
        assert first_bytes(int(settings.kafka.rpartition(":")[2]), "kafka_port") == b""
        assert offsets(settings, [TOPIC]) == {TOPIC: {0: (0, 1)}}
        assert committed(settings) == 1
        refusal = sent(options_of(settings), TOPIC)
        assert refusal
        assert refusal.code() in DENIED
        [report] = ensure_topics(settings, [SPEC])
        assert (report.outcome, report.is_closed) == ("unchanged", True)
        wait_until(lambda: sent(options_of(settings), TOPIC) is None, 30)
    finally:
        end_stack(home)


def pids(settings: Settings) -> list[int]:
    return [process.pid for process in owned_processes(Home(settings.home)) if process.name() == "java"]


def commit_offset(settings: Settings) -> None:
    consumer = Consumer({**broker_options(settings), "group.id": "reader"}, logger=quiet())
    deadline = time.monotonic() + 60
    while True:
        try:
            consumer.commit(offsets=[TopicPartition(TOPIC, 0, 1)], asynchronous=False)
            break
        except KafkaException:  # the topic of offsets is being created
            if time.monotonic() > deadline:
                raise
    consumer.close()


def committed(settings: Settings) -> int:
    consumer = Consumer({**broker_options(settings), "group.id": "reader"}, logger=quiet())
    try:
        return consumer.committed([TopicPartition(TOPIC, 0)], timeout=60)[0].offset
    finally:
        consumer.close()
