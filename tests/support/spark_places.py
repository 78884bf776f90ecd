"""Every place that runs Spark jobs, with its double, for the tests of the protocol."""

import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from lake_assets.conform.runner import SparkJob, SparkRunner
from lake_assets.conform.runners.dataproc import Dataproc
from lake_assets.conform.runners.dataproc_batch import DataprocBatch
from lake_assets.conform.runners.emr import Emr
from lake_assets.conform.runners.emr_serverless import EmrServerless
from lake_assets.settings import Settings
from tests.support.doubles import emr, emr_serverless
from tests.support.doubles.machine import Machine

INTERVAL = 0.05
TAGS = {"lake-asset": "orders", "lake-windows": "2026-01-01T00..2026-01-01T05", "lake-run": "5F2c-1"}
DATAPROC_CLUSTER = "everyones"
STAND_IN = Path(__file__).with_name("doubles") / "stand_in.py"


@dataclass(frozen=True)
class Place:
    """`fresh` is a runner as a new process makes it, from the environment alone. `tags` is what the service keeps of
    a job's tags, `alive` are its clusters, `given` those that were there before. `busy` makes the next two looks at a
    job fail, `lose_answer` the next start after it was done; `faults` are those still to come."""

    name: str
    machine: Machine
    double: Any
    fresh: Callable[[], Any]
    tags: Callable[[str], Mapping[str, str]]
    alive: Callable[[], set[str]]
    given: set[str]
    busy: Callable[[], None]
    lose_answer: Callable[[], None]
    close: Callable[[], None]
    log: str

    @property
    def faults(self) -> Sequence[object]:
        return self.double.faults

    def runner(self, *, real: bool = False) -> SparkRunner:
        """Return a runner, with the stand-in for the job's main file unless `real`."""
        made = self.fresh()
        code = made.code if real else replace(made.code, main=STAND_IN)
        return replace(made, code=code, interval=INTERVAL)


AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "LAKE_EMR_APPLICATION": emr_serverless.APPLICATION,
    "LAKE_EMR_ROLE": "arn:aws:iam::123456789012:role/lake",
}
GCP = {
    "LAKE_DATAPROC_PROJECT": "lake-test",
    "LAKE_DATAPROC_REGION": "europe-west3",
    "LAKE_DATAPROC_ACCOUNT": "lake-spark@lake-test.iam.gserviceaccount.com",
    "LAKE_DATAPROC_STAGING": "lake-spark",
}
NAMES = ("emr-serverless", "emr-given", "emr-made", "dataproc-given", "dataproc-made", "dataproc-batch")


def environment(name: str) -> dict[str, str]:
    """Return the variables of the place, besides the endpoint's address."""
    match name:
        case "emr-serverless":
            return AWS
        case "emr-given":
            return {**AWS, "LAKE_EMR_CLUSTER": emr.GIVEN}
        case "emr-made":
            return {**AWS, "LAKE_EMR_RELEASE": "emr-7.13.0"}
        case "dataproc-given":
            return {**GCP, "LAKE_DATAPROC_CLUSTER": DATAPROC_CLUSTER}
        case "dataproc-made":
            return {**GCP, "LAKE_DATAPROC_IMAGE": "2.3-debian12"}
        case _:
            return GCP


def open_place(name: str, machine: Machine, settings: Settings, set_variable: Callable[[str, str], None]) -> Place:
    for variable, value in environment(name).items():
        set_variable(variable, value)
    if name == "emr-serverless":
        return _emr_serverless(machine, settings, set_variable)
    if name.startswith("emr"):
        return _emr(name, machine, settings, set_variable)
    return _dataproc(name, machine, settings)


def _emr_serverless(machine: Machine, settings: Settings, set_variable: Callable[[str, str], None]) -> Place:
    double = emr_serverless.EmrServerlessDouble(machine)
    set_variable("AWS_ENDPOINT_URL_EMR_SERVERLESS", double.url)
    return Place(
        name="emr-serverless",
        machine=machine,
        double=double,
        fresh=lambda: EmrServerless.from_environment(settings),
        tags=lambda job: next(run.request["tags"] for run in double.runs.values() if run.request["name"] == job),
        alive=set[str],
        given=set(),
        busy=lambda: double.faults.extend([("GetJobRun", "throttled"), ("GetJobRun", "unavailable")]),
        lose_answer=lambda: double.faults.append(("StartJobRun", "answer lost")),
        close=double.close,
        log=f"/jobs/logs/applications/{emr_serverless.APPLICATION}/jobs/",
    )


def _emr(name: str, machine: Machine, settings: Settings, set_variable: Callable[[str, str], None]) -> Place:
    double = emr.EmrDouble(machine)
    set_variable("AWS_ENDPOINT_URL_EMR", double.url)

    def tags(job: str) -> Mapping[str, str]:
        for cluster in double.clusters.values():
            for step in cluster.steps:
                if step.request["Name"] == job and cluster.request.get("Tags"):
                    return {tag["Key"]: tag["Value"] for tag in cluster.request["Tags"]}
                if step.request["Name"] == job:
                    argument = next(
                        a for a in step.request["HadoopJarStep"]["Args"] if a.startswith("spark.yarn.tags=")
                    )
                    return dict(tag.split(":", 1) for tag in argument.partition("=")[2].split(","))
        return {}

    start = "AddJobFlowSteps" if name == "emr-given" else "RunJobFlow"
    return Place(
        name=name,
        machine=machine,
        double=double,
        fresh=lambda: Emr.from_environment(settings),
        tags=tags,
        alive=double.alive,
        given={emr.GIVEN},
        busy=lambda: double.faults.extend([("DescribeStep", "throttled"), ("DescribeStep", "unavailable")]),
        lose_answer=lambda: double.faults.append((start, "answer lost")),
        close=double.close,
        log="/steps/s-",
    )


def _dataproc(name: str, machine: Machine, settings: Settings) -> Place:
    # Google's messages take 2 s, which each process that only collects tests would spend.
    from tests.support.doubles.dataproc import DataprocDouble

    double = DataprocDouble(machine, DATAPROC_CLUSTER)
    parent = f"projects/{GCP['LAKE_DATAPROC_PROJECT']}/locations/{GCP['LAKE_DATAPROC_REGION']}/batches"
    batch = name == "dataproc-batch"
    kind = DataprocBatch if batch else Dataproc
    return Place(
        name=name,
        machine=machine,
        double=double,
        fresh=lambda: kind.from_environment(settings, double.channel),
        tags=lambda job: dict((double.batches[f"{parent}/{job}"] if batch else double.jobs[job]).asked.labels),
        alive=double.alive,
        given={DATAPROC_CLUSTER},
        busy=lambda: double.faults.extend(["GetBatch" if batch else "GetJob"] * 2),
        lose_answer=lambda: double.faults.append("!CreateBatch" if batch else "!SubmitJob"),
        close=double.close,
        log="gs://staging/",
    )


def job(what: str, folder: Path, name: str = "lake-orders-0123456789-1") -> SparkJob:
    """Return a job for the stand-in: `succeed`, `fail` or `hang`."""
    return SparkJob(name, (what, f"file://{folder}/out"), TAGS)


def environment_archive(path: Path) -> Path:
    """An archive of the shape that `make spark-dist` builds, whose Python is this one."""
    script = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'.encode()
    entry = tarfile.TarInfo("bin/python")
    entry.size, entry.mode = len(script), 0o755
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(entry, BytesIO(script))
    return path
