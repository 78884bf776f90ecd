"""One process of stream_app for each applied metric."""

import json
import sys
import time
from pathlib import Path

from lake_assets.applied_files import applied_folder, read_copy
from lake_assets.home import Layout
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.dagster import lake_environment
from lake_assets.stack.programs import Program

PREFIX = "stream-"
INSTANCE = "1"
SILENT_SECONDS = 15.0  # it tells its numbers once a second


def stream_parts(settings: Settings) -> dict[str, str]:
    """The metrics' names, by part."""
    return {f"{PREFIX}{metric.table}": name for name, metric in read_copy(settings).metrics.items()}


def stream_programs(settings: Settings, layout: Layout) -> list[Program]:
    """One program for each metric; it waits by itself until the metric is applied."""
    environment = {**lake_environment(layout), "LAKE_CATALOG": str(applied_folder(settings))}
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


def status_file(layout: Layout, part: str) -> Path:
    """Where stream_app leaves its numbers."""
    return layout.run / "stream" / f"{part.removeprefix(PREFIX)}-{INSTANCE}.json"


def check_stream(layout: Layout, part: str, since: float) -> str | None:
    """Whether the instance that was started at `since` (epoch seconds) has told its numbers, and not long ago."""
    numbers = stream_numbers(layout, part)
    if not numbers or float(str(numbers["time"])) < since:
        return "no numbers since it was started"
    silent = time.time() - float(str(numbers["time"]))
    return None if silent < SILENT_SECONDS else f"no numbers for {silent:.0f} s"


def stream_numbers(layout: Layout, part: str) -> dict[str, object]:
    """The instance's numbers as it told them last; empty before the first time."""
    try:
        return json.loads(status_file(layout, part).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
