"""Finished runs of Dagster as events of OpenLineage: a START and an end for the run and for each of its jobs. Pure.

The same run gives the same events with the same ids, so that an event that is sent twice changes nothing.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.operations.lineage.facets import (
    EVENT_SCHEMA,
    PRODUCER,
    Assertion,
    Json,
    assertions_facet,
    error_facet,
    job_type_facet,
    output_statistics_facet,
    parent_facet,
)
from lake_assets.operations.lineage.graph import Job, Key, LakeGraph, Table
from lake_assets.operations.lineage.marts import DataTest

State = Literal["COMPLETE", "FAIL", "ABORT"]
# The namespace of the ids of jobs' runs, which are made of the ids of Dagster's runs.
_IDS = uuid.UUID("6f0a3c1e-58b4-5a35-9d5e-0d8a4c0b7f21")


@dataclass(slots=True)
class Written:
    """Rows and bytes that a run wrote to a table; None where they were not counted."""

    at: datetime
    rows: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check of Dagster; `severity` is `error` or `warn`."""

    name: str
    passed: bool
    severity: str


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run of Dagster that has ended, with the tables that it was to write and those that it wrote.

    `failed` are tables whose step failed, even if some of their windows were written.
    """

    run_id: str
    job: str
    started: datetime
    ended: datetime
    state: State
    planned: frozenset[Key]
    written: Mapping[Key, Written]
    failed: frozenset[Key] = frozenset()
    checks: Mapping[Key, tuple[CheckResult, ...]] = field(default_factory=dict[Key, tuple[CheckResult, ...]])


@dataclass(frozen=True, slots=True)
class Observed:
    """Writes to a table outside of Dagster's runs, which Dagster observed from `started` to `written.at`.

    `number` is the storage id of the last observation: it identifies them.
    """

    key: Key
    number: int
    started: datetime
    written: Written


@dataclass(frozen=True, slots=True)
class _Execution:
    """One execution of a job, of which a START and an end are written."""

    run_id: str
    started: datetime
    ended: datetime
    state: State
    parent: Json | None
    written: Mapping[Key, Written]
    error: str | None = None


class EventWriter:
    """Events of one lake. `namespace` is that of its jobs."""

    def __init__(self, graph: LakeGraph, namespace: str, tests: Mapping[str, DataTest]) -> None:
        self._graph = graph
        self._namespace = namespace
        self._tests = tests

    def of_run(self, run: FinishedRun) -> Iterator[Json]:
        """Yield the events of a run. A run that concerns no table has none."""
        jobs = self._graph.jobs(sorted(run.planned | run.written.keys()))
        if not jobs:
            return
        parent = parent_facet(run.run_id, self._namespace, run.job)
        own = Job(run.job, "DAGSTER", "RUN", "BATCH", (), ())
        error = None if run.state == "COMPLETE" else f"The run did not succeed: see run {run.run_id} in Dagster."
        yield from self._events(own, _Execution(run.run_id, run.started, run.ended, run.state, None, {}, error))
        for job in jobs:
            yield from self._events(job, _of_job(run, job, parent, error))
        for board in self._graph.boards_on(run.written):
            at = max(written.at for written in run.written.values())
            yield from self._events(board, _Execution(_id(run.run_id, board), at, at, "COMPLETE", parent, {}))
        for key, results in run.checks.items():
            if (table := self._graph.table(key)) is not None:
                job = Job(f"{'.'.join(key)}.checks", "DAGSTER", "CHECKS", "BATCH", (table,), ())
                execution = _Execution(_id(run.run_id, job), run.ended, run.ended, "COMPLETE", parent, {})
                yield from self._events(job, execution, self._assertions(results))

    def of_observed(self, observed: Observed) -> Iterator[Json]:
        """Yield the events of the job that writes a table outside of Dagster's runs, and of boards on a metric."""
        written = {observed.key: observed.written}
        jobs = self._graph.jobs([observed.key])
        if observed.key[0] == SCHEMA:
            jobs += self._graph.boards_on([observed.key])
        for job in jobs:
            run_id = _id(f"{'/'.join(observed.key)}/{observed.number}", job)
            yield from self._events(
                job, _Execution(run_id, observed.started, observed.written.at, "COMPLETE", None, written)
            )

    def _assertions(self, results: Iterable[CheckResult]) -> Sequence[Assertion]:
        assertions: list[Assertion] = []
        for result in results:
            test = self._tests.get(result.name, DataTest(result.name, None))
            assertions.append(Assertion(result.name, test.kind, result.passed, result.severity, test.column))
        return assertions

    def _events(self, job: Job, execution: _Execution, assertions: Sequence[Assertion] = ()) -> Iterator[Json]:
        facets = {"parent": execution.parent} if execution.parent else {}
        # Columns are facets of the outputs alone, at the end: they are most of an event, and each input is an output.
        inputs = [_dataset(table, {}) for table in job.inputs]
        if assertions:
            inputs = [
                {**each, "inputFacets": {"dataQualityAssertions": assertions_facet(assertions)}} for each in inputs
            ]
        named = {
            "namespace": self._namespace,
            "name": job.name,
            "facets": {"jobType": job_type_facet(job.processing, job.integration, job.kind)},
        }
        start = [_dataset(table, {}) for table in job.outputs]
        end = [_output(table, execution.written.get(table.key)) for table in job.outputs]
        error = {"errorMessage": error_facet(execution.error)} if execution.error else {}
        for kind, at, outputs, more in (
            ("START", execution.started, start, {}),
            (execution.state, max(execution.started, execution.ended), end, error),
        ):
            yield {
                "eventType": kind,
                "eventTime": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "producer": PRODUCER,
                "schemaURL": EVENT_SCHEMA,
                "run": {"runId": execution.run_id, "facets": {**facets, **more}},
                "job": named,
                "inputs": inputs,
                "outputs": outputs,
            }


def _of_job(run: FinishedRun, job: Job, parent: Json, error: str | None) -> _Execution:
    keys = [table.key for table in job.outputs]
    written = {key: run.written[key] for key in keys if key in run.written}
    if written and run.failed.isdisjoint(keys):
        ended = max(each.at for each in written.values())
        return _Execution(_id(run.run_id, job), run.started, ended, "COMPLETE", parent, written)
    state: State = "ABORT" if run.state == "ABORT" else "FAIL"
    error = error or f"Nothing was written: see run {run.run_id} in Dagster."
    return _Execution(_id(run.run_id, job), run.started, run.ended, state, parent, written, error)


def _id(run_id: str, job: Job) -> str:
    """Return the id of a job's run: always the same one for the same run of Dagster."""
    return str(uuid.uuid5(_IDS, f"{run_id}/{job.name}"))


def _dataset(table: Table, facets: Mapping[str, Json]) -> dict[str, object]:
    return {"namespace": table.dataset.namespace, "name": table.dataset.name, "facets": facets}


def _output(table: Table, written: Written | None) -> dict[str, object]:
    dataset = _dataset(table, table.output_facets)
    if written is not None and written.rows is not None:
        dataset["outputFacets"] = {"outputStatistics": output_statistics_facet(written.rows, written.size)}
    return dataset
