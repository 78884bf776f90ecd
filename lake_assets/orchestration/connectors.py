"""Connectors that failed are started again: Kafka Connect itself leaves a failed task as it is."""

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
# What a day of tries did not mend, no further one will; `lake apply` starts it again when somebody has mended it.
GIVE_UP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Failing:
    """A connector that has been failing since a time (epoch seconds), was started again `tries` times, and is due for
    the next try at a time."""

    since: float
    tries: int
    due: float


def next_tries(
    before: Mapping[str, Failing], failed: Collection[str], now: datetime
) -> tuple[list[str], dict[str, Failing]]:
    """The failed connectors whose turn it is, and what is to be remembered of all that fail.

    The first try is at once; each pause is twice the one before it, up to ten minutes, and after a day there is none.
    A connector that was seen running begins anew.
    """
    moment = now.timestamp()
    due: list[str] = []
    after: dict[str, Failing] = {}
    for name in sorted(failed):
        known = before.get(name, Failing(moment, 0, moment))
        if known.due <= moment and moment - known.since <= GIVE_UP.total_seconds():
            due.append(name)
            pause = min(INTERVAL_SECONDS * 2**known.tries, LONGEST_PAUSE.total_seconds())
            known = Failing(known.since, known.tries + 1, moment + pause)
        after[name] = known
    return due, after


def connectors_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor `connectors`: restarts failed connectors and tasks, and says which and why."""

    @dg.sensor(
        name="connectors",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts connectors of Kafka Connect again that have failed, for example while a database was away.",
    )
    def restart(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        before = {name: Failing(**known) for name, known in json.loads(context.cursor or "{}").items()}
        try:
            failed = failures(settings)
            due, after = next_tries(before, failed, datetime.now(UTC))
            for name in due:
                context.log.warning(f"{failed[name]}; starting it again")
                restart_failed(settings, name)
        except LakeError as error:
            return dg.SkipReason(str(error))
        return dg.SensorResult(
            skip_reason=dg.SkipReason(_told(due, after)),
            cursor=json.dumps({name: asdict(known) for name, known in after.items()}),
        )

    return restart


def _told(due: Collection[str], failing: Mapping[str, Failing]) -> str:
    waiting = [f"{name} failed {known.tries} times" for name, known in failing.items() if name not in due]
    said = [f"Started again: {', '.join(due)}." if due else "", f"Waiting: {', '.join(waiting)}." if waiting else ""]
    return " ".join(part for part in said if part) or "No connector has failed."
