"""Connectors that failed are started again: Kafka Connect itself leaves a failed task as it is."""

import dagster as dg

from lake_assets.errors import LakeError
from lake_assets.landing.connect import failures, restart_failed
from lake_assets.settings import Settings

# A task that fails at once is tried so often; what it fails of stays in `lake status`.
INTERVAL_SECONDS = 15


def connectors_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor `connectors`: restarts failed connectors and tasks, and says which and why."""

    @dg.sensor(
        name="connectors",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts connectors of Kafka Connect again that have failed, for example while a database was away.",
    )
    def restart(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            failed = failures(settings)
            for name, why in failed.items():
                context.log.warning(f"{why}; starting it again")
                restart_failed(settings, name)
        except LakeError as error:
            return dg.SkipReason(str(error))
        return dg.SkipReason(f"Started again: {', '.join(failed)}." if failed else "No connector has failed.")

    return restart
