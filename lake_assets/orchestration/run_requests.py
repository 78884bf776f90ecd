"""Runs for queued windows: which ones to request now, from the queue and from the runs that have not ended.

A run builds the windows of one domain, so that a slow or failing domain does not delay the others; where no two runs
may be parallel, it builds those of all domains. Of each lane (see `Lane`) one run of a domain is unfinished at most:
the next one takes everything that lands in the meantime.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.retries import Lane, requestable, select_entries
from lake_assets.orchestration.assets import QUEUED_ONLY
from lake_assets.orchestration.keys import conformed_key, quarantine_key, staging_key

# Tag of a run of one domain. A run of `lake run` is of all domains and has none.
DOMAIN = "lake/domain"
ALL_DOMAINS = ""
# A window that is still queued this long after its run was requested (because the run failed) is requested again.
RETRY_AFTER = timedelta(minutes=10)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Values of `QUEUED_ONLY` by lane.
_TAGS: Mapping[Lane, str] = {"fresh": "true", "retry": "retry", "both": "both"}


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


@dataclass(frozen=True, slots=True)
class Request:
    """A run, and the queue entries that it covers."""

    run: dg.RunRequest
    entries: Sequence[Pending]


@dataclass(frozen=True, slots=True)
class Slots:
    """Domains with an unfinished run of a lane, of which `most` may be unfinished at once."""

    busy: frozenset[str]
    most: int

    @property
    def free(self) -> int:
        return 0 if ALL_DOMAINS in self.busy else max(0, self.most - len(self.busy))

    def open_to(self, assets: Mapping[str, Asset]) -> dict[str, Asset]:
        """Return the assets for which a run may be requested now."""
        return {name: asset for name, asset in assets.items() if asset.domain not in self.busy} if self.free else {}


def read_slots(instance: dg.DagsterInstance, lane: Lane, most: int) -> Slots:
    """Return the slots of a lane, in one query."""
    unfinished = dg.RunsFilter(tags={QUEUED_ONLY: [_TAGS[lane], _TAGS["both"]]}, statuses=UNFINISHED)
    records = instance.get_run_records(unfinished)
    return Slots(frozenset(record.dagster_run.tags.get(DOMAIN, ALL_DOMAINS) for record in records), most)


def fresh_requests(
    instance: dg.DagsterInstance, ledger: Ledger, assets: Mapping[str, Asset], graph: Graph, slots: Slots
) -> list[Request]:
    """Return the runs for windows without a failure that are due now, with the marts behind them."""
    assets, now = slots.open_to(assets), datetime.now(UTC)
    entries, _ = select_entries("fresh", ledger.pending(list(assets)), known_failures(ledger), now)
    requests: list[Request] = []
    for domain, own in _groups(entries, assets, slots).items():
        if len(requests) == slots.free:
            break
        asked = any(entry.requested_at for entry in own)
        if ready := due(own, now, _newest_run(instance, domain) if asked else None):
            requests.append(request_for(ready, assets, graph, "fresh", domain))
    return requests


def retry_requests(ledger: Ledger, assets: Mapping[str, Asset], graph: Graph, slots: Slots) -> list[Request]:
    """Return the runs for windows that failed and whose next try is due, so that no other window waits for them."""
    now = datetime.now(UTC)
    failures = requestable(known_failures(ledger), now)
    due_assets = {failure.asset for failure in failures if failure.is_due(now)}
    assets = {name: asset for name, asset in slots.open_to(assets).items() if name in due_assets}
    entries, _ = select_entries("retry", ledger.pending(list(assets)), failures, now) if assets else ([], {})
    domains = list(_groups(entries, assets, slots).items())[: slots.free]
    return [request_for(own, assets, graph, "retry", domain) for domain, own in domains]


def _groups(entries: Iterable[Pending], assets: Mapping[str, Asset], slots: Slots) -> dict[str, list[Pending]]:
    """Group the queue by domain: first the one whose oldest entry is the oldest. Pure."""
    domains: dict[str, list[Pending]] = {}
    for entry in entries:
        domains.setdefault(assets[entry.asset].domain if slots.most > 1 else ALL_DOMAINS, []).append(entry)
    return domains


def due(pending: Sequence[Pending], now: datetime, newest_run: datetime | None) -> list[Pending]:
    """Return entries without a requested run, or whose request failed: the run failed, or its tick ended too early.

    `newest_run` is the time at which the newest run for these windows was created. Pure.
    """
    return [
        entry
        for entry in pending
        if entry.requested_at is None
        or newest_run is None
        or newest_run < entry.requested_at
        or now - entry.requested_at >= RETRY_AFTER
    ]


def _newest_run(instance: dg.DagsterInstance, domain: str) -> datetime | None:
    """Return the creation time of a domain's newest run for queued windows, by the clock of Postgres, as in the queue.

    A run of `lake run` is one of each domain, too.
    """
    filters = [
        dg.RunsFilter(tags={QUEUED_ONLY: _TAGS["fresh"]} | ({DOMAIN: domain} if domain else {})),
        dg.RunsFilter(tags={QUEUED_ONLY: _TAGS["both"]}),
    ]
    runs = [run for each in filters for run in instance.get_run_records(each, limit=1)]
    return max((run.create_timestamp for run in runs), default=None)


def request_for(
    entries: Sequence[Pending], assets: Mapping[str, Asset], graph: Graph, lane: Lane, domain: str = ALL_DOMAINS
) -> Request:
    """Return the run that brings queued windows, at least one, up to date. Pure.

    It includes the marts downstream of the assets it changes, so that a mart joined from two of them is built once; a
    retry leaves them to their own automation. It names no partitions: its step reads the queued windows from the
    ledger.
    """
    names = sorted({entry.asset for entry in entries})
    staging = [staging_key(assets[name]) for name in names]
    tables = [key(assets[name]) for name in names for key in (conformed_key, staging_key, quarantine_key)]
    marts: Collection[dg.AssetKey] = [] if lane == "retry" else graph.behind(staging)
    tags = {QUEUED_ONLY: _TAGS[lane]} | ({DOMAIN: domain} if domain else {})
    return Request(dg.RunRequest(asset_selection=[*tables, *marts], tags=tags), entries)
