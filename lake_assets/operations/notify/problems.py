"""Problems that owners must know of, read in a fixed number of queries, however many assets there are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg

from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.failure import kind
from lake_assets.catalog.model import Asset
from lake_assets.ledger.failures import known_failures
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import troubles
from lake_assets.operations.notify.changes import Problem
from lake_assets.settings import Settings

# A mart that is behind its staging tables for so long is stale: an ordinary build takes seconds.
STALE_AFTER = timedelta(minutes=30)
# The first retry follows after a minute and repairs most failures, such as those of a server that restarted.
_TRIES = 2
_HELD_BACK: LiteralString = """\
select asset, is_over_budget, count(distinct "window"), min("window"), max("window"), array_agg(distinct name),
  (array_agg(sentence order by "window" desc) filter (where sentence is not null))[1]
from (
  select asset, "window", sentence, unnest(checks) as name, %(budget)s = any(checks) as is_over_budget
  from ledger.held_back
) as failed group by 1, 2 order by 1, 2"""
# Dagster's times have no zone and are UTC.
_BUILT: LiteralString = """\
select asset_key, extract(epoch from last_materialization_timestamp at time zone 'UTC')::float8
from asset_keys where asset_key = any(%s) and last_materialization_timestamp is not null"""

AssetKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mart:
    """A mart by its key in Dagster, with its owners and the staging tables that it reads."""

    key: AssetKey
    owners: tuple[str, ...]
    sources: tuple[AssetKey, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """A mart that is older than a staging table: since when that is known, and the time of its last build.

    Both are seconds since 1970; `built` is 0 for a mart that was never built.
    """

    since: float
    built: float


def asset_problems(ledger: Ledger, assets: Mapping[str, Asset]) -> list[Problem]:
    """Return failures, windows that are held back, and quarantines over their budget."""
    return [*_held_back(ledger, assets), *_failures(ledger, assets)]


def _held_back(ledger: Ledger, assets: Mapping[str, Asset]) -> list[Problem]:
    problems: list[Problem] = []
    for name, is_over, count, first, last, checks, sentence in ledger.connection.execute(
        _HELD_BACK, {"budget": BUDGET}
    ).fetchall():
        if name not in assets:
            continue
        windows = f"window {last} is" if count == 1 else f"{count:,} windows are"
        span = "" if count == 1 else f" ({first} to {last})"
        reason = f"Newest: {sentence}" if is_over and sentence else f"Explain it with `lake why {name} {last}`."
        what = "its quarantine is over the budget" if is_over else f"{', '.join(checks)} failed"
        text = f"{name}: {windows} held back{span}, because {what}. {reason}"
        problems.append(Problem(f"{'budget' if is_over else 'held back'} {name}", assets[name].owners, text))
    return problems


def _failures(ledger: Ledger, assets: Mapping[str, Asset]) -> list[Problem]:
    failures = [f for f in known_failures(ledger) if f.asset in assets and (f.tries >= _TRIES or f.next_try is None)]
    if not failures:
        return []
    pending = ledger.pending(sorted({failure.asset for failure in failures}))
    problems: dict[str, Problem] = {}
    for trouble in troubles(failures, {(entry.asset, entry.window) for entry in pending}):
        asset = assets[trouble.asset]
        # An error may quote values.
        hidden = f"see `lake status {asset.name}`" if asset.is_confidential else trouble.cause.rstrip(".")
        text = f"{asset.name}: {trouble.subject} cannot be built: {hidden}. {trouble.remedy}"
        key = f"failure {asset.name} {kind(trouble.cause)}"
        problems.setdefault(key, Problem(key, asset.owners, text))
    return list(problems.values())


def read_builds(settings: Settings, marts: Sequence[Mart]) -> dict[AssetKey, float]:
    """Return the time of the newest build of each mart and each staging table that marts read, as Dagster has it."""
    keys = {key for mart in marts for key in (mart.key, *mart.sources)}
    try:
        with psycopg.connect(settings.postgres.conninfo("dagster", "dagster"), autocommit=True) as connection:
            rows = connection.execute(_BUILT, [[json.dumps(list(key)) for key in keys]]).fetchall()
    except psycopg.errors.UndefinedTable:
        return {}  # Dagster has not created its tables yet
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error
    return {tuple(json.loads(key)): float(seconds) for key, seconds in rows}


def find_behind(
    marts: Sequence[Mart], builds: Mapping[AssetKey, float], before: Mapping[str, Behind], now: datetime
) -> dict[str, Behind]:
    """Return the marts that are older than one of their staging tables, by name. Pure.

    The time since when that is so starts again with each build: a mart whose tables change all the time is always
    behind for a moment.
    """
    behind: dict[str, Behind] = {}
    for mart in marts:
        built = builds.get(mart.key, 0.0)
        if any(builds.get(source, 0.0) > built for source in mart.sources):
            known = before.get(_name(mart))
            behind[_name(mart)] = known if known and known.built == built else Behind(now.timestamp(), built)
    return behind


def stale_marts(
    marts: Sequence[Mart], behind: Mapping[str, Behind], now: datetime, pause: timedelta = timedelta()
) -> list[Problem]:
    """Return the marts that are behind for too long; `pause` is how long they wait between two builds. Pure."""
    problems: list[Problem] = []
    for mart in marts:
        state = behind.get(_name(mart))
        if state and now.timestamp() - state.since >= (STALE_AFTER + pause).total_seconds():
            built = f"was last built at {datetime.fromtimestamp(state.built, now.tzinfo):%Y-%m-%d %H:%M} UTC"
            text = (
                f"{_name(mart)}: {built if state.built else 'was never built'}, and its staging tables have changed "
                "since: see its last run in Dagster, or build it with `lake run`."
            )
            problems.append(Problem(f"stale {_name(mart)}", mart.owners, text))
    return problems


def _name(mart: Mart) -> str:
    return ".".join(mart.key)
