"""Dataproc's own behaviour: clusters that are created first, their limits, labels, a batch's limits."""

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from lake_assets.conform.runner import JobStatus, run_to_end
from lake_assets.conform.runners.dataproc_cluster import cluster_name
from lake_assets.conform.runners.gcp import labels
from lake_assets.errors import LakeError
from lake_assets.settings import DATAPROC_RUNTIME, Settings
from tests.support.doubles.machine import Machine
from tests.support.spark_places import Place, job, open_place

TIMEOUT = 60.0
CLUSTER = cluster_name("lake-orders-0123456789-1")


@pytest.fixture
def made(settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Generator[Place]:
    place = open_place("dataproc-made", machine, settings, monkeypatch.setenv)
    yield place
    place.close()


@pytest.fixture
def batches(settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Generator[Place]:
    monkeypatch.setenv("LAKE_SPARK_CONF", "spark.executor.memory=8g spark.executor.cores=4")
    place = open_place("dataproc-batch", machine, settings, monkeypatch.setenv)
    yield place
    place.close()


def ignore(_: JobStatus) -> None:
    """Discard progress."""


def test_a_cluster_that_does_not_start_is_deleted_and_its_reason_reported(made: Place, tmp_path: Path) -> None:
    made.double.broken = True
    with pytest.raises(LakeError, match="did not start, it is error: Insufficient 'CPUS' quota"):
        run_to_end(made.runner(), job("succeed", tmp_path), TIMEOUT, ignore)
    assert made.alive() == made.given


def test_a_cluster_that_an_earlier_try_began_to_make_is_used(made: Place, tmp_path: Path) -> None:
    made.double.faults = ["!CreateCluster"]
    assert run_to_end(made.runner(), job("succeed", tmp_path), TIMEOUT, ignore).state == "succeeded"
    assert made.double.calls.count("CreateCluster") == 2
    assert made.alive() == made.given


def test_a_created_cluster_has_its_own_limits_and_is_tagged_with_its_job(made: Place, tmp_path: Path) -> None:
    made.runner().submit(job("hang", tmp_path))
    cluster = made.double.clusters[CLUSTER]
    limits = cluster.config.lifecycle_config
    assert (limits.idle_delete_ttl.seconds, limits.auto_delete_ttl.seconds) == (1_800, 4 * 3600 + 1_800)
    assert cluster.labels["lake-job"] == "lake-orders-0123456789-1"
    assert abs(int(cluster.labels["lake-until"]) - time.time() - 4 * 3600) < 60


def test_a_cancel_while_the_cluster_is_being_made_deletes_it(made: Place) -> None:
    made.double.add_cluster(CLUSTER, {})
    made.runner().cancel("lake-orders-0123456789-1")
    assert made.alive() == made.given


def test_a_batch_has_the_time_limit_and_the_sizes_of_the_settings(batches: Place, tmp_path: Path) -> None:
    batches.runner().submit(job("hang", tmp_path))
    [batch] = [ran.asked for ran in batches.double.batches.values()]
    assert batch.environment_config.execution_config.ttl.seconds == 4 * 3600
    assert batch.runtime_config.properties["spark.executor.memory"] == "8g"
    assert batch.labels["lake-job"] == "lake-orders-0123456789-1"


def test_a_batch_has_a_pinned_runtime_and_the_lakes_staging_bucket(batches: Place, tmp_path: Path) -> None:
    batches.runner().submit(job("hang", tmp_path))
    [batch] = [ran.asked for ran in batches.double.batches.values()]
    assert batch.runtime_config.version == DATAPROC_RUNTIME
    assert batch.environment_config.execution_config.staging_bucket == "lake-spark"


def test_a_batch_of_a_newer_runtime_has_the_rights_of_its_own_account(
    batches: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_DATAPROC_VERSION", "3.0")
    assert run_to_end(batches.runner(), job("succeed", tmp_path), TIMEOUT, ignore).state == "succeeded"


def test_a_refusal_names_the_settings_to_check(
    settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = open_place("dataproc-given", machine, settings, monkeypatch.setenv)
    monkeypatch.setenv("LAKE_DATAPROC_CLUSTER", "nobodys")
    try:
        with pytest.raises(LakeError, match=r"check LAKE_DATAPROC_CLUSTER.*Not found: cluster nobodys"):
            place.runner().submit(job("succeed", tmp_path))
    finally:
        place.close()


@pytest.mark.parametrize(
    ("tag", "label"),
    [("orders", "orders"), ("2026-01-01T00..2026-01-02T05", "2026-01-01t00--2026-01-02t05"), ("ä" * 70, "-" * 63)],
)
def test_a_label_has_only_what_google_allows(tag: str, label: str) -> None:
    assert labels({"lake-windows": tag}) == {"lake-windows": label}
