"""The processes of stream_app, which count all applied metrics between them."""

import json
import sys
import time
from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from lake_assets.applied_files import applied_folder, catalog_version, read_copy
from lake_assets.compile.metric_shares import share_of
from lake_assets.home import Home
from lake_assets.operations.metric_status import INSTANCE, read_metric_status
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.dagster import lake_environment
from lake_assets.stack.programs import Program

PART = "stream"
SILENT_SECONDS = 15.0  # it writes its status once a second


def stream_parts(settings: Settings) -> dict[str, tuple[int, int]]:
    """Return number and count of the process of each part; none without metrics.

    Beside the first, named as the word for all, there are as many as LAKE_METRIC_PROCESSES sets.
    """
    folder = applied_folder(settings)
    has_metrics = any((folder / "metrics").glob("*.yaml")) if folder.is_dir() else bool(read_copy(settings).metrics)
    count = settings.metric_processes if has_metrics else 0
    return {PART if number == 1 else f"{PART}-{number}": (number, count) for number in range(1, count + 1)}


def is_stream(part: str) -> bool:
    """Return True if the part is a process of stream_app."""
    return part.partition("-")[0] == PART


def stream_programs(settings: Settings, layout: Home) -> list[Program]:
    """Return the program of each part. It follows what is applied, so an apply needs no restart."""
    environment = {**lake_environment(settings, layout), "LAKE_CATALOG": str(applied_folder(settings))}
    return [
        Program(
            part,
            (sys.executable, "-m", "stream_app", "--share", f"{number}/{count}", "--instance", INSTANCE),
            ("kafka",),
            environment,
            directory=PROJECT,
        )
        for part, (number, count) in stream_parts(settings).items()
    ]


def check_stream(settings: Settings, layout: Home, part: str, since: float) -> str | None:
    """Check that the process started at `since` (epoch seconds) counts by what is applied now.

    Each of its metrics must have written a recent status, or be known as failed: see `failed_metrics`.
    """
    number, count = stream_parts(settings)[part]
    host = _host(layout, number)
    if problem := _silent(host, since):
        return problem
    if host["version"] != catalog_version(applied_folder(settings)):
        return "it does not count by the last `lake apply` yet"
    for name, metric in share_of(read_copy(settings).metrics, number, count).items():
        if name not in host["failures"] and (problem := _silent(read_metric_status(layout, metric.table), since)):
            return f"{name}: {problem}"
    return None


def failed_metrics(settings: Settings, layout: Home, part: str) -> str | None:
    """Return the metrics of a part that failed, with their errors. The others count, so it is no part of the check."""
    host = _host(layout, stream_parts(settings)[part][0])
    failures = [f"{name} stopped: {failure}" for name, failure in host.get("failures", {}).items()]
    return "; ".join(shorten(text, 200) for text in [*host.get("problems", []), *failures]) or None


def _host(layout: Home, number: int) -> dict[str, Any]:
    try:
        return json.loads(layout.host_status(number).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _silent(status: Mapping[str, object], since: float) -> str | None:
    if not status or float(str(status["time"])) < since:
        return "no numbers since it was started"
    silent = time.time() - float(str(status["time"]))
    return None if silent < SILENT_SECONDS else f"no numbers for {silent:.0f} s"
