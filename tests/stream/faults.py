"""What can happen to the parts that events pass through, done on purpose."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from confluent_kafka import Consumer

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.orchestration.connectors import connectors_sensor
from lake_assets.settings import Settings
from lake_assets.stack.health import check_connect, check_kafka, check_postgres
from lake_assets.stack.layout import Layout
from lake_assets.stack.supervisor import Supervisor
from stream_app.group import group_settings
from tests.stack.conditions import wait_until

# Longer than an instance's session, and than the broker keeps a transaction open without its producer.
TIMEOUTS_SECONDS = 12
PARTS = {"kafka": check_kafka, "connect": check_connect, "postgres": check_postgres}


def kill_part(settings: Settings, part: str) -> None:
    """Kills a server as a crash would; returns when its supervisor has started it again and it answers."""
    before = pid_of(settings, part)
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        return pid_of(settings, part) not in (0, before) and PARTS[part](settings) is None

    wait_until(is_back, 120)


def pid_of(settings: Settings, part: str) -> int:
    """The process of a server; 0 when it does not run."""
    return Supervisor(Layout(settings.home)).processes()[part]["pid"]


def visit(settings: Settings, asset: Asset, metric: Metric) -> None:
    """Joins a metric's group as a member that counts nothing, and leaves it when it has been given partitions."""
    visitor = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": metric.topic,
            "enable.auto.commit": False,
            **group_settings(settings.kafka),
        }
    )
    visitor.subscribe([asset.topic])
    try:
        deadline = time.monotonic() + 60
        while not visitor.assignment():
            visitor.consume(1, 0.1)
            assert time.monotonic() < deadline, "the group gave no partitions within 60 s"
    finally:
        visitor.close()


@contextmanager
def frozen(*pids: int) -> Generator[None]:
    """Processes that stand still meanwhile, and know nothing of it when they go on."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def mending(settings: Settings) -> Generator[None]:
    """What the sensor `connectors` does meanwhile, which Dagster asks every 15 seconds: sinks that failed are started
    again."""
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
