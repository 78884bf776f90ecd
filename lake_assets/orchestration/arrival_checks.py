"""Dagster's checks that events keep coming as the contract says."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg
import duckdb
from dagster import MetadataValue

from lake_assets.catalog.model import Asset
from lake_assets.catalog.silence import in_words
from lake_assets.catalog.versions import by_dataset
from lake_assets.errors import Unreadable
from lake_assets.operations.arrivals import missed, silences
from lake_assets.orchestration.keys import staging_key, topic_key
from lake_assets.settings import Settings

FREQUENCY, ROSTER = "frequency", "roster"
INTERVAL_SECONDS = 30
# Producers are read from staging; more of them than a person looks at are not all named.
_NAMED = 20


def silence_checks(settings: Settings, assets: Sequence[Asset]) -> list[dg.AssetChecksDefinition]:
    """The checks `frequency` of topics and `roster` of staging tables; the sensor `silence` does them by itself."""
    return [
        *(_frequency_check(settings, asset) for asset in _newest(assets)),
        *(_roster_check(settings, asset) for asset in assets if asset.roster),
    ]


def _frequency_check(settings: Settings, asset: Asset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=topic_key(asset),
        name=FREQUENCY,
        description=f"An event comes, and lands, at least every {in_words(asset.frequency or timedelta())}.",
    )
    def frequency() -> dg.AssetCheckResult:
        said = silences(settings, [asset]).get(asset.name)
        return dg.AssetCheckResult(passed=said is None, description=said)

    return frequency


def _roster_check(settings: Settings, asset: Asset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=staging_key(asset),
        name=ROSTER,
        description=f"Every {asset.roster} of the last seven days goes on sending while others do.",
    )
    def roster() -> dg.AssetCheckResult:
        missing = missed(settings, asset)
        return dg.AssetCheckResult(passed=not missing, description=_absence(asset, missing), metadata=_times(missing))

    return roster


def silence_sensor(settings: Settings, assets: Sequence[Asset]) -> dg.SensorDefinition:
    """The sensor `silence`: the result of each check whenever it becomes another."""

    @dg.sensor(
        name="silence",
        asset_selection=[topic_key(asset) for asset in assets],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Turns a check red when a topic falls silent, its events do not land, or a producer is missing.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before: dict[str, str | None] = json.loads(context.cursor) if context.cursor else {}
        seen: dict[str, str | None] = {}
        events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = []
        for name, evaluation in evaluations(settings, assets):
            # The sentence tells for how long, so it alone changes all the time.
            seen[name] = (evaluation.description or "").partition(":")[0] if not evaluation.passed else None
            if name not in before or seen[name] != before[name]:
                events.append(evaluation)
        return dg.SensorResult(asset_events=events, cursor=json.dumps(seen))

    return watch


def evaluations(settings: Settings, assets: Sequence[Asset]) -> Iterator[tuple[str, dg.AssetCheckEvaluation]]:
    """Each check's result as of now, under a name that stays the same. Raises Unavailable."""
    said = silences(settings, assets)
    newest = _newest(assets)
    for asset in assets:
        if asset.name not in said:
            continue
        if asset in newest:
            yield f"{asset.name}.{FREQUENCY}", _evaluation(topic_key(asset), FREQUENCY, said[asset.name], {})
        if asset.roster:
            try:
                missing = missed(settings, asset)
                absence = _absence(asset, missing)
            # A file of its staging table, which the others do not have.
            except (duckdb.IOException, Unreadable) as error:
                missing, absence = {}, f"could not be looked at: {str(error).splitlines()[0]}"
            yield f"{asset.name}.{ROSTER}", _evaluation(staging_key(asset), ROSTER, absence, _times(missing))


def _newest(assets: Sequence[Asset]) -> list[Asset]:
    """Those that speak for their topic: of each dataset the newest version that says how often events are expected."""
    return [versions[-1] for versions in by_dataset(asset for asset in assets if asset.frequency).values()]


def _evaluation(
    key: dg.AssetKey, check: str, said: str | None, metadata: Mapping[str, MetadataValue]
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key, check_name=check, passed=said is None, description=said, metadata=metadata, blocking=False
    )


def _absence(asset: Asset, missing: Mapping[str, datetime]) -> str | None:
    if not missing:
        return None
    names = ", ".join(list(missing)[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
    return f"missing {asset.roster} {names}: the others of {asset.name} have sent since; ask for them."


def _times(missing: Mapping[str, datetime]) -> dict[str, MetadataValue]:
    return {"newest_event": MetadataValue.json({name: at.isoformat() for name, at in missing.items()})}
