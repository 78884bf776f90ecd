"""An applied metric over a topic of its own, and instances of the application as processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import NOTHING
from lake_assets.compile.topic import topic_spec
from lake_assets.errors import LakeError
from lake_assets.landing.broker import broker_options
from lake_assets.landing.topics import ensure_topics, offsets
from lake_assets.operations.apply_metrics import apply_metrics, plan_metrics
from lake_assets.orchestration.connectors import connectors_sensor
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings
from tests.support.conditions import wait_until
from tests.support.metric_examples import CONTRACT, METRIC

GRACE_SECONDS = 5


@dataclass
class Instances:
    """Processes of `python -m stream_app` for one metric; `stop_all` ends those that are left."""

    settings: Settings
    catalog: Path
    metric: Metric
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        environment = {**os.environ, "LAKE_HOME": str(self.settings.home), "LAKE_CATALOG": str(self.catalog)}
        for name in names:
            command = [sys.executable, "-X", "faulthandler", "-m", "stream_app", self.metric.name, "--instance", name]
            with self.log(name).open("ab") as log:
                self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=PROJECT)

    def log(self, name: str) -> Path:
        return self.catalog / f"{name}.log"

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def stop(self, name: str, seconds: float = GRACE_SECONDS) -> int:
        """The exit code of an instance that was asked to end; fails when it takes longer than it may."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds)

    def stop_all(self) -> None:
        """Each leaves in its log where its threads are, for a test that waited for it in vain."""
        for name, process in list(self.processes.items()):
            process.send_signal(signal.SIGABRT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill(name)
        self.processes.clear()

    def numbers(self, name: str) -> dict[str, Any]:
        path = self.settings.home / "run" / "stream" / f"{self.metric.table}-{name}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def ended(self) -> list[str]:
        """Return the instances that ended without being asked to."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def restart_ended(self) -> None:
        """Restart instances that ended, as a supervisor does."""
        self.start(*self.ended())


@dataclass
class Counted:
    """An applied metric: its source's topic, its table in the database."""

    settings: Settings
    asset: Asset
    metric: Metric
    instances: Instances

    def query(self, text: str) -> list[tuple[Any, ...]]:
        return self._query(text, self.settings.postgres.conninfo("analyst"))

    def _query(self, text: str, conninfo: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(conninfo) as session:
            return session.execute(text.encode()).fetchall()

    def rows(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The view: (region, window in ms) -> orders, quantity, amount, is_final."""
        rows = self.query(
            f"select region, (extract(epoch from window_start) * 1000)::bigint, sum(orders)::bigint, "
            f"sum(quantity)::bigint, sum(amount), bool_and(is_final) from metrics.{self.metric.table} group by 1, 2"
        )
        return {row[:2]: row[2:] for row in rows}

    def orders(self) -> int:
        """Events counted or set aside as late."""
        ((orders,),) = self.query(f"select coalesce(sum(orders + late_events), 0) from metrics.{self.metric.table}")
        return int(orders)

    def late(self) -> int:
        ((late,),) = self.query(f"select coalesce(sum(late_events), 0) from metrics.{self.metric.table}")
        return int(late)

    def late_rows(self) -> int:
        """Events that are set aside as late; analysts may not read them."""
        text = f"select count(*) from metrics.{self.metric.table}_late"
        ((late,),) = self._query(text, self.settings.postgres.conninfo("lake"))
        return int(late)

    def wait_for(self, orders: int) -> None:
        wait_until(lambda: self.orders() >= orders)

    def wait_until_settled(self, seconds: float = 240) -> None:
        """Wait until every event is counted in a committed transaction, and every row of those is in the database."""
        wait_until(self.all_counted, seconds)
        newest, restart_sinks = self.newest_revisions(), connectors_sensor(self.settings)

        def arrived() -> bool:
            restart_sinks(dg.build_sensor_context())  # as Dagster does all the while
            return self._revisions() == newest

        wait_until(arrived, seconds)

    def all_counted(self) -> bool:
        """Return whether the application has committed the input up to its end; false while the broker cannot be read.

        Events are written without transactions, so the offset of the last is the one before the end.
        """
        consumer = Consumer({**broker_options(self.settings), "group.id": self.metric.topic})
        try:
            ends = {at: end for at, (_, end) in offsets(self.settings, [self.asset.topic])[self.asset.topic].items()}
            places = consumer.committed([TopicPartition(self.asset.topic, at) for at in ends], timeout=30)
        except (KafkaException, LakeError):
            return False
        finally:
            consumer.close()
        return all(place.offset == ends[place.partition] for place in places if ends[place.partition])

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions that each instance last reported."""
        return {name: self.instances.numbers(name).get("partitions", 0) for name in self.instances.processes}

    def newest_revisions(self) -> dict[bytes, int]:
        """The newest revision of each row as the application committed it, by the row's key."""
        revisions: dict[bytes, int] = {}
        for message in read_topic(self.settings, self.metric.topic):
            row = json.loads(message.value() or b"")
            revisions[_cell(row, [group.name for group in self.metric.groups])] = row["revision"]
        return revisions

    def _revisions(self) -> dict[bytes, int]:
        names = [group.name for group in self.metric.groups]
        rows = self._query(
            f"select {', '.join(names)}, (extract(epoch from window_start) * 1000)::bigint, shard, revision "
            f"from metrics.{self.metric.table}_shards",
            self.settings.postgres.conninfo("lake"),
        )
        fields = (*names, "window_start", "shard", "revision")
        return {_cell(row, names): row["revision"] for row in (dict(zip(fields, row, strict=True)) for row in rows)}

    def undecodable(self) -> list[tuple[int, int]]:
        """Partition and offset of each record that was set aside."""
        places: list[tuple[int, int]] = []
        for message in read_topic(self.settings, self.metric.undecodable):
            headers = {name: value for name, value in message.headers() or [] if isinstance(value, bytes)}
            places.append((int(headers["partition"]), int(headers["offset"])))
        return places


def make_counted(
    settings: Settings,
    folder: Path,
    name: str,
    partitions: int = 4,
    lateness: str = "2m",
    groups: Sequence[str] = ("region",),
) -> Counted:
    """Make and apply the metric NAME_by_region over the new topic of the asset NAME, with a catalog in `folder`."""
    catalog = folder / name
    (catalog / "assets").mkdir(parents=True)
    (catalog / "metrics").mkdir()
    contract = CONTRACT.replace("orders", name).replace("partitions: 2", f"partitions: {partitions}")
    (catalog / "assets" / f"{name}.yaml").write_text(contract, "utf-8")
    text = METRIC.replace("orders_by_region", f"{name}_by_region").replace("source: orders", f"source: {name}")
    text = text.replace("[region, shop, paid]", f"[{', '.join(groups)}]").replace("2m", lateness)
    (catalog / "metrics" / f"{name}.yaml").write_text(text, "utf-8")
    settings = replace(settings, catalog=catalog)
    found = read_files(settings)
    assets, metrics = found.assets, found.metrics
    ensure_topics(settings, [topic_spec(asset) for asset in assets.values()])
    apply_metrics(settings, plan_metrics(settings, found, NOTHING, {}), lambda _: None)
    metric = metrics[f"{name}_by_region"]
    return Counted(settings, assets[name], metric, Instances(settings, catalog, metric))


def read_topic(settings: Settings, topic: str) -> list[Message]:
    """Every committed record of a topic, partition by partition in order."""
    reader = Consumer(
        {
            **broker_options(settings),
            "group.id": "reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = offsets(settings, [topic])[topic]
    reader.assign([TopicPartition(topic, at, low) for at, (low, _) in partitions.items()])
    found: list[Message] = []
    # Once for each: the end of a partition that gets records meanwhile is reported again.
    ended: set[int | None] = set()
    try:
        while ended != set(partitions):
            for message in reader.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        reader.close()
    return found


def _cell(row: dict[str, Any], groups: Sequence[str]) -> bytes:
    return json.dumps([row[name] for name in (*groups, "window_start", "shard")]).encode()
