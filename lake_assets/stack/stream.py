"""One process of stream_app for each applied metric."""

import sys
import time

from lake_assets.applied_files import applied_folder, read_copy
from lake_assets.home import Home
from lake_assets.operations.metric_status import INSTANCE, read_metric_status
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.dagster import lake_environment
from lake_assets.stack.programs import Program

PREFIX = "stream-"
SILENT_SECONDS = 15.0  # it writes its status once a second


def stream_parts(settings: Settings) -> dict[str, str]:
    """Return the metrics' names, by part."""
    folder = applied_folder(settings)
    # Metrics are read with all contracts, which takes a third of a second of a thousand.
    if folder.is_dir() and not any((folder / "metrics").glob("*.yaml")):
        return {}
    return {f"{PREFIX}{metric.table}": name for name, metric in read_copy(settings).metrics.items()}


def stream_programs(settings: Settings, layout: Home) -> list[Program]:
    """Return one program for each metric; each waits until its metric is applied."""
    environment = {**lake_environment(settings, layout), "LAKE_CATALOG": str(applied_folder(settings))}
    return [
        Program(
            part,
            (sys.executable, "-m", "stream_app", metric, "--instance", INSTANCE),
            ("kafka",),
            environment,
            directory=PROJECT,
        )
        for part, metric in stream_parts(settings).items()
    ]


def check_stream(layout: Home, part: str, since: float) -> str | None:
    """Check that the instance started at `since` (epoch seconds) has written a recent status."""
    status = read_metric_status(layout, part.removeprefix(PREFIX))
    if not status or float(str(status["time"])) < since:
        return "no numbers since it was started"
    silent = time.time() - float(str(status["time"]))
    return None if silent < SILENT_SECONDS else f"no numbers for {silent:.0f} s"
