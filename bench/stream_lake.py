"""Lake for the streaming benches: parts of the stack, one metric, and instances as processes."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.lake import lake, quiet
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.settings import PROJECT, Settings


@dataclass(frozen=True, slots=True)
class StreamLake:
    """A running lake with one asset and one metric over it, whose topics exist."""

    settings: Settings
    asset: Asset
    metric: Metric
    folder: Path
    processes: list[psutil.Popen] = field(default_factory=list)

    def start(self, instance: str, before: str = "") -> psutil.Popen:
        """Start an instance of the application; `before` is Python that it runs first."""
        code = f"import sys, stream_app.__main__ as app\n{before}\nsys.argv[0] = 'stream_app'\napp.main()"
        command = [sys.executable, "-c", code, self.metric.name, "--instance", instance]
        with (self.folder / f"{instance}.log").open("ab") as log:
            self.processes.append(psutil.Popen(command, cwd=PROJECT, stdout=log, stderr=log))
        return self.processes[-1]

    def numbers(self, instance: str) -> dict[str, Any]:
        """Return the numbers that the instance wrote last; empty before the first time."""
        path = self.settings.home / "run" / "stream" / f"{self.metric.table}-{instance}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}


def stop(process: psutil.Popen) -> None:
    """Ask the instance to end, and wait."""
    process.send_signal(signal.SIGTERM)
    process.wait(30)


@contextmanager
def stream_lake(contract: str, metric: str, parts: Sequence[str], running: bool = False) -> Iterator[StreamLake]:
    """Start a lake with one asset and one metric, and create their topics. With a database among `parts`, also create
    the metric's tables and sinks."""
    with lake(parts, {"bench": contract}, {"bench": metric}, running) as (settings, folder):
        from lake_assets.catalog.texts import NOTHING
        from lake_assets.compile.metric_topics import metric_topics
        from lake_assets.compile.topic import topic_spec
        from lake_assets.landing.topics import ensure_topics
        from lake_assets.operations.apply_metrics import apply_metrics, plan_metrics
        from lake_assets.project import read_files

        catalog = read_files(settings)
        assets, metrics = catalog.assets, catalog.metrics
        [asset], [chosen] = assets.values(), metrics.values()
        ensure_topics(settings, [topic_spec(asset), *metric_topics(chosen, asset)])
        if "postgres" in parts:
            apply_metrics(settings, plan_metrics(settings, catalog, NOTHING, {}), quiet)
        made = StreamLake(settings, asset, chosen, folder)
        try:
            yield made
        finally:
            for process in made.processes:
                if process.is_running():
                    stop(process)
