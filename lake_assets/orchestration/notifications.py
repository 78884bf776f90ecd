"""The sensor `notifications`: owners learn of problems and of their end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.notify.channels import read_channels
from lake_assets.operations.notify.deliver import deliver
from lake_assets.operations.notify.problems import (
    Behind,
    Mart,
    asset_problems,
    find_behind,
    read_builds,
    stale_marts,
)
from lake_assets.orchestration.run_requests import Graph
from lake_assets.settings import Settings

INTERVAL_SECONDS = 60


def notifications_sensor(
    settings: Settings, assets: Mapping[str, Asset], graph: Graph, marts: Sequence[dg.AssetsDefinition]
) -> dg.SensorDefinition:
    """Return the sensor `notifications`. A tick has a fixed number of queries."""
    owners = {key: definition.get_asset_spec(key).owners for definition in marts for key in definition.keys}
    described = [
        Mart(tuple(key.path), tuple(owners[key]), tuple(tuple(source.path) for source in sorted(sources)))
        for key, sources in graph.marts.items()
    ]

    @dg.sensor(
        name="notifications",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends each problem once to its owners, and again when it is over: failures, windows that are held "
        "back, stale marts. Channels are the log, a webhook and e-mail.",
    )
    def notifications(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        cursor = json.loads(context.cursor or "{}")
        before = {name: Behind(**state) for name, state in cursor.get("behind", {}).items()}
        now = datetime.now(UTC)
        try:
            channels = read_channels()
            with Ledger(settings) as ledger:
                problems = asset_problems(ledger, assets) if ledger.exists() else []
            behind = find_behind(described, read_builds(settings, described) if described else {}, before, now)
        except LakeError as error:
            return dg.SkipReason(str(error))
        problems += stale_marts(described, behind, now, timedelta(minutes=settings.mart_minutes))
        known, failed = deliver(channels, cursor.get("known", {}), problems)
        for sentence in failed:
            context.log.warning(sentence)
        state = {"behind": {name: asdict(each) for name, each in behind.items()}, "known": known}
        summary = f"{len(problems)} problems. {' '.join(failed)}".strip()
        return dg.SensorResult(skip_reason=dg.SkipReason(summary), cursor=json.dumps(state))

    return notifications
