"""Faults of the parts that events pass through, made on purpose."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from confluent_kafka import Consumer

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.home import Home
from lake_assets.landing.broker import broker_options
from lake_assets.orchestration.connectors import connectors_sensor
from lake_assets.settings import Settings
from lake_assets.stack.health import check_connect, check_kafka, check_postgres
from lake_assets.stack.supervisor import Supervisor
from stream_app.group_protocol import group_settings
from tests.support.conditions import wait_until

# Longer than an instance's session, and than the broker keeps a transaction open without its producer.
TIMEOUTS_SECONDS = 12
PARTS = {"kafka": check_kafka, "connect": check_connect, "postgres": check_postgres}


def kill_part(settings: Settings, part: str) -> None:
    """Kill a server as a crash would; return when its supervisor has restarted it and it answers."""
    before = pid_of(settings, part)
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        return pid_of(settings, part) not in (0, before) and PARTS[part](settings) is None

    wait_until(is_back)


def pid_of(settings: Settings, part: str) -> int:
    """The process of a server; 0 when it does not run."""
    return Supervisor(Home(settings.home)).processes()[part]["pid"]


def visit(settings: Settings, asset: Asset, metric: Metric) -> None:
    """Join a metric's group as a member that counts nothing, and leave it when it has been given partitions."""
    visitor = Consumer(
        {
            **broker_options(settings),
            "group.id": metric.topic,
            "enable.auto.commit": False,
            **group_settings(settings),
        }
    )
    visitor.subscribe([asset.topic])

    def given() -> bool:
        visitor.consume(1, 0.1)
        return bool(visitor.assignment())

    try:
        wait_until(given, every=0)
    finally:
        visitor.close()


@contextmanager
def restarting_sinks(settings: Settings) -> Generator[None]:
    """Restart failed sinks meanwhile, as the sensor `connectors` does, which Dagster runs every 15 seconds."""
    sensor, done = connectors_sensor(settings), threading.Event()

    def ask() -> None:
        while not done.wait(2):
            sensor(dg.build_sensor_context())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
