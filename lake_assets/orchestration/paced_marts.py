"""Automatic builds of marts at a distance: the sensor `marts` of a lake with `LAKE_MART_MINUTES`.

Each build reads all history of its tables, which costs money in a cloud, and every commit changes a table. So a mart
waits after each build, and is then built once with everything that is newer than the start of its last build.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import dagster as dg

from lake_assets.orchestration.run_requests import UNFINISHED, Graph

# Metadata of a mart's event: storage id of the newest event of the tables it reads, from before its build began.
READ_UNTIL = "read_until"
# Tag of the runs that this sensor requests.
PACED = "lake/paced_marts"
INTERVAL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Build:
    """The newest build of a table or mart: its event's storage id and time (seconds since 1970).

    `read_until` and `version` (of its SQL) are those of a mart; None when the event does not have them.
    """

    storage_id: int
    at: float
    read_until: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last requested build of a mart, in seconds since 1970, and the version of its SQL."""

    at: float
    version: str | None


def paced_marts_sensor(definition: dg.AssetsDefinition, graph: Graph, minutes: int) -> dg.SensorDefinition:
    """Return the sensor `marts`, which builds each mart at most once in so many minutes."""

    @dg.sensor(
        name="marts",
        asset_selection=[definition],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Builds marts whose staging tables changed, each {minutes} minutes after its last build or later.",
    )
    def marts(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        running = dg.RunsFilter(tags={PACED: "true"}, statuses=UNFINISHED)
        if context.instance.get_run_records(running, limit=1):
            return dg.SkipReason("A build of marts has not ended.")
        attempts = {name: Attempt(**attempt) for name, attempt in json.loads(context.cursor or "{}").items()}
        now = datetime.now(UTC).timestamp()
        due = due_marts(graph, read_builds(context.instance, graph), attempts, now, minutes)
        if not due:
            return dg.SkipReason("Every mart is up to date, or waits.")
        names = {mart.to_user_string() for mart in graph.marts}
        attempts = {name: attempt for name, attempt in attempts.items() if name in names}
        attempts |= {mart.to_user_string(): Attempt(now, graph.versions[mart]) for mart in due}
        return dg.SensorResult(
            run_requests=[dg.RunRequest(asset_selection=due, tags={PACED: "true"})],
            cursor=json.dumps({name: asdict(attempt) for name, attempt in attempts.items()}),
        )

    return marts


def due_marts(
    graph: Graph, builds: Mapping[dg.AssetKey, Build], attempts: Mapping[str, Attempt], now: float, minutes: int
) -> list[dg.AssetKey]:
    """Return the marts to build now, in build order. Pure.

    A mart that reads another one waits for it, so that both are built from the same rows. SQL that changed is built at
    once: a person changed it.
    """
    decided: dict[dg.AssetKey, bool] = {}
    for mart in graph.marts:
        build, attempt = builds.get(mart), attempts.get(mart.to_user_string())
        version = graph.versions[mart]
        is_rewritten = build is not None and build.version is not None and build.version != version
        parents = [decided[parent] for parent in graph.parents.get(mart, ()) if parent in decided]
        if not is_rewritten and not any(parents) and not _is_behind(graph, builds, mart):
            continue
        last = max(build.at if build else 0.0, attempt.at if attempt else 0.0)
        is_new = is_rewritten and (attempt is None or attempt.version != version)
        decided[mart] = all(parents) and (is_new or now - last >= 60 * minutes)
    return [mart for mart, is_due in decided.items() if is_due]


def _is_behind(graph: Graph, builds: Mapping[dg.AssetKey, Build], mart: dg.AssetKey) -> bool:
    """Return True if a table changed since the mart's last build began to read, or a mart since it ended."""
    sources = [builds[key].storage_id for key in graph.marts[mart] if key in builds]
    build = builds.get(mart)
    if build is None:
        return bool(sources)
    parents = [builds[key].storage_id for key in graph.parents.get(mart, ()) if key in builds]
    read_until = build.storage_id if build.read_until is None else build.read_until
    return max(sources, default=0) > read_until or max(parents, default=0) > build.storage_id


def read_builds(instance: dg.DagsterInstance, graph: Graph) -> dict[dg.AssetKey, Build]:
    """Return the newest build of each mart and each table that marts read, in one query."""
    keys = {*graph.marts, *(source for sources in graph.marts.values() for source in sources)}
    builds: dict[dg.AssetKey, Build] = {}
    for record in instance.get_asset_records(sorted(keys)):
        entry = record.asset_entry.last_materialization
        event = entry.asset_materialization if entry else None
        if entry is None or event is None:
            continue
        until = event.metadata.get(READ_UNTIL)
        builds[record.asset_entry.asset_key] = Build(
            record.asset_entry.last_materialization_storage_id or 0,
            entry.timestamp,
            until.value if isinstance(until, dg.IntMetadataValue) else None,
            (event.tags or {}).get("dagster/code_version"),
        )
    return builds
