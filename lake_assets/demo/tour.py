"""What `lake demo` does: events into Kafka, and the wait until sensor and automation have made them marts."""

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
from lake_assets.operations.adapters import ask_marts
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.in_process import marts_behind
from lake_assets.settings import Settings

SEED = 1
_POLL_SECONDS = 1.0
_STUCK_SECONDS = 300.0
# Every look costs a query, which a cloud lets wait and bills.


@dataclass(frozen=True, slots=True)
class Volume:
    """How much the demo sends: `sales` events, a fifth as many leads, and the contracts that those become."""

    sales: int
    days: int

    def rows(self) -> dict[str, int]:
        leads = self.sales // 5
        return {"leads": leads, "contracts": leads // LEADS_PER_CONTRACT, "sales": self.sales}


def send(settings: Settings, assets: Mapping[str, Asset], volume: Volume) -> list[ProduceReport]:
    """Sends the generated events of all three example assets; on one day always the same ones."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        produce_lines(settings, assets[name], generate(name, rows, SEED, end, volume.days))
        for name, rows in volume.rows().items()
    ]


def follow(settings: Settings, assets: Sequence[Asset], on_progress: Callable[[str], None]) -> float:
    """Waits until all that was produced has become marts, by itself; the seconds it took.

    Raises LakeError when nothing moves any more.
    """
    started = moved = time.monotonic()
    before: tuple[int, int, int] | None = None
    with Ledger(settings) as ledger:
        while True:
            under_way = sum(lag.under_way for lag in lags(settings, assets, known_offsets(ledger, assets)))
            # What has landed is queued here too: the sensor may not have looked yet.
            observe(settings, ledger, assets, ledger.cursors())
            queued = {(entry.asset, entry.window) for entry in ledger.pending([asset.name for asset in assets])}
            behind = marts_behind(settings)
            now = time.monotonic()
            state = (under_way, len(queued), len(behind))
            if state == (0, 0, 0):
                return now - started
            if state != before:
                before, moved = state, now
                on_progress(
                    f"{under_way} events on their way, {len(queued)} windows to make, {len(behind)} marts behind"
                )
            if now - moved > _STUCK_SECONDS:
                raise LakeError("nothing has moved for five minutes: see 'lake status' and Dagster's runs.")
            time.sleep(_POLL_SECONDS)


def one_more(settings: Settings, sales: Asset, on_progress: Callable[[str], None]) -> float:
    """Sends one sale of this moment and waits until an analyst finds it in the mart; the seconds it took.

    Every sale before it is in the mart by then: of those still on their way, the mart could not tell it.
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
    (before,) = ask_marts(settings, query, None).rows[0]
    started = time.monotonic()
    produce_lines(settings, sales, [json.dumps(sale).encode()])
    while time.monotonic() - started < _STUCK_SECONDS:
        (orders,) = ask_marts(settings, query, None).rows[0]
        if orders > before:
            return time.monotonic() - started
        time.sleep(settings.profile.mart_poll_seconds)
    raise LakeError("the last event has not reached the mart in five minutes: see 'lake status' and Dagster's runs.")
