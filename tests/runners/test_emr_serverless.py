"""EMR Serverless's own behaviour: the client token, the time limit, the billed resources."""

from collections.abc import Generator
from pathlib import Path

import pytest

from lake_assets.conform.runner import JobStatus, run_to_end
from lake_assets.settings import Settings
from tests.support.doubles.machine import Machine
from tests.support.spark_places import Place, job, open_place


@pytest.fixture
def place(settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Generator[Place]:
    place = open_place("emr-serverless", machine, settings, monkeypatch.setenv)
    yield place
    place.close()


def ignore(_: JobStatus) -> None:
    """Discard progress."""


def test_a_second_submit_starts_no_job_even_before_the_first_is_listed(place: Place, tmp_path: Path) -> None:
    place.runner().submit(job("hang", tmp_path))
    place.double.stale = True
    place.runner().submit(job("hang", tmp_path))
    assert place.double.calls.count("StartJobRun") == 2
    assert len(place.machine.launched) == 1


def test_a_job_ends_by_itself_when_no_process_watches_its_time_out(place: Place, tmp_path: Path) -> None:
    place.runner().submit(job("hang", tmp_path))
    [run] = place.double.runs.values()
    assert run.request["executionTimeoutMinutes"] == 240


def test_used_and_billed_resources_are_distinguished(place: Place, tmp_path: Path) -> None:
    figures = run_to_end(place.runner(), job("succeed", tmp_path), 60, ignore).figures
    assert (figures["vcpu_hours"], figures["billed_vcpu_hours"], figures["seconds"]) == (0.25, 0.5, 61)
