"""The sensor `raw_windows`: new raw snapshots become materialization events and runs for what is downstream."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.landing.changes import Limit, has_changes
from lake_assets.landing.raw_catalog import raw_commits
from lake_assets.ledger.attempts import find_abandoned
from lake_assets.ledger.failures import mark_tries_requested
from lake_assets.ledger.ledger import Landed, Ledger
from lake_assets.operations.reader_priority import limit_readers
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.keys import raw_key
from lake_assets.orchestration.metadata import landed_metadata
from lake_assets.orchestration.partitions import add_windows
from lake_assets.orchestration.raw_checks import readable_events
from lake_assets.orchestration.run_requests import Graph, Slots, fresh_requests, read_slots, retry_requests
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

            def slots() -> Slots:
                return read_slots(context.instance, "fresh", settings.parallel_runs)

            def is_requestable(fresh: Slots) -> bool:
                find_abandoned(ledger, assets)
                retry = read_slots(context.instance, "retry", settings.parallel_runs)
                return bool(
                    retry_requests(ledger, assets, graph, retry)
                    or fresh_requests(context.instance, ledger, assets, graph, fresh)
                )

            def has_landed(fresh: Slots) -> bool:
                return has_changes(settings, fresh.open_to(assets).values(), cursor.cursors)

            if wait_seconds:
                _wait_for_work(settings, ledger, slots, is_requestable, has_landed, wait_seconds)
            limit = Limit(BUDGET_SECONDS, BUDGET_WINDOWS, cursor.postponed)
            observed = observe(settings, ledger, list(assets.values()), cursor.cursors, limit)
            find_abandoned(ledger, assets)
            fresh = fresh_requests(context.instance, ledger, assets, graph, slots())
            retry = retry_requests(ledger, assets, graph, read_slots(context.instance, "retry", settings.parallel_runs))
            ledger.mark_requested([entry for request in fresh for entry in request.entries])
            mark_tries_requested(ledger, {entry.asset for request in retry for entry in request.entries})
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
            run_requests=[request.run for request in (*fresh, *retry)],
            cursor=json.dumps(asdict(following)),
        )

    return raw_windows


def _wait_for_work(
    settings: Settings,
    ledger: Ledger,
    slots: Callable[[], Slots],
    is_requestable: Callable[[Slots], bool],
    has_landed: Callable[[Slots], bool],
    seconds: float,
) -> None:
    """Wait until there is something to do: a commit to a raw table, or a window to request.

    What lands during a run of its domain is requested when that has ended. A tick goes on waiting after a run behind
    which nothing has landed: Dagster begins the next one up to 5 s later. Sessions of analysts are kept at the lowest
    priority meanwhile.
    """
    deadline = time.monotonic() + seconds
    pause, limit_at = _PAUSE_SECONDS, 0.0
    is_notified, looked_at, busy = True, 0.0, frozenset[str]()
    with raw_commits(settings) as wait:
        # The code server ends when its threads have: one of them must not wait on.
        while (now := time.monotonic()) < deadline and threading.main_thread().is_alive():
            if now >= limit_at:
                limit_readers(ledger)
                limit_at = now + POLL_SECONDS
            fresh = slots()
            if is_requestable(fresh):
                return
            # A commit during a run of its domain was not looked for: the end of the run counts as a notification.
            if fresh.free and (is_notified or fresh.busy != busy or now - looked_at >= POLL_SECONDS):
                looked_at, busy = now, fresh.busy
                if has_landed(fresh):
                    return
            if fresh.busy:
                # The end of a run is no notification, and its tables may have commits all the time.
                if is_notified := wait(_BUSY_SECONDS):
                    time.sleep(_BUSY_SECONDS)
            elif is_notified := _is_notified(wait, min(deadline, now + POLL_SECONDS)):
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
