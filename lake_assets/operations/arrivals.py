"""Check that events arrive as often as the contract expects: of a topic as a whole, and of each of its producers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lake_assets.catalog.model import Asset
from lake_assets.catalog.silence import REMEMBERED, Arrival, hide_names, missing_producers, silence
from lake_assets.compile.sql import identifier, literal
from lake_assets.landing.lag import positions
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Settings


def silences(settings: Settings, assets: Sequence[Asset]) -> dict[str, str | None]:
    """Return a sentence for each silent asset, None for each other one. Applied assets with a frequency are checked.

    The clock of an asset starts with its first check; an asset whose raw table cannot be read is left out. Raises
    Unavailable when broker or Postgres do not answer.
    """
    expected = [asset for asset in assets if asset.frequency]
    if not expected:
        return {}
    with Ledger(settings) as ledger:
        applied = set(ledger.contracts()) if ledger.exists() else set[str]()
        applied_assets = [asset for asset in expected if asset.name in applied]
        before, now, after = ledger.arrivals() if applied_assets else {}, datetime.now(UTC), dict[str, Arrival]()
        for name, (end, landed) in positions(settings, applied_assets).items() if applied_assets else ():
            after[name] = before.get(name, Arrival(end, now, landed)).moved(end, landed, now)
        ledger.save_arrivals(after)
    readable = [asset for asset in applied_assets if asset.name in after]
    return {asset.name: silence(asset, after[asset.name], _commit_interval(settings), now) for asset in readable}


def missed(settings: Settings, asset: Asset) -> dict[str, datetime]:
    """Return producers of the asset's roster that are silent while others send, with the time of their newest event.

    Producers with an event in the last seven days are expected. Events of the future are ignored: one of them would
    make all other producers missing. Raises Unavailable.
    """
    if asset.roster is None or asset.frequency is None:
        return {}
    # Imports DuckDB, which `lake status` does not need.
    from lake_assets.warehouse.local.connection import connect

    high = datetime.now(UTC)
    low = high - REMEMBERED
    session = connect(settings, lake=False)
    try:
        time, producer = identifier(asset.event_time_column), identifier(asset.roster)
        relation = warehouse_for(settings).staging(session, asset, [asset.roster, asset.event_time_column], low, high)
        span = " and ".join(
            f"{time} {operator} timestamptz {literal(moment.isoformat())}"
            for operator, moment in ((">=", low), ("<", high))
        )
        query = f"select {producer}::varchar, max({time})::timestamptz from {relation} where {span} group by all"
        newest = {
            str(name): time.astimezone(UTC) for name, time in session.execute(query).fetchall() if name is not None
        }
    finally:
        session.close()
    missing = missing_producers(newest, asset.frequency, _commit_interval(settings))
    return missing if asset.field(asset.roster).is_shown else hide_names(missing)


def _commit_interval(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.commit_seconds)
