"""The lake's own broker: one KRaft node that is its own controller."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from string import Template

from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.kafka_security import LAKE_USER, PRODUCER
from lake_assets.settings import PROJECT
from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.stack.class_archives import archive_options
from lake_assets.stack.passwords import write_private
from lake_assets.stack.programs import Program

LOGGING = PROJECT / "connectors" / "log4j2.properties"


class KafkaSetupError(LakeError):
    """Kafka could not make its data folder."""


def fill_template(name: str, into: Path, **values: object) -> Path:
    """Write the template `connectors/NAME` with its values filled in; return `into`."""
    text = Template((PROJECT / "connectors" / name).read_text("utf-8")).substitute(values)
    write_private(into, text)
    return into


def prepare_kafka(
    layout: Home,
    java: str,
    jars: Path,
    addresses: dict[str, int | str],
    listen: str = THIS_MACHINE,
    host: str = THIS_MACHINE,
) -> None:
    """Write the broker's configuration and format its storage once. Raises KafkaSetupError.

    `listen` is the address to bind, `host` the name by which clients reach it. The users' passwords are those of
    `keep_kafka_passwords`.
    """
    own, producer = (f"${{file:{layout.kafka_users}:{user}}}" for user in (LAKE_USER, PRODUCER))
    config = fill_template(
        "broker.properties",
        layout.run / "broker.properties",
        kafka_port=addresses["kafka_port"],
        controller_port=addresses["controller_port"],
        data=layout.kafka,
        listen=listen,
        host=host,
        login="org.apache.kafka.common.security.plain.PlainLoginModule required",
        own=f'username="{LAKE_USER}" password="{own}" user_{LAKE_USER}="{own}"',
        producer=f'user_{PRODUCER}="{producer}"',
        lake=LAKE_USER,
        users=layout.kafka_users,
    )
    if (layout.kafka / "meta.properties").exists():
        return
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster.startswith("-"):
        cluster = "A" + cluster[1:]  # an argument that starts with a dash would be parsed as an option
    format_storage = [
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        str(config),
    ]
    result = subprocess.run(
        [java, *_classpath(java, jars), *format_storage], capture_output=True, text=True, check=False, cwd=layout.home
    )
    if result.returncode != 0:
        messages = (result.stderr or result.stdout).strip().splitlines()
        raise KafkaSetupError(
            f"Kafka could not format '{layout.kafka}': {messages[-1] if messages else 'no reason given'}."
        )


def kafka_program(layout: Home, java: str, jars: Path) -> Program:
    return Program(
        name="kafka",
        command=(
            *(java, "-Xms256m", "-Xmx768m", *_classpath(java, jars), "kafka.Kafka"),
            str(layout.run / "broker.properties"),
        ),
        stop_seconds=20,
    )


def _classpath(java: str, jars: Path) -> tuple[str, ...]:
    archive = archive_options(java, jars, "kafka")
    return (*archive, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{jars / 'kafka'}/*")
