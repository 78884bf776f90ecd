"""Clusters that outlived their job are found by their tags, reported and ended; all others are left alone."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lake_assets.conform.runner import Orphan
from lake_assets.errors import LakeError
from lake_assets.orchestration import spark_orphans
from lake_assets.settings import Settings
from tests.support.conditions import wait_until
from tests.support.doubles.machine import Machine
from tests.support.spark_places import Place, job, open_place

FINISHED, HANGING = "lake-orders-0123456789-1", "lake-orders-0123456789-2"


@pytest.fixture(params=["emr-made", "dataproc-made"])
def place(
    request: pytest.FixtureRequest, settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> Generator[Place]:
    place = open_place(request.param, machine, settings, monkeypatch.setenv)
    yield place
    place.close()


def leave_a_cluster_of_a_finished_job(place: Place, tmp_path: Path) -> None:
    """Leave a cluster as a Dagster process does that was killed while it waited."""
    place.double.stuck = True
    place.runner().submit(job("succeed", tmp_path, FINISHED))
    wait_until(lambda: all(launched.code is not None for launched in place.machine.launched.values()))


def end_orphans(place: Place, now: float | None = None) -> dict[str, Any]:
    runner: Any = place.runner()
    return {
        key: value.value for key, value in spark_orphans.end_orphans(runner, now or time.time(), lambda _: None).items()
    }


def test_a_cluster_whose_job_has_ended_is_ended_and_reported(place: Place, tmp_path: Path) -> None:
    leave_a_cluster_of_a_finished_job(place, tmp_path)
    assert len(place.alive() - place.given) == 1
    result = end_orphans(place)
    assert (result["found"], result["removed"]) == (1, 1)
    assert [(one["job"], one["reason"]) for one in result["clusters"]] == [(FINISHED, "its job has ended")]
    assert place.alive() == place.given


def test_a_cluster_whose_job_runs_is_left_until_its_time_is_over(place: Place, tmp_path: Path) -> None:
    place.runner().submit(job("hang", tmp_path, HANGING))
    assert end_orphans(place)["found"] == 0
    assert [one["reason"] for one in end_orphans(place, time.time() + 5 * 3600)["clusters"]] == ["its time is over"]
    assert place.alive() == place.given
    [launched] = place.machine.launched.values()
    assert launched.killed


def test_a_cluster_that_is_still_being_made_for_its_job_is_left(place: Place) -> None:
    until = str(int(time.time()) + 60)
    _add(place, {"lake-job": HANGING, "lake-until": until})
    assert end_orphans(place)["found"] == 0
    assert end_orphans(place, float(until) + 1)["removed"] == 1


def test_a_cluster_of_another_owner_is_left(place: Place) -> None:
    _add(place, {"team": "finance"})
    before = place.alive()
    assert end_orphans(place, time.time() + 10**8)["found"] == 0
    assert place.alive() == before


class Stuck:
    """A place whose first cluster cannot be ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def orphans(self, now: float) -> list[Orphan]:
        return [Orphan("one", "job-1", "its job has ended"), Orphan("two", "job-2", "its job has ended")]

    def end_cluster(self, cluster: str) -> None:
        if cluster == "one":
            raise LakeError("it is protected")
        self.ended.append(cluster)


def test_a_cluster_that_cannot_be_ended_is_reported_and_the_others_end() -> None:
    stuck: Any = Stuck()
    with pytest.raises(LakeError, match=r"by hand.*one of job-1 \(it is protected\)"):
        spark_orphans.end_orphans(stuck, 0, lambda _: None)
    assert stuck.ended == ["two"]


def test_the_asset_reports_what_it_removed(
    place: Place, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_a_cluster_of_a_finished_job(place, tmp_path)
    monkeypatch.setattr(spark_orphans, "cluster_runner_for", lambda _: place.runner())
    result = dg.materialize([spark_orphans.spark_orphans_asset(settings)])
    [event] = result.asset_materializations_for_node("spark_orphans")
    assert event.metadata["removed"].value == 1


def _add(place: Place, tags: dict[str, str]) -> None:
    if place.name == "emr-made":
        place.double.add_cluster(tags)
    else:
        place.double.add_cluster("somebodys", tags)
