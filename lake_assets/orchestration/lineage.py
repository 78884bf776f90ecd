"""The sensor `lineage`: finished runs, and tables that Kafka Connect and stream_app fill, as events of OpenLineage."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_assets.aws import aws_region
from lake_assets.catalog.texts import Catalog
from lake_assets.dbt.mart_reads import stored_manifest
from lake_assets.errors import LakeError
from lake_assets.operations.lineage.columns import stored_column_sources
from lake_assets.operations.lineage.destination import Destination, read_destination
from lake_assets.operations.lineage.events import EventWriter, FinishedRun, Observed
from lake_assets.operations.lineage.facets import Json
from lake_assets.operations.lineage.graph import LakeGraph
from lake_assets.operations.lineage.marts import Marts, read_marts
from lake_assets.operations.lineage.names import Names
from lake_assets.operations.lineage.record import record
from lake_assets.orchestration.finished_runs import ended_runs, observed_tables, read_run
from lake_assets.settings import Settings

INTERVAL_SECONDS = 30
# Of reading runs; sending has a budget of its own, and Dagster ends a tick after 60 s.
BUDGET_SECONDS = 10.0
# An event is stored within this time after its id was given.
SETTLED_AFTER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Tick:
    """Runs and tables of a tick, and the cursor after them."""

    runs: list[FinishedRun]
    tables: list[Observed]
    cursor: dict[str, object]


def lineage_sensor(settings: Settings, applied: Catalog) -> dg.SensorDefinition:
    """Return the sensor `lineage`. A tick reads a bounded number of runs, however many there are."""

    @dg.sensor(
        name="lineage",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes finished runs as events of OpenLineage into files, and sends them to a server if one is "
        "set. A server that fails is tried again; it fails no run.",
    )
    def lineage(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            destination = read_destination()
            if destination is None:
                return dg.SkipReason("LAKE_LINEAGE is off.")
            names = Names(settings, aws_region() if settings.target == "aws" else "")
            # Without marts, which need no manifest to be known as tables that no contract has.
            observed = LakeGraph(names, applied, Marts()).observed_keys()
            tick = _read(context.instance, context.cursor, observed)
            events = _events(settings, applied, names, destination, tick) if tick.runs or tick.tables else iter(())
            sent = record(settings, destination, events)
        except LakeError as error:
            return dg.SkipReason(str(error))
        except OSError as error:
            return dg.SkipReason(f"The events cannot be written ({error.strerror}): see {error.filename}.")
        if sent is not None and sent.failures:
            context.log.warning(f"{sent.url} failed {sent.failures} times in a row: {sent.error}")
        summary = f"{len(tick.runs)} runs and {len(tick.tables)} tables."
        return dg.SensorResult(skip_reason=dg.SkipReason(summary), cursor=json.dumps(tick.cursor))

    return lineage


def _read(instance: dg.DagsterInstance, cursor_text: str | None, observed: list[tuple[str, ...]]) -> _Tick:
    cursor = json.loads(cursor_text or "{}")
    deadline = time.monotonic() + BUDGET_SECONDS
    runs: list[FinishedRun] = []
    number: int | None = cursor.get("run")
    for end in ended_runs(instance, number, datetime.now(UTC) - SETTLED_AFTER):
        if (run := read_run(instance, end)) is not None:
            runs.append(run)
        number = end.number
        if time.monotonic() >= deadline:
            break
    seen: dict[str, int] = cursor.get("tables", {})
    found = list(observed_tables(instance, observed, seen))
    known = {dg.AssetKey(list(key)).to_user_string() for key in observed}
    tables = {name: last for name, last in seen.items() if name in known}
    tables |= {name: each.number for name, each in found}
    return _Tick(runs, [each for _, each in found], {"run": number or 0, "tables": tables})


def _events(
    settings: Settings, applied: Catalog, names: Names, destination: Destination, tick: _Tick
) -> Iterator[Json]:
    manifest = stored_manifest(settings)
    marts = Marts()
    if manifest is not None:
        sources = stored_column_sources(settings, manifest, applied.assets, applied.metrics)
        marts = read_marts(manifest, applied.assets, applied.metrics, sources)
    writer = EventWriter(LakeGraph(names, applied, marts), destination.namespace, marts.tests)
    for table in tick.tables:
        yield from writer.of_observed(table)
    for run in tick.runs:
        yield from writer.of_run(run)
