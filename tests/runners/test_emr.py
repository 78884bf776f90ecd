"""EMR's own behaviour: clusters that fail, clusters that stay, calls without an idempotency token."""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_assets.conform.runner import JobFailed, JobStatus, run_to_end
from lake_assets.errors import LakeError
from lake_assets.settings import Settings
from tests.support.conditions import wait_until
from tests.support.doubles.machine import Machine
from tests.support.spark_places import TAGS, Place, job, open_place

TIMEOUT = 60.0


@pytest.fixture
def emr(settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Generator[Place]:
    place = open_place("emr-made", machine, settings, monkeypatch.setenv)
    yield place
    place.close()


def ignore(_: JobStatus) -> None:
    """Discard progress."""


def made(place: Place) -> dict[str, Any]:
    return place.double.clusters["j-1"].request


def test_a_cluster_that_does_not_start_fails_the_job_with_its_reason(emr: Place, tmp_path: Path) -> None:
    emr.double.broken = True
    with pytest.raises(JobFailed, match=r"BOOTSTRAP_FAILURE.*no disk is left"):
        run_to_end(emr.runner(), job("succeed", tmp_path), TIMEOUT, ignore)


def test_a_failed_step_is_a_failure_although_its_cluster_goes_on(emr: Place, tmp_path: Path) -> None:
    emr.double.stuck = True
    with pytest.raises(JobFailed, match="the data is not there"):
        run_to_end(emr.runner(), job("fail", tmp_path), TIMEOUT, ignore)
    assert emr.alive() == emr.given


def test_a_failed_step_leaves_a_given_cluster_to_the_others(
    settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = open_place("emr-given", machine, settings, monkeypatch.setenv)
    try:
        with pytest.raises(JobFailed):
            run_to_end(place.runner(), job("fail", tmp_path), TIMEOUT, ignore)
        assert place.alive() == place.given
        [step] = place.double.clusters["j-GIVEN"].steps
        assert step.request["ActionOnFailure"] == "CONTINUE"
    finally:
        place.close()


def test_a_cluster_that_stays_after_its_job_is_ended(emr: Place, tmp_path: Path) -> None:
    emr.double.stuck = True
    assert run_to_end(emr.runner(), job("succeed", tmp_path), TIMEOUT, ignore).state == "succeeded"
    assert emr.alive() == emr.given


def test_a_created_cluster_ends_by_itself_and_is_tagged_with_its_job(emr: Place, tmp_path: Path) -> None:
    before = time.time()
    emr.runner().submit(job("hang", tmp_path))
    request = made(emr)
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert request["Instances"]["TerminationProtected"] is False
    assert {key: tags[key] for key in TAGS} == TAGS
    assert tags["lake-job"] == "lake-orders-0123456789-1"
    assert int(before) <= int(tags["lake-until"]) - 4 * 3600 <= time.time()


def test_a_made_cluster_runs_the_bootstrap_script_that_is_set(
    emr: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKE_EMR_BOOTSTRAP", "s3://lake/python.sh")
    emr.runner().submit(job("hang", tmp_path))
    [action] = made(emr)["BootstrapActions"]
    assert action["ScriptBootstrapAction"] == {"Path": "s3://lake/python.sh"}


def test_a_start_that_meets_a_busy_service_is_tried_again_and_starts_once(emr: Place, tmp_path: Path) -> None:
    emr.double.faults = [("RunJobFlow", "throttled"), ("RunJobFlow", "unavailable"), ("RunJobFlow", "answer lost")]
    emr.runner().submit(job("hang", tmp_path))
    assert emr.double.calls.count("RunJobFlow") == 3
    assert len(emr.machine.launched) == 1


def test_a_job_whose_cluster_was_ended_from_outside_is_cancelled(emr: Place, tmp_path: Path) -> None:
    emr.runner().submit(job("hang", tmp_path))
    wait_until(lambda: (tmp_path / "out" / "started").exists())
    emr.runner().end_cluster("j-1")  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(JobFailed, match="cancelled: Terminated by user request"):
        run_to_end(emr.runner(), job("hang", tmp_path), TIMEOUT, ignore)


def test_a_refusal_names_the_settings_to_check(emr: Place, tmp_path: Path) -> None:
    runner = replace(emr.runner(), cluster="j-OTHER")  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(LakeError, match=r"check LAKE_EMR_CLUSTER .*'j-OTHER' is not valid"):
        runner.submit(job("succeed", tmp_path))
