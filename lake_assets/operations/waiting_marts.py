"""Marts that are older than their staging tables and wait for the time of their next build, `LAKE_MART_MINUTES`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lake_assets.catalog.model import Asset
from lake_assets.dbt.manifest import Manifest
from lake_assets.dbt.mart_reads import stored_manifest
from lake_assets.operations.downstream import models_downstream
from lake_assets.operations.notify.problems import AssetKey, Mart, read_builds
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class WaitingMart:
    """A mart, the time of its last build, and the one from which it is built again; ISO 8601, UTC."""

    mart: str
    built: str
    until: str
    minutes: int

    def __str__(self) -> str:
        return (
            f"{self.mart} waits until {self.until} for its newest rows: it was built at {self.built}, and is built "
            f"again after {self.minutes} minutes (LAKE_MART_MINUTES). To build it now, run `lake run`."
        )


def waiting_marts(settings: Settings, assets: Iterable[Asset], now: datetime) -> list[WaitingMart]:
    """Return the marts of these assets that wait; none where marts do not wait. Raises Unavailable."""
    manifest = stored_manifest(settings) if settings.mart_minutes else None
    if manifest is None:
        return []
    marts = marts_of(assets, manifest)
    return find_waiting(marts, read_builds(settings, marts) if marts else {}, settings.mart_minutes, now)


def marts_of(assets: Iterable[Asset], manifest: Manifest) -> list[Mart]:
    """Return the marts downstream of these assets, with those of their staging tables; in order. Pure."""
    sources: dict[AssetKey, list[AssetKey]] = {}
    for asset in assets:
        for node in models_downstream(asset, manifest):
            if node["config"]["materialized"] != "ephemeral":
                sources.setdefault((node["schema"], node["alias"]), []).append((asset.staging_schema, asset.name))
    return [Mart(key, (), tuple(tables)) for key, tables in sorted(sources.items())]


def find_waiting(
    marts: Iterable[Mart], builds: Mapping[AssetKey, float], minutes: int, now: datetime
) -> list[WaitingMart]:
    """Return the marts that are older than a staging table, and may not be built again yet. Pure."""
    waiting: list[WaitingMart] = []
    for mart in marts:
        built = builds.get(mart.key)
        if built is None or all(builds.get(source, 0.0) <= built for source in mart.sources):
            continue
        at = datetime.fromtimestamp(built, UTC)
        until = at + timedelta(minutes=minutes)
        if now < until:
            waiting.append(WaitingMart(".".join(mart.key), _text(at), _text(until), minutes))
    return waiting


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
