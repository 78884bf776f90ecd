"""The sensor `raw_windows`: new raw snapshots become materialization events and one run for everything downstream."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
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

# Dagster's floor for sensors.
INTERVAL_SECONDS = 5
# A window that is still queued this long after its run was requested (because the run failed) is requested again.
RETRY_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Graph:
    """Marts (in build order) with the staging keys that each reads, and the version of each mart's SQL."""

    marts: Mapping[dg.AssetKey, frozenset[dg.AssetKey]]
    versions: Mapping[dg.AssetKey, str | None]

    def behind(self, staging: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
        """Return the marts that read any of the staging tables."""
        changed = frozenset(staging)
        return [mart for mart, sources in self.marts.items() if sources & changed]


def raw_windows_sensor(
    settings: Settings,
    assets: Mapping[str, Asset],
    graph: Graph,
    targets: Sequence[dg.AssetsDefinition],
) -> dg.SensorDefinition:
    """Return the sensor `raw_windows`: an event for each raw window with new rows, and the runs that follow."""

    @dg.sensor(
        name="raw_windows",
        # As a `target` they would become one job, which may not combine hourly and daily windows.
        asset_selection=list(targets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches the raw Iceberg tables; each window with new rows becomes an event and is rebuilt.",
    )
    def raw_windows(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        since, unreadable = read_cursor(context.cursor)
        request: Request | None = None
        retry: Request | None = None
        with Ledger(settings) as ledger:
            if not ledger.exists():
                return dg.SkipReason("Nothing is applied yet: run `lake apply`.")
            limit_readers(ledger)
            observed = observe(settings, ledger, list(assets.values()), since)
            find_abandoned(ledger, assets)
            pending, failures, now = ledger.pending(list(assets)), known_failures(ledger), datetime.now(UTC)
            # One run at a time: the next one takes everything that lands in the meantime.
            if not _running(context.instance, "fresh"):
                entries, _ = select_entries("fresh", pending, failures, now)
                request = request_for(due(entries, now, _newest_run(context.instance)), assets, graph)
            # Failed windows are retried in a second run, so that no other window waits for them.
            if not _running(context.instance, "retry"):
                entries, _ = select_entries("retry", pending, requestable(failures, now), now)
                retry = request_for(entries, assets, graph, "retry")
            if request is not None:
                ledger.mark_requested(request.entries)
            if retry is not None:
                mark_tries_requested(ledger, {entry.asset for entry in retry.entries})
            for name, windows in observed.landed.items():
                add_windows(context.instance, ledger, assets[name], [window.window for window in windows])
        return dg.SensorResult(
            asset_events=[
                *raw_events(assets, observed.landed, since),
                *readable_events(assets, observed.unreadable, unreadable),
            ],
            run_requests=[each.run for each in (request, retry) if each],
            cursor=json.dumps({"cursors": observed.cursors, "unreadable": sorted(observed.unreadable)}),
        )

    return raw_windows


def read_cursor(text: str | None) -> tuple[dict[str, str], list[str]]:
    """Return the cursors by asset, and the assets whose raw table could not be read; older lakes lack the list."""
    cursor = json.loads(text) if text else {}
    if isinstance(cursor.get("cursors"), dict):
        return cursor["cursors"], cursor["unreadable"]
    return cursor, []


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
    unfinished = dg.RunsFilter(tags={QUEUED_ONLY: [_TAGS[lane], _TAGS["both"]]}, statuses=_UNFINISHED)
    return bool(instance.get_run_records(unfinished, limit=1))


# Values of a run's tag by lane.
_TAGS: Mapping[Lane, str] = {"fresh": "true", "retry": "retry", "both": "both"}


_UNFINISHED = [
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
