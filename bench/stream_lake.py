"""A lake of its own for the streaming benchmarks: parts of the stack, one metric, and instances as processes."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.settings import PROJECT, Settings


@dataclass(frozen=True, slots=True)
class StreamLake:
    """A started lake with one asset and one metric over it, whose topics exist."""

    settings: Settings
    asset: Asset
    metric: Metric
    home: Path

    def start(self, instance: str, before: str = "") -> psutil.Popen:
        """An instance of the application; `before` is Python that it runs first."""
        code = f"import sys, stream_app.__main__ as app\n{before}\nsys.argv[0] = 'stream_app'\napp.main()"
        command = [sys.executable, "-c", code, self.metric.name, "--instance", instance]
        with (self.home / f"{instance}.log").open("ab") as log:
            return psutil.Popen(command, cwd=PROJECT, stdout=log, stderr=log)

    def numbers(self, instance: str) -> dict[str, Any]:
        """What the instance told last; empty before the first time."""
        path = self.settings.home / "run" / "stream" / f"{self.metric.table}-{instance}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}


def stop(process: psutil.Popen) -> None:
    """Asks the instance to end and waits."""
    process.send_signal(signal.SIGTERM)
    process.wait(30)


@contextmanager
def stream_lake(contract: str, metric: str, parts: Sequence[str]) -> Iterator[StreamLake]:
    """Starts `parts` of the stack in a folder that is removed afterwards. With a database among them the metric's
    tables and sinks are made too."""
    home = Path(tempfile.mkdtemp(prefix="lake-bench-"))
    os.environ |= {"LAKE_HOME": str(home / "lake"), "LAKE_CATALOG": str(home / "catalog")}
    (home / "catalog" / "assets").mkdir(parents=True)
    (home / "catalog" / "metrics").mkdir()
    (home / "catalog" / "assets" / "bench.yaml").write_text(contract, "utf-8")
    (home / "catalog" / "metrics" / "bench.yaml").write_text(metric, "utf-8")

    from lake_assets.compile.metric_topics import metric_topics
    from lake_assets.compile.topic import topic_spec
    from lake_assets.landing.topics import ensure_topics
    from lake_assets.orchestration.apply_metrics import apply_metrics
    from lake_assets.project import read_catalog, read_metrics
    from lake_assets.settings import load_settings
    from lake_assets.stack.lifecycle import down, up

    up(lambda _: None, parts)
    try:
        settings = load_settings()
        assets = read_catalog(settings)
        metrics = read_metrics(settings, assets)
        [asset], [chosen] = assets.values(), metrics.values()
        ensure_topics(settings, [topic_spec(asset), *metric_topics(chosen, asset)])
        if "postgres" in parts:
            apply_metrics(settings, metrics, assets, lambda _: None)
        yield StreamLake(settings, asset, chosen, home)
    finally:
        down()
        shutil.rmtree(home)
