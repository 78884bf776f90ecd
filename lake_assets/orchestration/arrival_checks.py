"""Dagster's checks that events arrive as often as the contract expects."""

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
# Missing producers that a message names; more would not be read.
_NAMED = 20


def silence_checks(settings: Settings, assets: Sequence[Asset]) -> list[dg.AssetChecksDefinition]:
    """Return the checks `frequency` of topics and `roster` of staging tables; the sensor `silence` runs them."""
    return [
        *(_frequency_check(settings, asset) for asset in _newest(assets)),
        *(_roster_check(settings, asset) for asset in assets if asset.roster),
    ]


def _frequency_check(settings: Settings, asset: Asset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=topic_key(asset),
        name=FREQUENCY,
        description=f"An event arrives, and lands, at least every {in_words(asset.frequency or timedelta())}.",
    )
    def frequency() -> dg.AssetCheckResult:
        problem = silences(settings, [asset]).get(asset.name)
        return dg.AssetCheckResult(passed=problem is None, description=problem)

    return frequency


def _roster_check(settings: Settings, asset: Asset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=staging_key(asset),
        name=ROSTER,
        description=f"Every {asset.roster} of the last seven days keeps sending while others do.",
    )
    def roster() -> dg.AssetCheckResult:
        missing = missed(settings, asset)
        return dg.AssetCheckResult(passed=not missing, description=_absence(asset, missing), metadata=_times(missing))

    return roster


def silence_sensor(settings: Settings, assets: Sequence[Asset]) -> dg.SensorDefinition:
    """Return the sensor `silence`, which reports the result of a check when it changes."""

    @dg.sensor(
        name="silence",
        asset_selection=[topic_key(asset) for asset in assets],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails a check when a topic falls silent, its events do not land, or a producer is missing.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before: dict[str, str | None] = json.loads(context.cursor) if context.cursor else {}
        after: dict[str, str | None] = {}
        events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = []
        for name, evaluation in evaluations(settings, assets):
            # The end of the sentence has the duration, which always changes.
            after[name] = (evaluation.description or "").partition(":")[0] if not evaluation.passed else None
            if name not in before or after[name] != before[name]:
                events.append(evaluation)
        return dg.SensorResult(asset_events=events, cursor=json.dumps(after))

    return watch


def evaluations(settings: Settings, assets: Sequence[Asset]) -> Iterator[tuple[str, dg.AssetCheckEvaluation]]:
    """Yield the current result of each check, under a stable name. Raises Unavailable."""
    problems = silences(settings, assets)
    newest = {asset.name for asset in _newest(assets)}
    for asset in assets:
        if asset.name not in problems:
            continue
        if asset.name in newest:
            yield f"{asset.name}.{FREQUENCY}", _evaluation(topic_key(asset), FREQUENCY, problems[asset.name], {})
        if asset.roster:
            try:
                missing = missed(settings, asset)
                absence = _absence(asset, missing)
            # A file of its own staging table: the other assets are not affected.
            except (duckdb.IOException, Unreadable) as error:
                missing, absence = {}, f"could not be checked: {str(error).splitlines()[0]}"
            yield f"{asset.name}.{ROSTER}", _evaluation(staging_key(asset), ROSTER, absence, _times(missing))


def _newest(assets: Sequence[Asset]) -> list[Asset]:
    """Return the newest version with a frequency of each dataset, which stands for the topic."""
    return [versions[-1] for versions in by_dataset(asset for asset in assets if asset.frequency).values()]


def _evaluation(
    key: dg.AssetKey, check: str, problem: str | None, metadata: Mapping[str, MetadataValue]
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key, check_name=check, passed=problem is None, description=problem, metadata=metadata, blocking=False
    )


def _absence(asset: Asset, missing: Mapping[str, datetime]) -> str | None:
    if not missing:
        return None
    names = ", ".join(list(missing)[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
    return f"missing {asset.roster} {names}: the others of {asset.name} have sent since; contact them."


def _times(missing: Mapping[str, datetime]) -> dict[str, MetadataValue]:
    return {"newest_event": MetadataValue.json({name: time.isoformat() for name, time in missing.items()})}
