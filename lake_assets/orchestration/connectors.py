"""Restart failed connectors: Kafka Connect itself leaves a failed task as it is."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.errors import LakeError
from lake_assets.landing.connect import failures, restart_failed
from lake_assets.settings import Settings

INTERVAL_SECONDS = 15
LONGEST_PAUSE = timedelta(minutes=10)
# A failure that a day of retries did not fix needs a person; `lake apply` restarts the connector after the fix.
GIVE_UP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Failing:
    """A failed connector: start of the failure (epoch seconds), number of restarts, and time of the next one."""

    since: float
    tries: int
    due: float


def next_tries(
    before: Mapping[str, Failing], failed: Collection[str], now: datetime
) -> tuple[list[str], dict[str, Failing]]:
    """Return the failed connectors to restart now, and the state of all failed ones.

    The first retry is immediate; each pause is twice the one before it, up to ten minutes, and after a day there is
    none. A connector that was running in between starts from the first retry.
    """
    moment = now.timestamp()
    due: list[str] = []
    after: dict[str, Failing] = {}
    for name in sorted(failed):
        state = before.get(name, Failing(moment, 0, moment))
        if state.due <= moment and moment - state.since <= GIVE_UP.total_seconds():
            due.append(name)
            pause = min(INTERVAL_SECONDS * 2**state.tries, LONGEST_PAUSE.total_seconds())
            state = Failing(state.since, state.tries + 1, moment + pause)
        after[name] = state
    return due, after


def connectors_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor `connectors`, which restarts failed connectors and tasks, and logs the cause."""

    @dg.sensor(
        name="connectors",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Restarts failed connectors of Kafka Connect, for example after a database was unavailable.",
    )
    def restart(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        before = {name: Failing(**state) for name, state in json.loads(context.cursor or "{}").items()}
        try:
            failed = failures(settings)
            due, after = next_tries(before, failed, datetime.now(UTC))
            for name in due:
                context.log.warning(f"{failed[name]}; restarting it")
                restart_failed(settings, name)
        except LakeError as error:
            return dg.SkipReason(str(error))
        return dg.SensorResult(
            skip_reason=dg.SkipReason(_summary(due, after)),
            cursor=json.dumps({name: asdict(state) for name, state in after.items()}),
        )

    return restart


def _summary(due: Collection[str], failing: Mapping[str, Failing]) -> str:
    waiting = [f"{name} failed {state.tries} times" for name, state in failing.items() if name not in due]
    parts = [f"Restarted: {', '.join(due)}." if due else "", f"Waiting: {', '.join(waiting)}." if waiting else ""]
    return " ".join(part for part in parts if part) or "No connector has failed."
