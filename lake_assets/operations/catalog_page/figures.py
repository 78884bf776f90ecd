"""Figures of all assets from Postgres, in a fixed number of queries."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.catalog_page.document import (
    AppliedVersion,
    AssetFigures,
    CheckResult,
    Day,
    Rejected,
)
from lake_assets.operations.quarantine import read_quarantine
from lake_assets.settings import Settings

# Days with rows that a chart has.
DAYS = 30
CheckKey = tuple[tuple[str, ...], str]
_DAYS = """\
select asset, day, rows, quarantined from (
  select asset, left("window", 10) as day, sum(good)::bigint as rows, sum(quarantined)::bigint as quarantined,
    row_number() over (partition by asset order by left("window", 10) desc) as age
  from ledger.window group by asset, left("window", 10)
) as days where age <= %s order by asset, day"""
_VERSIONS = """\
select asset, contract_version, count(*), sum(good)::bigint, sum(quarantined)::bigint, sum(duplicates)::bigint,
  max(published_at)
from ledger.window group by asset, contract_version order by asset, max(published_at) desc, contract_version desc"""
_HELD_BACK = 'select asset, "window" from ledger.held_back order by asset, "window"'
_APPLIED = "select asset, applied_at from ledger.contract"
# Dagster's columns have no time zone and are UTC.
_CHECKS = """\
select distinct on (asset_key, check_name) asset_key, check_name, execution_status, create_timestamp
from asset_check_executions where execution_status in ('SUCCEEDED', 'FAILED')
order by asset_key, check_name, id desc"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures by asset, and the last result of each check by Dagster's asset key and the check's name."""

    assets: Mapping[str, AssetFigures] = field(default_factory=dict[str, AssetFigures])
    checks: Mapping[CheckKey, CheckResult] = field(default_factory=dict[CheckKey, CheckResult])
    notes: tuple[str, ...] = ()


NO_FIGURES = Figures()


def read_figures(settings: Settings, ledger: Ledger, assets: Mapping[str, Asset], now: datetime) -> Figures:
    """Read the figures of these assets. Raises Unavailable when Postgres does not answer.

    The quarantine is read for assets with quarantined rows only, because that is a query of the warehouse.
    """
    connection = ledger.connection
    days: dict[str, list[Day]] = defaultdict(list)
    for asset, *numbers in connection.execute(_DAYS, (DAYS,)).fetchall():
        days[asset].append(Day(*numbers))
    versions: dict[str, list[AppliedVersion]] = defaultdict(list)
    for asset, *numbers in connection.execute(_VERSIONS).fetchall():
        versions[asset].append(AppliedVersion(*numbers))
    held_back: dict[str, list[str]] = defaultdict(list)
    for asset, window in connection.execute(_HELD_BACK).fetchall():
        held_back[asset].append(window)
    applied_at = dict(connection.execute(_APPLIED).fetchall())
    filled = [asset for name, asset in assets.items() if any(version.quarantined for version in versions[name])]
    reasons, notes = _quarantine(settings, filled)
    figures: dict[str, AssetFigures] = {}
    for name, asset in assets.items():
        published_at = max((version.published_at for version in versions[name]), default=None)
        figures[name] = AssetFigures(
            days=tuple(days[name]),
            versions=tuple(versions[name]),
            applied_at=applied_at.get(name),
            published_at=published_at,
            is_late=now - published_at > asset.freshness if asset.freshness and published_at else None,
            held_back=tuple(held_back[name]),
            quarantine=None if reasons is None else tuple(reasons.get(name, ())),
        )
    return Figures(figures, _checks(settings), notes)


def _quarantine(
    settings: Settings, assets: Sequence[Asset]
) -> tuple[Mapping[str, Sequence[Rejected]] | None, tuple[str, ...]]:
    """Return the reasons by asset without messages and samples, which may contain values; None if none can be read."""
    if not assets:
        return {}, ()
    try:
        report = read_quarantine(warehouse_for(settings), assets)
    except LakeError:
        return None, ("The reasons for quarantined rows are left out: the warehouse could not be read.",)
    rejected: dict[str, list[Rejected]] = defaultdict(list)
    for reason in report.reasons:
        rejected[reason.asset].append(Rejected(reason.code, reason.field, reason.rows, reason.windows))
    failed = ", ".join(sorted(report.failed))
    note = f"The reasons for quarantined rows of {failed} are left out: the tables could not be read."
    return rejected, (note,) if failed else ()


def _checks(settings: Settings) -> Mapping[CheckKey, CheckResult]:
    """Return the last results from Dagster's storage; none if nothing has run in this lake."""
    try:
        with psycopg.connect(settings.postgres.conninfo("dagster", "dagster"), autocommit=True) as connection:
            row = connection.execute("select to_regclass('asset_check_executions') is not null").fetchone()
            rows = connection.execute(_CHECKS).fetchall() if row and row[0] else []
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error
    return {
        (tuple(json.loads(key)), name): CheckResult(status == "SUCCEEDED", at.replace(tzinfo=UTC))
        for key, name, status, at in rows
    }
