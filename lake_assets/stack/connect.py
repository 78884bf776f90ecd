"""The Kafka Connect worker."""

from collections.abc import Mapping
from pathlib import Path

from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.stack.kafka import LOGGING, fill_template
from lake_assets.stack.layout import Layout
from lake_assets.stack.programs import Program

# The worker's own clients, and those that it makes for connectors.
CLIENTS = ("", "producer.", "consumer.", "admin.")


def prepare_connect(
    layout: Layout,
    jars: Path,
    kafka: str,
    port: int,
    listen: str = THIS_MACHINE,
    host: str = THIS_MACHINE,
    security: Mapping[str, str] | None = None,
) -> None:
    """Write its configuration: `kafka` is the broker, `listen` what it binds, `host` how other workers find it.
    `security` is what its clients are told of the broker's, None for an open one."""
    options = {f"{client}{key}": value for client in CLIENTS for key, value in (security or {}).items()}
    fill_template(
        "worker.properties",
        layout.run / "worker.properties",
        kafka=kafka,
        connect_port=port,
        listen=listen,
        host=host,
        plugins=jars / "plugins",
        secrets=layout.connect_secrets,
        # A backslash would begin an escape.
        security="\n".join(f"{key}={value}".replace("\\", "\\\\") for key, value in options.items()),
    )


def connect_program(layout: Layout, java: str, jars: Path, properties: tuple[str, ...] = ()) -> Program:
    """No `needs`: the worker takes seconds to load its plugins and then waits for the broker by itself. `properties`
    are more options of its virtual machine."""
    logging = f"-Dlog4j2.configurationFile={LOGGING}"
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    return Program(
        name="connect",
        command=(
            *(java, "-Xms256m", "-Xmx1g", logging, *properties),
            *("-cp", f"{jars / 'kafka'}/*", main),
            str(layout.run / "worker.properties"),
        ),
        # Run in its home: Hadoop's file system makes its temporary folders relative to it.
        directory=layout.home,
        stop_seconds=15,
    )
