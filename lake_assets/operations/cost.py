"""The report of `lake cost`: a month of the ledger, priced for a target and its settings."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lake_assets.catalog.model import Asset, WindowSize
from lake_assets.catalog.windows import window_end, window_start
from lake_assets.compile.cost import DAY, CostSettings, Line, Usage, cost_lines, exceeded_quotas, row_bytes
from lake_assets.dbt.mart_reads import stored_manifest
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.month_figures import MonthFigures, month_figures, published_months
from lake_assets.operations.waiting_marts import marts_of
from lake_assets.settings import Settings
from lake_assets.target_profiles import PROFILES, Target

_HOUR = 3_600
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Settings to compute with instead of the lake's own; None keeps one."""

    commit_seconds: int | None = None
    mart_minutes: int | None = None
    window: WindowSize | None = None

    def __bool__(self) -> bool:
        return (self.commit_seconds, self.mart_minutes, self.window) != (None, None, None)


@dataclass(frozen=True, slots=True)
class CostReport:
    """Lines of cost of a month, of all assets or of one, with the settings that they were computed for.

    `unchanged` are the lines with the lake's own settings, where `cost` has others. `problems` are sentences about
    quotas that would be exceeded. `marts_are_known` is False before the dbt project was parsed for the first time.
    """

    cost: CostSettings
    usages: tuple[Usage, ...]
    lines: tuple[Line, ...]
    unchanged: tuple[Line, ...] | None
    problems: tuple[str, ...]
    month: str = ""
    marts_are_known: bool = True


def check_month(month: str) -> str:
    """Return the month. Raises LakeError if it is not written as 2026-11."""
    if not _MONTH.fullmatch(month):
        raise LakeError(f"'{month}' is not a month: write it as 2026-11.")
    return month


def read_cost(
    settings: Settings,
    known: Mapping[str, Asset],
    chosen: Collection[Asset],
    month: str,
    *,
    target: Target,
    changes: Changes,
    now: datetime,
) -> CostReport:
    """Return the costs of the chosen ones of all `known` assets in a month, by the ledger alone.

    Marts read other assets too, so the figures of all are read, in one statement. Raises Unavailable, and LakeError
    with a sentence when there is nothing to price.
    """
    if not known:
        raise LakeError("no contract is applied: write one with `lake new`, and run `lake apply`.")
    names = {asset.name for asset in chosen}
    with Ledger(settings) as ledger:
        figures = month_figures(ledger, list(known.values()), month)
        if not any(each.windows for each in figures if each.asset in names):
            raise LakeError(_nothing_sentence(chosen, month, published_months(ledger, list(chosen))))
    manifest = stored_manifest(settings)
    marts = {
        ".".join(mart.key): [name for _, name in mart.sources]
        for mart in (marts_of(known.values(), manifest) if manifest else ())
    }
    report = price_month(usages_of(known, figures, now), marts, names, own_settings(settings, target), changes)
    return replace(report, month=month, marts_are_known=manifest is not None)


def price_month(
    usages: Sequence[Usage],
    marts: Mapping[str, Collection[str]],
    chosen: Collection[str],
    own: CostSettings,
    changes: Changes,
) -> CostReport:
    """Return the lines of the chosen assets, which share marts with others, with the changed settings. Pure."""
    cost = CostSettings(
        own.target,
        own.commit_seconds if changes.commit_seconds is None else changes.commit_seconds,
        own.mart_minutes if changes.mart_minutes is None else changes.mart_minutes,
        changes.window,
    )

    def lines(of: CostSettings) -> tuple[Line, ...]:
        return tuple(line for line in cost_lines(usages, marts, of) if line.asset in chosen)

    return CostReport(
        cost,
        tuple(usage for usage in usages if usage.asset in chosen),
        lines(cost),
        lines(own) if changes else None,
        tuple(exceeded_quotas(usages, cost)),
    )


def own_settings(settings: Settings, target: Target) -> CostSettings:
    """Return the lake's settings on its own target, and the defaults of another one."""
    if target == settings.target:
        return CostSettings(target, settings.commit_seconds, settings.mart_minutes)
    return CostSettings(target, PROFILES[target].commit_seconds, PROFILES[target].mart_minutes)


def usages_of(known: Mapping[str, Asset], figures: Sequence[MonthFigures], now: datetime) -> list[Usage]:
    """Return the figures in the form of the formulas. Pure."""
    newest = {asset.dataset: asset.name for asset in sorted(known.values(), key=lambda asset: asset.major)}
    return [
        _usage(asset, each, now, has_raw=newest[asset.dataset] == asset.name)
        for each in figures
        if (asset := known.get(each.asset))
    ]


def _usage(asset: Asset, figures: MonthFigures, now: datetime, *, has_raw: bool) -> Usage:
    seconds = _covered_seconds(asset.window, figures, now)
    return Usage(
        asset=asset.name,
        rows=figures.rows,
        window=asset.window,
        windows={
            "hour": figures.windows if asset.window == "hour" else max(seconds / _HOUR, 1),
            "day": max(seconds / DAY, 1) if asset.window == "month" else figures.days,
            "month": 1,
        },
        seconds=seconds,
        raw_bytes=figures.raw_bytes,
        staging_rows=figures.staging_rows,
        staging_raw_bytes=figures.staging_raw_bytes,
        row_bytes=row_bytes(asset),
        spark_seconds=figures.spark_seconds,
        has_raw=has_raw,
    )


def _covered_seconds(size: WindowSize, figures: MonthFigures, now: datetime) -> float:
    """Return the seconds of the month's windows, without what is still to come of the newest one."""
    if figures.newest is None:
        return 0
    start, end = window_start(figures.newest, size), window_end(figures.newest, size)
    to_come = end - now if start <= now < end else now - now
    # All windows of a month have the same length.
    return (figures.windows * (end - start) - to_come).total_seconds()


def _nothing_sentence(assets: Collection[Asset], month: str, months: tuple[str, str] | None) -> str:
    subject = next(iter(assets)).name if len(assets) == 1 else "any asset"
    if months is None:
        return f"no window of {subject} is published yet: send events with `lake produce`, and wait or run `lake run`."
    first, last = months
    return (
        f"no window of {subject} is in {month}: there are windows from {first} to {last}. "
        f"Choose a month, as in `--month {last}`."
    )


def current_month(now: datetime) -> str:
    """Return the month of a time, in UTC."""
    return f"{now.astimezone(UTC):%Y-%m}"
