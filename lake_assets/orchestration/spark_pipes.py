"""Conform on Spark from a Dagster step: the request goes to the bucket, the answer comes back through Pipes."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster_pipes import PipesParams

from lake_assets.bucket import delete_job_output, read, write
from lake_assets.catalog.json_codec import from_json, to_json
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.request import Answer, Request
from lake_assets.conform.runner import JobFailed, JobStatus, SparkJob, SparkRunner, fresh_name, run_to_end
from lake_assets.conform.write_windows import window_folder
from lake_assets.settings import Settings

_MESSAGE_SECONDS = 0.5
# Dagster uses its own preview API to read Pipes messages; users need no warning about that.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, module="dagster")


@dataclass(frozen=True, slots=True)
class SparkAnswer:
    """The answer of a job, its name, and its last status."""

    answer: Answer
    name: str
    status: JobStatus


def conform_on_spark(
    context: dg.AssetExecutionContext,
    settings: Settings,
    runner: SparkRunner,
    asset: Asset,
    windows: Sequence[WindowInput],
) -> SparkAnswer:
    """Conform the windows in one Spark job, and wait for it. After a LakeError none of its output may be published.

    A retried step finds the job of its first try, running or done, and takes its answer.
    """
    name = fresh_name(runner, _job_name(asset, windows, context.run.run_id))
    folder = f"{settings.bucket}/jobs/{name}"
    request = Request(
        asset,
        tuple(windows),
        out=settings.conformed,
        folder=folder,
        name="-".join(name.split("-")[-2:]),
        run_id=context.run.run_id,
        loaded_at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    url = f"{folder}/request.json"
    if read(url) is None:
        write(url, to_json(request).encode())
    tags = {
        "lake-asset": asset.name,
        "lake-windows": f"{windows[0].window}..{windows[-1].window}",
        "lake-run": context.run.run_id,
    }
    with dg.open_pipes_session(
        context=context, context_injector=dg.PipesEnvContextInjector(), message_reader=BucketMessageReader(folder)
    ) as session:
        pipes = [part for pair in session.get_bootstrap_cli_arguments().items() for part in pair]
        job = SparkJob(name, ("--request", url, *pipes), tags)
        context.log.info(f"{asset.name}: Spark job {name}, {len(windows)} windows, request {url}")
        failure, status = None, JobStatus("failed")
        try:
            status = run_to_end(runner, job, settings.spark.timeout, _once(context.log.info))
        except JobFailed as error:
            failure = error
        finally:
            if status.state != "succeeded":
                _delete_output(request)
    # Only a closed session has read every message.
    messages = {key: value for message in session.get_custom_messages() for key, value in message.items()}
    if failure:
        raise JobFailed(
            str(messages["refused"]) if "refused" in messages else f"{failure}{messages.get('error', '')}"
        ) from None
    if "answer" not in messages:
        raise JobFailed(f"the Spark job {name} ended without an answer. Its log: {status.logs or 'none'}")
    return SparkAnswer(from_json(Answer, json.dumps(messages["answer"])), name, status)


def _delete_output(request: Request) -> None:
    """Delete the output of a failed job; no table references it."""
    asset = request.asset
    for out in (request.out, f"{request.folder}/good"):
        for window in request.windows:
            delete_job_output(window_folder(out, asset, window.window), request.name)


def spark_details(job: SparkAnswer) -> dict[str, object]:
    """Return the metadata of a run about its Spark job."""
    answer = job.answer
    return {
        "spark_job": job.name,
        "spark_version": answer.spark_version,
        "spark_log": job.status.logs,
        "spark_stages": [
            {"stage": s.name, "seconds": s.seconds, "tasks": s.tasks, "rows": s.rows, "peak_bytes": s.peak_bytes}
            for s in answer.stages
        ],
        "spark_schema": answer.schema,
        **({"spark_cost": dict(job.status.figures)} if job.status.figures else {}),
    }


def _job_name(asset: Asset, windows: Sequence[WindowInput], run_id: str) -> str:
    """Return a name that is the same for all tries of one run's step."""
    key = repr((run_id, asset.name, asset.version, [(w.window, w.paths) for w in windows]))
    return f"lake-{asset.name.replace('_', '-')[:40]}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def _once(log: Callable[[str], None]) -> Callable[[JobStatus], None]:
    """Return a callback that logs a status when it changed."""
    last = ""

    def report(status: JobStatus) -> None:
        nonlocal last
        line = f"Spark job is {status.state}{f': {status.detail}' if status.detail else ''}. Its log: {status.logs}"
        if line != last:
            log(line)
        last = line

    return report


class BucketMessageReader(dg.PipesBlobStoreMessageReader):
    """Reader of the numbered messages in one job's own folder; the other end is `spark/messages.py`."""

    def __init__(self, folder: str) -> None:
        super().__init__(interval=_MESSAGE_SECONDS)
        self._folder = f"{folder}/messages"

    @contextmanager
    def get_params(self) -> Iterator[PipesParams]:
        yield {"folder": self._folder}

    def messages_are_readable(self, params: PipesParams) -> bool:
        return read(f"{self._folder}/1.json") is not None

    def download_messages_chunk(self, index: int, params: PipesParams) -> str | None:
        content = read(f"{self._folder}/{index}.json")
        return None if content is None else content.decode()

    def no_messages_debug_text(self) -> str:
        return f"The Spark job was expected to write its messages to {self._folder}."
