"""Duties of each place that runs Spark jobs, each through its own client library and a double of the service."""

from pathlib import Path

import pytest

from lake_assets.bucket import read
from lake_assets.conform.runner import JobFailed, JobStatus, SparkJob, State, fresh_name, run_to_end
from lake_assets.errors import LakeError
from tests.support.conditions import wait_until
from tests.support.spark_places import TAGS, Place, job

TIMEOUT = 60.0


def ignore(_: JobStatus) -> None:
    """Discard progress."""


def started(folder: Path) -> bool:
    return (folder / "out" / "started").exists()


def test_a_job_that_was_never_submitted_is_not_found(place: Place) -> None:
    assert place.runner().find("lake-orders-0123456789-1") is None


def test_a_job_that_succeeds_has_written_its_answer(place: Place, tmp_path: Path) -> None:
    seen = list[str]()
    status = run_to_end(place.runner(), job("succeed", tmp_path), TIMEOUT, lambda s: seen.append(s.state))
    assert (status.state, seen[-1]) == ("succeeded", "succeeded")
    assert read(f"file://{tmp_path}/out/answer") == b"42"
    assert place.log in status.logs
    if place.name not in ("emr-given",):
        assert status.figures, "it says what the job cost"


def test_a_job_carries_its_asset_windows_and_run(place: Place, tmp_path: Path) -> None:
    run_to_end(place.runner(), job("succeed", tmp_path), TIMEOUT, ignore)
    tags = place.tags("lake-orders-0123456789-1")
    clean = {"lake-windows": "2026-01-01t00--2026-01-01t05", "lake-run": "5f2c-1"}
    wanted = {**TAGS, **clean} if place.name.startswith("dataproc") else TAGS
    assert {key: tags[key] for key in TAGS} == wanted


def test_a_submit_that_is_repeated_by_another_process_starts_nothing(place: Place, tmp_path: Path) -> None:
    place.runner().submit(job("hang", tmp_path))
    again = place.runner()
    again.submit(job("hang", tmp_path))
    assert len(place.machine.launched) == 1
    found = again.find("lake-orders-0123456789-1")
    assert found
    assert found.state == "running"


def test_a_submit_whose_answer_was_lost_starts_the_job_once(place: Place, tmp_path: Path) -> None:
    place.lose_answer()
    status = run_to_end(place.runner(), job("succeed", tmp_path), TIMEOUT, ignore)
    assert status.state == "succeeded"
    assert len(place.machine.launched) == 1


def test_a_step_that_is_tried_again_takes_the_answer_of_its_own_job(place: Place, tmp_path: Path) -> None:
    run_to_end(place.runner(), job("succeed", tmp_path), TIMEOUT, ignore)
    name = fresh_name(place.runner(), "lake-orders-0123456789")
    status = run_to_end(place.runner(), job("succeed", tmp_path, name), TIMEOUT, ignore)
    assert status.state == "succeeded"
    assert len(place.machine.launched) == 1


def test_a_failing_job_is_a_failure_with_its_reason_and_may_be_tried_again(place: Place, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"failed: .*the data is not there.*Its log: \S+"):
        run_to_end(place.runner(), job("fail", tmp_path), TIMEOUT, ignore)
    assert place.alive() <= place.given
    assert fresh_name(place.runner(), "lake-orders-0123456789") == "lake-orders-0123456789-2"


def test_a_cancel_from_another_process_ends_the_job(place: Place, tmp_path: Path) -> None:
    place.runner().submit(job("hang", tmp_path))
    wait_until(lambda: started(tmp_path))
    place.runner().cancel("lake-orders-0123456789-1")
    [launched] = place.machine.launched.values()
    wait_until(lambda: launched.code is not None)
    found = place.runner().find("lake-orders-0123456789-1")
    assert found
    assert found.state == "cancelled"
    place.runner().cancel("lake-orders-0123456789-1")


def test_whatever_ends_the_wait_cancels_the_job(place: Place, tmp_path: Path) -> None:
    def interrupt(status: JobStatus) -> None:
        if started(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_to_end(place.runner(), job("hang", tmp_path), TIMEOUT, interrupt)
    [launched] = place.machine.launched.values()
    assert launched.killed
    assert place.alive() <= place.given


def test_a_job_that_takes_too_long_is_cancelled(place: Place, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="took longer than"):
        run_to_end(place.runner(), job("hang", tmp_path), 0.2, ignore)
    [launched] = place.machine.launched.values()
    assert launched.killed
    assert place.alive() <= place.given


def test_looks_that_meet_a_busy_service_do_not_end_the_job(place: Place, tmp_path: Path) -> None:
    runner = place.runner()
    runner.submit(job("succeed", tmp_path))
    place.busy()
    assert run_to_end(runner, job("succeed", tmp_path), TIMEOUT, ignore).state == "succeeded"
    assert not place.faults


def test_no_cluster_that_was_made_for_a_job_outlives_it(place: Place, tmp_path: Path) -> None:
    run_to_end(place.runner(), job("succeed", tmp_path), TIMEOUT, ignore)
    assert place.alive() == place.given


def test_the_code_is_uploaded_once(place: Place, tmp_path: Path) -> None:
    run_to_end(place.runner(), job("succeed", tmp_path), TIMEOUT, ignore)
    code = tmp_path / "lake" / "bucket" / "jobs" / "code"
    before = {path.name: path.stat().st_mtime_ns for path in code.iterdir()}
    run_to_end(place.runner(), job("succeed", tmp_path, "lake-orders-0123456789-2"), TIMEOUT, ignore)
    assert {path.name: path.stat().st_mtime_ns for path in code.iterdir()} == before
    assert len(before) == 3


class Unreachable:
    """A place whose job runs and cannot be cancelled."""

    interval = 0.0

    def __init__(self, state: State) -> None:
        self.state: State = state

    def find(self, name: str) -> JobStatus:
        return JobStatus(self.state)

    def submit(self, job: SparkJob) -> None:
        return

    def cancel(self, name: str) -> None:
        raise LakeError("the place is gone")


def test_a_cancel_that_is_refused_hides_no_reason_and_is_reported(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="took longer than") as raised:
        run_to_end(Unreachable("running"), job("hang", tmp_path), -1, ignore)
    assert "may still run, it could not be cancelled: the place is gone" in raised.value.__notes__[0]


def test_a_clean_up_that_is_refused_does_not_fail_a_job_that_succeeded(tmp_path: Path) -> None:
    assert run_to_end(Unreachable("succeeded"), job("succeed", tmp_path), TIMEOUT, ignore).state == "succeeded"
