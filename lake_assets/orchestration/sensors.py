"""The sensor `raw_windows`: new raw snapshots become materialization events and one run for everything downstream."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.landing.changes import Limit, has_changes
from lake_assets.landing.raw_catalog import raw_commits
from lake_assets.ledger.attempts import find_abandoned
from lake_assets.ledger.failures import known_failures, mark_tries_requested
from lake_assets.ledger.ledger import Landed, Ledger, Pending
from lake_assets.ledger.retries import Lane, requestable, select_entries
from lake_assets.operations.reader_priority import limit_readers
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.assets import QUEUED_ONLY
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key
from lake_assets.orchestration.metadata import landed_metadata
from lake_assets.orchestration.partitions import add_windows
from lake_assets.orchestration.raw_checks import readable_events
from lake_assets.settings import Settings

# Of one tick. Dagster ends a call after 60 s and then keeps nothing of it.
BUDGET_SECONDS = 20.0
# Windows of one tick, each of which is an event to store.
BUDGET_WINDOWS = 2000
# A tick waits so long for something to do: an event that lands must not wait for the next tick, which Dagster begins up
# to 5 s after this one.
WAIT_SECONDS = 25.0
# The longest wait without a look, for windows that commands queue and for catalogs that do not notify.
POLL_SECONDS = 5.0
# The shortest: commits of several tables come together. It doubles after each notification of nothing, which any
# session of Postgres can send.
_PAUSE_SECONDS = 0.1
_BUSY_SECONDS = 0.5
# Less than the 5 s between two rounds of Dagster's daemon: with as much, a tick that began a moment after its round is
# still too young at the next one, and the one after it begins 10 s later.
INTERVAL_SECONDS = 1
# A window that is still queued this long after its run was requested (because the run failed) is requested again.
RETRY_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Graph:
    """Marts (in build order) with the staging keys that each reads, and the version of each mart's SQL.

    `parents` are the marts that a mart reads directly.
    """

    marts: Mapping[dg.AssetKey, frozenset[dg.AssetKey]]
    versions: Mapping[dg.AssetKey, str | None]
    parents: Mapping[dg.AssetKey, frozenset[dg.AssetKey]] = field(default_factory=dict)

    def behind(self, staging: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
        """Return the marts that read any of the staging tables."""
        changed = frozenset(staging)
        return [mart for mart, sources in self.marts.items() if sources & changed]


def raw_windows_sensor(
    settings: Settings,
    assets: Mapping[str, Asset],
    graph: Graph,
    targets: Sequence[dg.AssetsDefinition],
    wait_seconds: float = 0.0,
) -> dg.SensorDefinition:
    """Return the sensor `raw_windows`: an event for each raw window with new rows, and the runs that follow.

    A tick with nothing to do waits for a commit to a raw table, for `wait_seconds` at most.
    """

    @dg.sensor(
        name="raw_windows",
        # As a `target` they would become one job, which may not combine hourly and daily windows.
        asset_selection=list(targets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches the raw Iceberg tables; each window with new rows becomes an event and is rebuilt.",
    )
    def raw_windows(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        cursor = read_cursor(context.cursor)
        with Ledger(settings) as ledger:
            if not ledger.exists():
                return dg.SkipReason("Nothing is applied yet: run `lake apply`.")

            def has_work() -> bool:
                find_abandoned(ledger, assets)
                return any(_requests(context.instance, ledger, assets, graph)) or has_changes(
                    settings, list(assets.values()), cursor.cursors
                )

            if wait_seconds:
                _wait_for_work(settings, ledger, has_work, lambda: _running(context.instance, "fresh"), wait_seconds)
            limit = Limit(BUDGET_SECONDS, BUDGET_WINDOWS, cursor.postponed)
            observed = observe(settings, ledger, list(assets.values()), cursor.cursors, limit)
            find_abandoned(ledger, assets)
            request, retry = _requests(context.instance, ledger, assets, graph)
            if request is not None:
                ledger.mark_requested(request.entries)
            if retry is not None:
                mark_tries_requested(ledger, {entry.asset for entry in retry.entries})
            for name, windows in observed.landed.items():
                add_windows(context.instance, ledger, assets[name], [window.window for window in windows])
        # A postponed table was not tried.
        unreadable = {*observed.unreadable, *(name for name in cursor.unreadable if name in observed.postponed)}
        following = SensorCursor(observed.cursors, sorted(unreadable), observed.postponed)
        return dg.SensorResult(
            asset_events=[
                *raw_events(assets, observed.landed, cursor.cursors),
                *readable_events(assets, observed.unreadable, cursor.unreadable, observed.postponed),
            ],
            run_requests=[each.run for each in (request, retry) if each],
            cursor=json.dumps(asdict(following)),
        )

    return raw_windows


def _wait_for_work(
    settings: Settings, ledger: Ledger, has_work: Callable[[], bool], is_running: Callable[[], bool], seconds: float
) -> None:
    """Wait until there is something to do: a commit to a raw table, or a window to request.

    What lands during a run is requested when the run has ended. A tick goes on waiting after a run behind which nothing
    has landed: Dagster begins the next one up to 5 s later. Sessions of analysts are kept at the lowest priority
    meanwhile.
    """
    deadline = time.monotonic() + seconds
    pause, limit_at = _PAUSE_SECONDS, 0.0
    with raw_commits(settings) as wait:
        # The code server ends when its threads have: one of them must not wait on.
        while time.monotonic() < deadline and threading.main_thread().is_alive():
            if time.monotonic() >= limit_at:
                limit_readers(ledger)
                limit_at = time.monotonic() + POLL_SECONDS
            if is_running():
                time.sleep(_BUSY_SECONDS)
            elif has_work():
                return
            elif _is_notified(wait, min(deadline, time.monotonic() + POLL_SECONDS)):
                time.sleep(pause)
                pause = min(2 * pause, POLL_SECONDS)
            else:
                pause = _PAUSE_SECONDS


def _is_notified(wait: Callable[[float], bool], until: float) -> bool:
    """Return True at a commit to a raw table, False at the time `until` of the monotonic clock."""
    while time.monotonic() < until and threading.main_thread().is_alive():
        if wait(_BUSY_SECONDS):
            return True
    return False


def _requests(
    instance: dg.DagsterInstance, ledger: Ledger, assets: Mapping[str, Asset], graph: Graph
) -> "tuple[Request | None, Request | None]":
    """Return the run for queued windows that is due now, and the one for windows that failed before."""
    request: Request | None = None
    retry: Request | None = None
    pending, failures, now = ledger.pending(list(assets)), known_failures(ledger), datetime.now(UTC)
    # One run at a time: the next one takes everything that lands in the meantime.
    if not _running(instance, "fresh"):
        entries, _ = select_entries("fresh", pending, failures, now)
        request = request_for(due(entries, now, _newest_run(instance)), assets, graph)
    # Failed windows are retried in a second run, so that no other window waits for them.
    if not _running(instance, "retry"):
        entries, _ = select_entries("retry", pending, requestable(failures, now), now)
        retry = request_for(entries, assets, graph, "retry")
    return request, retry


@dataclass(frozen=True, slots=True)
class SensorCursor:
    """Progress of the sensor: cursors by asset, assets whose raw table cannot be read, and those to read first."""

    cursors: Mapping[str, str]
    unreadable: Sequence[str] = ()
    postponed: Sequence[str] = ()


def read_cursor(text: str | None) -> SensorCursor:
    """Return the progress from its text; older lakes have only the cursors, or not the postponed assets."""
    cursor = json.loads(text) if text else {}
    return SensorCursor(**cursor) if isinstance(cursor.get("cursors"), dict) else SensorCursor(cursor)


def due(pending: Sequence[Pending], now: datetime, newest_run: datetime | None) -> list[Pending]:
    """Return entries without a requested run, or whose request failed: the run failed, or its tick ended too early.

    `newest_run` is the time at which the newest run for queued windows was created.
    """
    return [
        entry
        for entry in pending
        if entry.requested_at is None
        or newest_run is None
        or newest_run < entry.requested_at
        or now - entry.requested_at >= RETRY_AFTER
    ]


def _newest_run(instance: dg.DagsterInstance) -> datetime | None:
    """Return the creation time of the newest run for queued windows, by the clock of Postgres, as in the queue."""
    tags = {QUEUED_ONLY: [_TAGS["fresh"], _TAGS["both"]]}
    runs = instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
    return runs[0].create_timestamp if runs else None


def _running(instance: dg.DagsterInstance, lane: Lane) -> bool:
    unfinished = dg.RunsFilter(tags={QUEUED_ONLY: [_TAGS[lane], _TAGS["both"]]}, statuses=UNFINISHED)
    return bool(instance.get_run_records(unfinished, limit=1))


# Values of a run's tag by lane.
_TAGS: Mapping[Lane, str] = {"fresh": "true", "retry": "retry", "both": "both"}


UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def raw_events(
    assets: Mapping[str, Asset], landed: Mapping[str, Sequence[Landed]], since: Collection[str]
) -> Iterator[dg.AssetMaterialization]:
    """Yield an event for each raw window with new rows; its data version is the snapshot's sequence number.

    Versions of a dataset share raw, so one of them reports it: one with a cursor in `since`, if there is any, because
    for a new version all of raw is new.
    """
    for versions in by_dataset(assets[name] for name in landed).values():
        reporter = next((version for version in versions if version.name in since), versions[0])
        for window in landed[reporter.name]:
            yield dg.AssetMaterialization(
                raw_key(reporter),
                partition=window.window,
                metadata=landed_metadata(window),
                tags={"dagster/data_version": str(window.sequence)},
            )


@dataclass(frozen=True, slots=True)
class Request:
    """A run, and the queue entries that it covers."""

    run: dg.RunRequest
    entries: Sequence[Pending]


def request_for(
    pending: Sequence[Pending], assets: Mapping[str, Asset], graph: Graph, lane: Lane = "fresh"
) -> Request | None:
    """Return the run that brings the queued windows up to date; None when nothing is queued.

    It includes the marts downstream of the assets it changes, so that a mart joined from two of them is built once; a
    retry leaves them to their own automation. It names no partitions: its step reads the queued windows from the
    ledger.
    """
    names = sorted({entry.asset for entry in pending})
    if not names:
        return None
    staging = [staging_key(assets[name]) for name in names]
    tables = [key(assets[name]) for name in names for key in (conformed_key, staging_key, quarantine_key)]
    marts = [] if lane == "retry" else graph.behind(staging)
    return Request(dg.RunRequest(asset_selection=[*tables, *marts], tags={QUEUED_ONLY: _TAGS[lane]}), pending)
