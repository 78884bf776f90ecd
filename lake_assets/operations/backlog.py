"""Backlog of each asset (in flight to raw, queued for conform, held back by a check) and of each metric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.home import Home
from lake_assets.landing.lag import lags
from lake_assets.landing.topics import offsets
from lake_assets.ledger.attempts import find_abandoned
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.forgotten import unfinished
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import Trouble, troubles
from lake_assets.ledger.settled_offsets import known_offsets
from lake_assets.operations.arrivals import silences
from lake_assets.operations.metric_status import read_metric_status
from lake_assets.operations.refresh import observe
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Backlog:
    """Backlog of one asset.

    `under_way` are records in flight, None when the raw table is `unreadable`, which has the cause. `queued` and
    `held_back` are windows. `silence` is a sentence about arrivals that break the contract's frequency, `forgetting`
    one about an unfinished erasure, with the command that finishes it. `troubles` are the causes of failed windows,
    with the time of the next try.
    """

    asset: str
    under_way: int | None
    queued: int
    held_back: int
    silence: str | None
    forgetting: str | None
    troubles: list[Trouble]
    unreadable: str | None = None


def backlog(settings: Settings, assets: Sequence[Asset]) -> list[Backlog]:
    """Return the backlog of these assets, in order. Raises Unavailable when broker or Postgres do not answer."""
    with Ledger(settings) as ledger:
        if not ledger.exists():
            return []
        # Read lag before the queue: a record that lands in between is counted twice rather than missed.
        behind = lags(settings, assets, known_offsets(ledger, assets))
        observed = observe(settings, ledger, assets, ledger.cursors())
        find_abandoned(ledger, {asset.name: asset for asset in assets})
        silent = silences(settings, assets)
        begun = {e.dataset: f"{e}; unless a process is running it: `{e.command}`" for e in unfinished(ledger)}
        names = [asset.name for asset in assets]
        queued = {(entry.asset, entry.window) for entry in ledger.pending(names)}
        waiting = Counter(name for name, _ in queued)
        held_back = ledger.held_back_counts()
        failing: dict[str, list[Trouble]] = {}
        for trouble in troubles(known_failures(ledger, names), queued):
            failing.setdefault(trouble.asset, []).append(trouble)
        return [
            Backlog(
                asset.name,
                None if lag.landed is None else lag.in_flight,
                waiting[asset.name],
                held_back.get(asset.name, 0),
                silent.get(asset.name),
                begun.get(asset.dataset),
                failing.get(asset.name, []),
                observed.unreadable.get(asset.name),
            )
            for asset, lag in zip(assets, behind, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class MetricBacklog:
    """Last reported numbers of a metric's embedded instance.

    `under_way` are records that are not counted yet, None until the instance has every partition. `watermark` is ISO
    8601, empty before any event. `state` is in words.
    """

    metric: str
    state: str
    under_way: int | None
    watermark: str
    events_per_second: float
    open_windows: int
    late: int
    undecodable: int
    transaction_seconds: float
    failed_transactions: int


def metric_backlog(
    settings: Settings, metrics: Mapping[str, Metric], assets: Mapping[str, Asset]
) -> list[MetricBacklog]:
    """Return the backlog of every metric, in order. Raises Unavailable when the broker does not answer."""
    ends = offsets(settings, {assets[metric.source].topic for metric in metrics.values()}) if metrics else {}
    layout = Home(settings.home)
    return [
        _metric(metric, ends.get(assets[metric.source].topic, {}), read_metric_status(layout, metric.table))
        for metric in metrics.values()
    ]


def _metric(metric: Metric, ends: Mapping[int, tuple[int, int]], numbers: Mapping[str, object]) -> MetricBacklog:
    def number(name: str) -> float:
        return float(str(numbers.get(name, 0)))

    read: Mapping[str, int] = numbers.get("next_offsets") or {}  # pyright: ignore[reportAssignmentType]
    whole = bool(ends) and len(read) == len(ends)
    seconds = number("watermark_seconds")
    if not numbers:
        state = "not running"
    elif numbers["waiting_for"]:
        state = f"waiting for {numbers['waiting_for']}"
    else:
        state = "restoring" if number("restoring") else "counting"
    return MetricBacklog(
        metric.table,
        state,
        sum(max(0, end - read[str(partition)]) for partition, (_, end) in ends.items()) if whole else None,
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else "",
        number("events_per_second"),
        int(number("open_windows")),
        int(number("late")),
        int(number("undecodable")),
        number("transaction_seconds"),
        int(number("failed_transactions")),
    )
