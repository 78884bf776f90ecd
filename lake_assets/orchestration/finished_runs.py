"""Finished runs and observed tables, as Dagster's storage has them, for lineage."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import Literal

import dagster as dg
from dagster import DagsterEventType, EventLogRecord

from lake_assets.operations.lineage.events import CheckResult, FinishedRun, Observed, State, Written
from lake_assets.operations.lineage.graph import Key

RunEnd = Literal[DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED]
# Runs of one tick, and of the first one, which would otherwise begin a month ago.
RUNS = 20
# Events of a run that are read at once. Their number is that of the windows of a run, times three.
_PAGE = 1_000
# Observations of a table in one tick; the next tick reads on.
OBSERVATIONS = 500
# Tables of one tick.
TABLES = 100
_ENDS: Mapping[RunEnd, State] = {
    DagsterEventType.RUN_SUCCESS: "COMPLETE",
    DagsterEventType.RUN_FAILURE: "FAIL",
    DagsterEventType.RUN_CANCELED: "ABORT",
}
_OF_INTEREST = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.STEP_FAILURE,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run, with the storage id of its event."""

    number: int
    run_id: str
    at: datetime
    state: State


def ended_runs(instance: dg.DagsterInstance, after: int | None, until: datetime) -> list[Ended]:
    """Return the ends of the next runs after a storage id; without one, those of the newest runs.

    Ends after `until`, which is some seconds ago, wait. Ids are given before an event is stored: one that is still
    being stored may have a lower id than one that can be read already, and would be passed over.
    """
    ends: list[Ended] = []
    for event_type, state in _ENDS.items():
        records = instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(event_type, after_storage_id=after),
            limit=RUNS,
            ascending=after is not None,
        ).records
        ends += [Ended(record.storage_id, record.run_id, _time(record.timestamp), state) for record in records]
    ends.sort(key=lambda end: end.number)
    # Of each kind there are `RUNS`, so that the first ones of all are complete, and the last ones as well.
    following = ends[:RUNS] if after is not None else ends[-RUNS:]
    return list(takewhile(lambda end: end.at <= until, following))


def read_run(instance: dg.DagsterInstance, end: Ended) -> FinishedRun | None:
    """Return a run with all that it wrote and checked; None if it was deleted, or never started."""
    record = instance.get_run_record_by_id(end.run_id)
    if record is None or record.start_time is None:
        return None
    run = _Collected()
    for event in _events(instance, end.run_id):
        run.add(event)
    selection = {tuple(key.path) for key in record.dagster_run.asset_selection or ()}
    return FinishedRun(
        end.run_id,
        record.dagster_run.job_name,
        _time(record.start_time),
        end.at,
        end.state,
        frozenset(run.planned | selection),
        run.written,
        run.failed,
        {key: tuple(results.values()) for key, results in run.checks.items()},
    )


def observed_tables(
    instance: dg.DagsterInstance, keys: Collection[Key], cursor: Mapping[str, int]
) -> Iterator[tuple[str, Observed]]:
    """Yield what was written to these tables outside of runs, with the table's name in the cursor.

    A table that is new to the cursor begins with its newest observations.
    """
    records = instance.get_asset_records([dg.AssetKey(list(key)) for key in keys])
    changed: list[tuple[int, dg.AssetKey]] = []
    for record in records:
        entry = record.asset_entry
        newest = entry.last_materialization_storage_id
        if newest is not None and newest > cursor.get(entry.asset_key.to_user_string(), 0):
            changed.append((newest, entry.asset_key))
    for _, key in sorted(changed)[:TABLES]:
        name = key.to_user_string()
        events = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, after_storage_id=cursor.get(name)),
            limit=OBSERVATIONS,
            ascending=name in cursor,
        ).records
        if events:
            yield name, _observed(tuple(key.path), events)


def _observed(key: Key, events: Collection[EventLogRecord]) -> Observed:
    times = [event.timestamp for event in events]
    written = Written(_time(max(times)))
    for event in events:
        metadata = event.asset_materialization.metadata if event.asset_materialization else {}
        rows, size = _number(metadata, "rows_added"), _number(metadata, "bytes_added")
        if rows is not None:
            written.rows = (written.rows or 0) + rows
            written.size = (written.size or 0) + (size or 0)
    return Observed(key, max(event.storage_id for event in events), _time(min(times)), written)


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[EventLogRecord]:
    cursor = None
    while True:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=_OF_INTEREST, limit=_PAGE)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


@dataclass(slots=True)
class _Collected:
    """Tables and checks of a run, as its events come."""

    planned: set[Key] = field(default_factory=set[Key])
    written: dict[Key, Written] = field(default_factory=dict[Key, Written])
    checks: dict[Key, dict[str, CheckResult]] = field(default_factory=dict[Key, dict[str, CheckResult]])
    failed_steps: set[str] = field(default_factory=set[str])

    @property
    def failed(self) -> frozenset[Key]:
        """Return the tables of steps that failed. Marts share a step: those that dbt built are written."""
        steps = {step.partition(".")[0].removeprefix("conform_") for step in self.failed_steps if "." in step}
        return frozenset(key for key in self.planned | self.written.keys() if _step_name(key) in steps)

    def add(self, record: EventLogRecord) -> None:
        event = record.event_log_entry.dagster_event
        if event is None:
            return
        if event.is_step_failure:
            self.failed_steps.add(event.step_key or "")
        elif event.is_asset_materialization_planned:
            self.planned.add(tuple(event.asset_materialization_planned_data.asset_key.path))
        elif event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            severity = "error" if check.severity == dg.AssetCheckSeverity.ERROR else "warn"
            results = self.checks.setdefault(tuple(check.asset_key.path), {})
            results[check.check_name] = CheckResult(check.check_name, check.passed, severity)
        elif (materialization := record.asset_materialization) is not None:
            self._add_table(tuple(materialization.asset_key.path), _time(record.timestamp), materialization.metadata)

    def _add_table(self, key: Key, at: datetime, metadata: Mapping[str, object]) -> None:
        written = self.written.setdefault(key, Written(at))
        written.at = max(written.at, at)
        good, quarantined = _number(metadata, "good"), _number(metadata, "quarantined")
        if good is None or quarantined is None:
            return
        if key[0] == "conformed":
            written.rows = (written.rows or 0) + good + quarantined
            written.size = (written.size or 0) + (_number(metadata, "bytes") or 0)
        else:
            held_back = getattr(metadata.get("held_back"), "value", False)
            published = quarantined if key[-1].endswith("_quarantine") else good
            written.rows = (written.rows or 0) + (0 if held_back else published)


def _step_name(key: Key) -> str:
    """Return the asset's name of a table that `conform_NAME` writes."""
    return key[-1].removesuffix("_quarantine")


def _number(metadata: Mapping[str, object], name: str) -> int | None:
    value = getattr(metadata.get(name), "value", None)
    return value if isinstance(value, int) else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
