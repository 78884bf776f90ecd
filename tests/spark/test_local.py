"""A Spark job on this machine that does not end well: nothing of it counts, nothing of it stays."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import dagster as dg
import duckdb
import psutil
import pyarrow.parquet as pq
import pytest

from bench.sales import RAW
from lake_assets.bucket import read, write
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.runner import JobFailed, JobStatus, SparkJob, fresh_name, run_to_end
from lake_assets.conform.runners.local import Local
from lake_assets.orchestration.spark_pipes import SparkAnswer, conform_on_spark
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings, load_settings
from tests.support.buckets import s3
from tests.support.conditions import wait_until
from tests.support.connect_api import CREDENTIALS

pytestmark = pytest.mark.server
ROWS = 150_000


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Local]:
    """Return a runner whose main file waits until it is ended; end all that it started."""
    main = tmp_path / "waits.py"
    main.write_text("import time, pathlib; pathlib.Path('here').touch(); time.sleep(600)", "utf-8")
    runner = Local(tmp_path / "jobs", PROJECT / "spark", main=main)
    yield runner
    for folder in (tmp_path / "jobs").glob("*-[0-9]"):
        runner.cancel(folder.name)


def processes(name: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if name in (p.info["cmdline"] or [])]


def test_a_job_is_started_once_found_again_and_cancelled(runner: Local, tmp_path: Path) -> None:
    job = SparkJob("lake-orders-0123456789-1", (), {})
    runner.submit(job)
    wait_until(lambda: (tmp_path / "jobs" / job.name / "here").exists())
    started = {process.pid for process in processes(job.name)}
    later = Local(tmp_path / "jobs", PROJECT / "spark")
    later.submit(job)
    assert {process.pid for process in processes(job.name)} == started
    assert (found := later.find(job.name))
    assert found.state == "running"
    assert fresh_name(later, "lake-orders-0123456789") == job.name
    later.cancel(job.name)
    assert not processes(job.name)
    assert (found := later.find(job.name))
    assert found.state == "cancelled"
    assert fresh_name(later, "lake-orders-0123456789") == "lake-orders-0123456789-2"
    assert not (tmp_path / "jobs" / job.name / "scratch").exists()


def test_a_job_that_takes_too_long_is_ended(runner: Local) -> None:
    job = SparkJob("lake-orders-0123456789-1", (), {})
    with pytest.raises(JobFailed, match="took longer than 0 s and was cancelled"):
        run_to_end(runner, job, 0, lambda _: None)
    assert not processes(job.name)


def test_whatever_ends_the_wait_ends_the_job(runner: Local) -> None:
    """Dagster cancels a run by raising in its step."""
    job = SparkJob("lake-orders-0123456789-1", (), {})

    def interrupted(_: JobStatus) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_to_end(runner, job, 600, interrupted)
    assert not processes(job.name)


@pytest.fixture
def work(tmp_path: Path) -> tuple[Settings, Asset, WindowInput]:
    """A window large enough to be ended while it is written."""
    raw = tmp_path / "raw.parquet"
    duckdb.execute("set timezone = 'UTC'")
    duckdb.execute(RAW.replace("ROWS", str(ROWS)).replace("FILE", str(raw)))
    settings = replace(load_settings(), home=tmp_path / "home", bucket=f"file://{tmp_path}/bucket")
    window = WindowInput("2026-01-01", (str(raw),), ROWS, raw.stat().st_size)
    return settings, read_files(settings).assets["sales"], window


def conform(settings: Settings, asset: Asset, *windows: WindowInput) -> SparkAnswer:
    """Run the job from a real Dagster step. Raise what the step raises."""
    answers: list[SparkAnswer] = []

    @dg.asset
    def step(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runner = Local(settings.home / "spark", settings.spark.project)
        answers.append(conform_on_spark(context, settings, runner, asset, windows))
        return dg.MaterializeResult()

    dg.materialize([step])
    return answers[0]


def test_a_bucket_that_spark_does_not_know_is_read_by_its_tasks(
    work: tuple[Settings, Asset, WindowInput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake on S3 or GCS without a cluster failed as soon as a window was large enough for Spark."""
    settings, asset, window = work
    with s3(tmp_path / "double") as bucket:
        for name, value in {**CREDENTIALS, **bucket.environment}.items():
            monkeypatch.setenv(name, value)
        raw = f"{bucket.url}/raw.parquet"
        write(raw, Path(window.paths[0]).read_bytes())
        damaged = WindowInput("2026-01-02", (f"{bucket.url}/damaged.parquet",), 1, 1)
        write(damaged.paths[0], b"no Parquet")
        windows = [replace(window, paths=(raw,)), damaged]
        answer = conform(replace(settings, bucket=bucket.url), asset, *windows).answer
        [output] = answer.outputs
        assert (output.window, output.raw_rows) == (window.window, ROWS)
        content = read(output.good_files[0])
        assert content
        assert pq.read_metadata(BytesIO(content)).num_rows == sum(p.good for p in output.partitions) > 0
        assert list(answer.failed) == [damaged.window]


def writes(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(folder in Path(file.path).parents for file in process.open_files())
    except psutil.Error:
        return False


@pytest.mark.fault(
    "a Spark job's worker or driver is killed -9 amid a file",
    "nothing of it is published; the next one is right",
)
def test_a_job_killed_half_way_leaves_nothing_and_the_next_one_is_right(
    work: tuple[Settings, Asset, WindowInput], tmp_path: Path
) -> None:
    written = tmp_path / "bucket" / "conformed"

    def caught(found: list[psutil.Process]) -> bool:
        """Suspend a Python process during its write of a file."""
        if not any(written.rglob(".*.part")):
            return False
        for process in psutil.Process().children(recursive=True):
            if not found and writes(process, written):
                process.suspend()
                if writes(process, written):
                    found.append(process)
                else:
                    process.resume()
        return bool(found)

    def begun(pool: ThreadPoolExecutor) -> tuple[Future[SparkAnswer], psutil.Process]:
        """A job, and its process that stands still amid a file. One that was too quick to be caught is done again."""
        for _ in range(5):
            job, found = pool.submit(conform, *work), list[psutil.Process]()
            wait_until(lambda job=job, found=found: job.done() or found or caught(found), every=0.01)
            if found:
                return job, found[0]
            assert job.result().answer.failed == {}
            shutil.rmtree(written)
        raise AssertionError("no job was caught while it wrote")

    with ThreadPoolExecutor(1) as pool:
        for part in ("executor", "driver"):
            failing, worker = begun(pool)
            driver = next(process for process in worker.parents() if process.name() == "java")
            (driver if part == "driver" else worker).kill()
            with suppress(psutil.NoSuchProcess):
                worker.resume()
            with pytest.raises(JobFailed, match=r"the Spark job lake-sales-\w+-1 failed"):
                failing.result(120)
            assert [path for path in written.rglob("*") if path.is_file()] == []
    made = conform(*work)
    (output,) = made.answer.outputs
    assert (output.good, made.answer.failed) == (ROWS, {})
    files = [str(path) for path in written.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(output.good_files)
