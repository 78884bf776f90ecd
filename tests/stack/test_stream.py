"""Processes of metrics as parts of the stack: their shares, and what is reported of those that fail."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.applied_files import applied_folder, catalog_version, write_applied
from lake_assets.compile.metric_shares import share_of
from lake_assets.home import Home
from lake_assets.operations.metric_status import INSTANCE
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.stream import check_stream, failed_metrics, is_stream, stream_parts, stream_programs
from stream_app.status import Status, as_prometheus
from tests.support.metric_examples import metric, orders

METRIC = "sales_by_region"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a lake where the examples are applied and two processes count."""
    settings = replace(load_settings(), home=tmp_path, metric_processes=2)
    write_applied(settings, read_files(settings))
    return settings


def report(settings: Settings, age: float = 0.0, failures: Mapping[str, str] | None = None, version: str = "") -> None:
    """Write what the first process reports so many seconds ago."""
    content = {
        "time": time.time() - age,
        "version": version or catalog_version(applied_folder(settings)),
        "problems": [],
        "failures": failures or {},
    }
    write(Home(settings.home).host_status(1), content)


def count(settings: Settings, age: float = 0.0) -> None:
    write(Home(settings.home).metric_status(METRIC, INSTANCE), {"time": time.time() - age})


def write(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def health(settings: Settings, since: float = 0.0) -> str | None:
    return check_stream(settings, Home(settings.home), "stream", since)


def test_processes_share_metrics_and_those_of_one_asset_are_together() -> None:
    source = orders()
    metrics = {
        f"{asset}{number}": replace(metric(source), name=f"{asset}{number}", source=asset)
        for asset in ("a", "b", "c")
        for number in range(2)
    }
    shares = [share_of(metrics, number, 2) for number in (1, 2)]
    assert [sorted(share) for share in shares] == [["a0", "a1", "c0", "c1"], ["b0", "b1"]]
    assert share_of(metrics, 1, 1) == metrics


def test_there_are_as_many_processes_as_the_setting_has(settings: Settings) -> None:
    assert stream_parts(settings) == {"stream": (1, 2), "stream-2": (2, 2)}
    assert all(map(is_stream, stream_parts(settings)))
    commands = [program.command for program in stream_programs(settings, Home(settings.home))]
    assert [command[command.index("--share") + 1] for command in commands] == ["1/2", "2/2"]


def test_a_process_answers_once_all_its_metrics_have_numbers(settings: Settings) -> None:
    assert health(settings) == "no numbers since it was started"
    report(settings)
    assert health(settings) == f"{METRIC}: no numbers since it was started"
    count(settings)
    assert health(settings) is None
    assert health(settings, time.time() + 5) == "no numbers since it was started"


def test_a_process_or_a_metric_that_falls_silent_is_reported(settings: Settings) -> None:
    count(settings, 20)
    report(settings)
    assert health(settings) == f"{METRIC}: no numbers for 20 s"
    report(settings, 20)
    assert health(settings) == "no numbers for 20 s"


def test_a_process_that_counts_by_an_older_apply_does_not_answer_yet(settings: Settings) -> None:
    count(settings)
    report(settings, version="older")
    assert health(settings) == "it does not count by the last `lake apply` yet"


def test_a_failed_metric_is_named_and_holds_up_no_start(settings: Settings) -> None:
    report(settings, failures={METRIC: "the topic has changed."})
    assert health(settings) is None
    layout = Home(settings.home)
    assert failed_metrics(settings, layout, "stream") == f"{METRIC} stopped: the topic has changed."
    assert failed_metrics(settings, layout, "stream-2") is None


def test_version_changes_when_an_applied_file_is_replaced_or_removed(settings: Settings) -> None:
    folder = applied_folder(settings)
    before = catalog_version(folder)
    write_applied(settings, read_files(settings))
    assert catalog_version(folder) == before
    (folder / "metrics" / f"{METRIC}.yaml").unlink()
    assert catalog_version(folder) != before


def test_prometheus_gets_each_family_once_for_all_metrics() -> None:
    lines = as_prometheus([Status("one", "1", events=3), Status("two", "1", events=4)]).splitlines()
    assert lines.count("# TYPE lake_stream_events_total counter") == 1
    at = lines.index("# TYPE lake_stream_events_total counter")
    assert lines[at + 1 : at + 3] == [
        'lake_stream_events_total{metric="one",instance="1"} 3',
        'lake_stream_events_total{metric="two",instance="1"} 4',
    ]
