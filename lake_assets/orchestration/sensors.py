"""The trigger: new raw snapshots become materialization events and one run for everything behind them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.catalog.model import Asset, WindowSize
from lake_assets.ledger.ledger import Landed, Ledger, Pending
from lake_assets.orchestration.assets import QUEUED_ONLY
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key
from lake_assets.orchestration.metadata import landed_metadata
from lake_assets.orchestration.partitions import spans
from lake_assets.orchestration.refresh import observe
from lake_assets.settings import Settings

# Dagster's floor for sensors.
INTERVAL_SECONDS = 5
# A window that is still queued this long after it was first asked for (its run failed or was held back) is asked for
# again, as often as that.
RETRY_AFTER = timedelta(minutes=10)
# Windows that are this close together share a range; one tick asks for so many ranges at the most.
GAP, RANGES = 7, 3
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(slots=True)
class Cursor:
    """What the last tick knew: landing's cursors, the newest queue entry asked for, and when the old were retried."""

    raw: dict[str, str] = field(default_factory=dict)
    requested: int = 0
    retried: str = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Graph:
    """What the sensor needs to know of the asset graph: marts (in build order) and the staging keys behind each."""

    marts: Mapping[dg.AssetKey, frozenset[dg.AssetKey]]

    def behind(self, staging: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
        """The marts that read any of the staging tables."""
        changed = frozenset(staging)
        return [mart for mart, sources in self.marts.items() if sources & changed]


def raw_windows_sensor(
    settings: Settings,
    assets: Mapping[str, Asset],
    partitions: Mapping[WindowSize, dg.TimeWindowPartitionsDefinition],
    graph: Graph,
    targets: Sequence[dg.AssetsDefinition],
) -> dg.SensorDefinition:
    """The sensor `raw_windows`: an event for each raw window that was added to, and the runs that follow from it."""

    @dg.sensor(
        name="raw_windows",
        target=list(targets),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches the raw Iceberg tables; each window that was added to becomes an event and is made again.",
    )
    def raw_windows(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        cursor = Cursor(**json.loads(context.cursor)) if context.cursor else Cursor()
        now = datetime.now(UTC)
        with Ledger(settings) as ledger:
            if not ledger.exists():
                return dg.SkipReason("Nothing is applied yet: run `lake apply`.")
            landed, cursor.raw = observe(settings, ledger, list(assets.values()), cursor.raw)
            due = _due(ledger.pending(list(assets)), cursor, now)
        requests: list[dg.RunRequest] = []
        if due and _running(context.instance):
            # One run at a time: what lands meanwhile is taken by the next one, together.
            due = []
        if due:
            requests = list(run_requests(due, assets, partitions, graph))
            cursor.requested = max([cursor.requested, *(entry.id for entry in due)])
            cursor.retried = now.isoformat()
        return dg.SensorResult(
            asset_events=[event for name, windows in landed.items() for event in raw_events(assets[name], windows)],
            run_requests=requests,
            cursor=json.dumps(asdict(cursor)),
        )

    return raw_windows


def _due(pending: Sequence[Pending], cursor: Cursor, now: datetime) -> list[Pending]:
    if any(entry.id > cursor.requested for entry in pending):
        return list(pending)
    retry = now - datetime.fromisoformat(cursor.retried) >= RETRY_AFTER
    return list(pending) if retry else []


def _running(instance: dg.DagsterInstance) -> bool:
    return bool(
        instance.get_run_records(
            dg.RunsFilter(tags={QUEUED_ONLY: "true"}, statuses=_UNFINISHED),
            limit=1,
        )
    )


_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def raw_events(asset: Asset, windows: Sequence[Landed]) -> Iterator[dg.AssetMaterialization]:
    """One event for each raw window that was added to; its data version is the snapshot's sequence number."""
    for window in windows:
        yield dg.AssetMaterialization(
            raw_key(asset),
            partition=window.window,
            metadata=landed_metadata(window),
            tags={"dagster/data_version": str(window.sequence)},
        )


def run_requests(
    pending: Sequence[Pending],
    assets: Mapping[str, Asset],
    partitions: Mapping[WindowSize, dg.TimeWindowPartitionsDefinition],
    graph: Graph,
) -> Iterator[dg.RunRequest]:
    """Runs that bring the queued windows up to date, at most `RANGES` for each window size.

    The newest range goes with the marts behind all changed assets, so that a mart joined from two of them is built
    once; an older range holds late events, and the marts' automation notices it.
    """
    newest = max(entry.id for entry in pending)
    for size, definition in partitions.items():
        windows = [entry.window for entry in pending if assets[entry.asset].window == size]
        changed = sorted({entry.asset for entry in pending if assets[entry.asset].window == size})
        ranges = spans(windows, size, definition, GAP, RANGES)
        for first, last in ranges:
            touched = [
                name
                for name in changed
                if any(e.asset == name and (first <= e.window <= last or (first, last) == ranges[-1]) for e in pending)
            ]
            staging = [staging_key(assets[name]) for name in touched]
            keys = [key(assets[name]) for name in touched for key in (conformed_key, staging_key, quarantine_key)]
            yield dg.RunRequest(
                run_key=f"{newest}:{size}:{first}",
                asset_selection=keys + (graph.behind(staging) if (first, last) == ranges[-1] else []),
                tags={RANGE_START: first, RANGE_END: last, QUEUED_ONLY: "true"},
            )
