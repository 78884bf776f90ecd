"""A metric over a topic of its own on the session's stack, and instances of the application as processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.topic import topic_spec
from lake_assets.landing.topics import ensure_topics
from lake_assets.orchestration.apply_metrics import apply_metrics
from lake_assets.project import read_catalog, read_metrics
from lake_assets.settings import PROJECT, Settings
from tests.stack.conditions import wait_until
from tests.stream.examples import CONTRACT, METRIC

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
            command = [sys.executable, "-m", "stream_app", self.metric.name, "--instance", name]
            with self.log(name).open("ab") as log:
                self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=PROJECT)

    def log(self, name: str) -> Path:
        return self.catalog / f"{name}.log"

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def stop(self, name: str) -> int:
        """The exit code of an instance that was asked to end; fails when it takes longer than it may."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(GRACE_SECONDS)

    def stop_all(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def numbers(self, name: str) -> dict[str, Any]:
        path = self.settings.home / "run" / "stream" / f"{self.metric.table}-{name}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def all_alive(self) -> bool:
        return all(process.poll() is None for process in self.processes.values())


@dataclass
class Counted:
    """An applied metric: its source's topic, its table in the database."""

    settings: Settings
    asset: Asset
    metric: Metric
    instances: Instances

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.postgres.conninfo("analyst")) as session:
            return session.execute(text.encode()).fetchall()

    def rows(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The view: (region, window in ms) -> orders, quantity, amount, is_final."""
        rows = self.query(
            f"select region, (extract(epoch from window_start) * 1000)::bigint, orders, quantity, amount, is_final "
            f"from metrics.{self.metric.table}"
        )
        return {row[:2]: row[2:] for row in rows}

    def orders(self) -> int:
        """Events counted or set aside as late."""
        ((orders,),) = self.query(f"select coalesce(sum(orders + late_events), 0) from metrics.{self.metric.table}")
        return int(orders)

    def wait_for(self, orders: int, seconds: float = 120) -> None:
        wait_until(lambda: self.orders() >= orders, seconds)


@pytest.fixture
def counted(stack: Settings, request: pytest.FixtureRequest) -> Generator[Callable[..., Counted]]:
    """Makes metrics; `counted(name)` is one over a new topic with four partitions. Its processes end with the test."""
    folder = Path(tempfile.mkdtemp(prefix="lake-stream-"))
    made: list[Instances] = []

    def make(name: str, partitions: int = 4, lateness: str = "2m", groups: Sequence[str] = ("region",)) -> Counted:
        catalog = folder / name
        (catalog / "assets").mkdir(parents=True)
        (catalog / "metrics").mkdir()
        contract = CONTRACT.replace("orders", name).replace("partitions: 2", f"partitions: {partitions}")
        contract = contract.replace("ordered_at", "ordered_at").replace(f"{name}_at", "ordered_at")
        (catalog / "assets" / f"{name}.yaml").write_text(contract, "utf-8")
        text = METRIC.replace("orders_by_region", f"{name}_by_region").replace("source: orders", f"source: {name}")
        text = text.replace("[region, shop, paid]", f"[{', '.join(groups)}]").replace("2m", lateness)
        (catalog / "metrics" / f"{name}.yaml").write_text(text, "utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAKE_CATALOG", str(catalog))
            from lake_assets.settings import load_settings

            settings = load_settings()
        assets = read_catalog(settings)
        metrics = read_metrics(settings, assets)
        ensure_topics(settings, [topic_spec(asset) for asset in assets.values()])
        apply_metrics(settings, metrics, assets, lambda _: None)
        metric = metrics[f"{name}_by_region"]
        instances = Instances(settings, catalog, metric)
        made.append(instances)
        return Counted(settings, assets[name], metric, instances)

    try:
        yield make
    finally:
        for instances in made:
            instances.stop_all()
            if request.session.testsfailed:
                for log in instances.catalog.glob("*.log"):
                    print(log.name, log.read_text("utf-8")[-3000:])
        shutil.rmtree(folder)
