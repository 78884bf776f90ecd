"""The trigger: new raw snapshots become materialization events and one run for everything behind them."""

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
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.assets import QUEUED_ONLY
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key
from lake_assets.orchestration.metadata import landed_metadata
from lake_assets.orchestration.partitions import add_windows
from lake_assets.orchestration.raw_checks import readable_events
from lake_assets.settings import Settings

# Dagster's floor for sensors.
INTERVAL_SECONDS = 5
# A window that is still queued this long after a run was asked for it (because the run failed) is asked for again.
RETRY_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Graph:
    """The marts (in build order) with the staging keys behind each, and the version of each mart's SQL."""

    marts: Mapping[dg.AssetKey, frozenset[dg.AssetKey]]
    versions: Mapping[dg.AssetKey, str | None]

    def behind(self, staging: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
        """The marts that read any of the staging tables."""
        changed = frozenset(staging)
        return [mart for mart, sources in self.marts.items() if sources & changed]


def raw_windows_sensor(
    settings: Settings,
    assets: Mapping[str, Asset],
    graph: Graph,
    targets: Sequence[dg.AssetsDefinition],
) -> dg.SensorDefinition:
    """The sensor `raw_windows`: an event for each raw window that was added to, and the runs that follow from it."""

    @dg.sensor(
        name="raw_windows",
        # As a `target` they would become one job, which may not hold windows of hours and of days.
        asset_selection=list(targets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches the raw Iceberg tables; each window that was added to becomes an event and is made again.",
    )
    def raw_windows(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        since, unreadable = read_cursor(context.cursor)
        request: Request | None = None
        retry: Request | None = None
        with Ledger(settings) as ledger:
            if not ledger.exists():
                return dg.SkipReason("Nothing is applied yet: run `lake apply`.")
            observed = observe(settings, ledger, list(assets.values()), since)
            find_abandoned(ledger, assets)
            pending, failures, now = ledger.pending(list(assets)), known_failures(ledger), datetime.now(UTC)
            # One run at a time: what lands meanwhile is taken by the next one, together.
            if not _running(context.instance, "fresh"):
                entries, _ = select_entries("fresh", pending, failures, now)
                request = request_for(due(entries, now, _newest_run(context.instance)), assets, graph)
            # Windows that failed are tried again beside it, so that no other one waits for them.
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
            run_requests=[one.run for one in (request, retry) if one],
            cursor=json.dumps({"cursors": observed.cursors, "unreadable": sorted(observed.unreadable)}),
        )

    return raw_windows


def read_cursor(text: str | None) -> tuple[dict[str, str], list[str]]:
    """Return the cursor of each asset, and the assets whose raw table could not be read; older lakes had the first."""
    cursor = json.loads(text) if text else {}
    if isinstance(cursor.get("cursors"), dict):
        return cursor["cursors"], cursor["unreadable"]
    return cursor, []


def due(pending: Sequence[Pending], now: datetime, newest_run: datetime | None) -> list[Pending]:
    """Return what no run was requested for yet, or in vain: the run failed, or its tick ended before there was one.

    `newest_run` is when the newest run for queued windows was made.
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
    """When the newest run for queued windows was made, by the clock of Postgres, which the queue's times are of too."""
    tags = {QUEUED_ONLY: [_TAGS["fresh"], _TAGS["both"]]}
    found = instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
    return found[0].create_timestamp if found else None


def _running(instance: dg.DagsterInstance, lane: Lane) -> bool:
    unfinished = dg.RunsFilter(tags={QUEUED_ONLY: [_TAGS[lane], _TAGS["both"]]}, statuses=_UNFINISHED)
    return bool(instance.get_run_records(unfinished, limit=1))


# The value of a run's tag by lane.
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
    """One event for each raw window that was added to; its data version is the snapshot's sequence number.

    Versions of a dataset share raw, so one of them tells of it: one with a cursor in `since`, if there is any, because
    to a new version all of raw is new.
    """
    for versions in by_dataset(assets[name] for name in landed).values():
        teller = next((one for one in versions if one.name in since), versions[0])
        for window in landed[teller.name]:
            yield dg.AssetMaterialization(
                raw_key(teller),
                partition=window.window,
                metadata=landed_metadata(window),
                tags={"dagster/data_version": str(window.sequence)},
            )


@dataclass(frozen=True, slots=True)
class Request:
    """A run, and the queue entries that it will take care of."""

    run: dg.RunRequest
    entries: Sequence[Pending]


def request_for(
    pending: Sequence[Pending], assets: Mapping[str, Asset], graph: Graph, lane: Lane = "fresh"
) -> Request | None:
    """Return the run that brings the queued windows up to date; None when nothing is queued.

    It holds the marts behind the assets it changes, so that a mart joined from two of them is built once; a run of
    windows that failed before leaves them to their own automation. It names no partitions: which windows an asset has
    in the queue, its step asks the ledger.
    """
    names = sorted({entry.asset for entry in pending})
    if not names:
        return None
    staging = [staging_key(assets[name]) for name in names]
    made = [key(assets[name]) for name in names for key in (conformed_key, staging_key, quarantine_key)]
    marts = [] if lane == "retry" else graph.behind(staging)
    return Request(dg.RunRequest(asset_selection=[*made, *marts], tags={QUEUED_ONLY: _TAGS[lane]}), pending)
