"""The Kafka Connect worker."""

from pathlib import Path

from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.stack.kafka import LOGGING, fill_template
from lake_assets.stack.layout import Layout
from lake_assets.stack.programs import Program


def prepare_connect(
    layout: Layout, jars: Path, kafka: str, port: int, listen: str = THIS_MACHINE, host: str = THIS_MACHINE
) -> None:
    """Write its configuration: `kafka` is the broker, `listen` what it binds, `host` how other workers find it."""
    fill_template(
        "worker.properties",
        layout.run / "worker.properties",
        kafka=kafka,
        connect_port=port,
        listen=listen,
        host=host,
        plugins=jars / "plugins",
        secrets=layout.connect_secrets,
    )


def connect_program(layout: Layout, java: str, jars: Path) -> Program:
    """No `needs`: the worker takes seconds to load its plugins and then waits for the broker by itself."""
    logging = f"-Dlog4j2.configurationFile={LOGGING}"
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    return Program(
        name="connect",
        command=(
            *(java, "-Xms256m", "-Xmx1g", logging, "-cp", f"{jars / 'kafka'}/*", main),
            str(layout.run / "worker.properties"),
        ),
        # Run in its home: Hadoop's file system makes its temporary folders relative to it.
        directory=layout.home,
        stop_seconds=15,
    )
