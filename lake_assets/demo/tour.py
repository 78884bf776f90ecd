"""The steps of `lake demo`: send events to Kafka, then wait until sensor and automation have built the marts."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lake_assets.catalog.model import Asset
from lake_assets.demo.generator import LEADS_PER_CONTRACT, generate
from lake_assets.errors import LakeError
from lake_assets.landing.lag import lags
from lake_assets.landing.produce import ProduceReport, produce_lines
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.settled_offsets import known_offsets
from lake_assets.operations.adapters import query_marts
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.in_process import marts_behind
from lake_assets.settings import Settings
from lake_assets.waiting import poll_until

SEED = 1
_POLL_SECONDS = 1.0
_STUCK_SECONDS = 300.0
# Each poll is a query, which a cloud delays and bills.


@dataclass(frozen=True, slots=True)
class Volume:
    """The size of the demo: `sales` events, a fifth as many leads, and the contracts of those."""

    sales: int
    days: int

    def rows(self) -> dict[str, int]:
        leads = self.sales // 5
        return {"leads": leads, "contracts": leads // LEADS_PER_CONTRACT, "sales": self.sales}


def send(settings: Settings, assets: Mapping[str, Asset], volume: Volume) -> list[ProduceReport]:
    """Send the generated events of all three example assets; on the same day always the same ones."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        produce_lines(settings, assets[name], generate(name, rows, SEED, end, volume.days))
        for name, rows in volume.rows().items()
    ]


def follow(settings: Settings, assets: Sequence[Asset], on_progress: Callable[[str], None]) -> float:
    """Wait until all produced events are in the marts, without any action; return the seconds it took.

    Raises LakeError when there is no progress.
    """
    started = changed_at = time.monotonic()
    before: tuple[int, int, int] | None = None
    with Ledger(settings) as ledger:
        while True:
            in_flight = sum(lag.in_flight for lag in lags(settings, assets, known_offsets(ledger, assets)))
            # Queue landed windows here too: the sensor may not have run yet.
            observe(settings, ledger, assets, ledger.cursors())
            queued = {(entry.asset, entry.window) for entry in ledger.pending([asset.name for asset in assets])}
            stale_marts = marts_behind(settings)
            now = time.monotonic()
            state = (in_flight, len(queued), len(stale_marts))
            if state == (0, 0, 0):
                return now - started
            if state != before:
                before, changed_at = state, now
                on_progress(
                    f"{in_flight} events in flight, {len(queued)} windows to build, {len(stale_marts)} marts to build"
                )
            if now - changed_at > _STUCK_SECONDS:
                raise LakeError("no progress for five minutes: see `lake status` and Dagster's runs.")
            time.sleep(_POLL_SECONDS)


def one_more(settings: Settings, sales: Asset, on_progress: Callable[[str], None]) -> float:
    """Send one current sale and wait until an analyst sees it in the mart; return the seconds it took.

    Every earlier sale must be in the mart first: the mart cannot distinguish sales in flight.
    """
    follow(settings, [sales], on_progress)
    now = datetime.now(UTC)
    sale = {
        "order_id": f"demo-{uuid.uuid4().hex[:12]}",
        "region": "north",
        "product": "kettle",
        "quantity": 1,
        "amount": "34.99",
        "ordered_at": now.isoformat(timespec="milliseconds"),
    }
    query = (
        "select coalesce(sum(orders), 0) from sales_data_mart.sales "
        f"where region = 'north' and day = date '{now:%Y-%m-%d}'"
    )
    (before,) = query_marts(settings, query, None).rows[0]
    started = time.monotonic()
    produce_lines(settings, sales, [json.dumps(sale).encode()])
    orders = poll_until(
        lambda: query_marts(settings, query, None).rows[0][0],
        lambda orders: orders > before,
        _STUCK_SECONDS,
        settings.profile.mart_poll_seconds,
    )
    if orders > before:
        return time.monotonic() - started
    raise LakeError("the last event has not reached the mart in five minutes: see `lake status` and Dagster's runs.")
