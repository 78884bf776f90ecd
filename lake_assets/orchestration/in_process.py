"""`lake run`: do once, in this process, what sensor and automation do continuously."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.compile.connector import connector_name
from lake_assets.errors import LakeError, Unavailable
from lake_assets.landing.connect import connector_status, restart_failed
from lake_assets.landing.lag import lags
from lake_assets.landing.topics import offsets
from lake_assets.ledger.applied import applied_catalog, read_applied
from lake_assets.ledger.attempts import find_abandoned
from lake_assets.ledger.failures import known_failures, try_now
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.retries import Trouble, select_entries, troubles
from lake_assets.ledger.settled_offsets import known_offsets
from lake_assets.operations.adapters import mart_access_for
from lake_assets.operations.audit import audit
from lake_assets.operations.refresh import observe
from lake_assets.operations.unapplied import Unapplied, unapplied
from lake_assets.orchestration.assets import EVERY_WINDOW_MADE
from lake_assets.orchestration.definitions import build_definitions, mart_graph
from lake_assets.orchestration.instance import open_instance
from lake_assets.orchestration.keys import conformed_key, quarantine_key, staging_key
from lake_assets.orchestration.metadata import window_metadata
from lake_assets.orchestration.partitions import add_windows
from lake_assets.orchestration.run_requests import Graph, request_for
from lake_assets.orchestration.sensors import raw_events
from lake_assets.settings import Settings
from lake_assets.warehouse.marts import mart_schemas

_POLL_SECONDS = 0.5
_SHOWN = 12
# After this long without progress, the connectors are checked.
_SUSPICIOUS_SECONDS = 10.0
# Besides the time between two commits: a connector whose worker was killed needs 22 s before its first commit, and more
# on a busy machine.
_STALLED_SECONDS = 60.0


@dataclass(slots=True)
class RunReport:
    """Result of one `lake run`. Windows are by asset name.

    `failed` has the causes of failed steps by name, `troubles` those of failed windows, including windows that it did
    not try. `closed` are schemas of marts that analysts may not read yet, `unapplied` are the differences of the files.
    `unreadable` has the causes of unreadable raw tables by asset.
    """

    waited_seconds: float = 0.0
    under_way: int = 0
    published: dict[str, list[str]] = field(default_factory=dict)
    held_back: dict[str, list[str]] = field(default_factory=dict)
    marts: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unapplied: Unapplied = field(default_factory=Unapplied)
    troubles: list[Trouble] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def run_once(settings: Settings, on_progress: Callable[[str], None], only: Asset | None = None) -> RunReport:
    """Wait until all records produced so far have landed, then bring every queued window and its marts up to date.

    Failed windows are retried without a pause; those that are set aside only if their asset is the `only` one.
    Raises LakeError when nothing is applied, Unavailable when a part does not answer.
    """
    report = RunReport()
    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet: run `lake apply` first.")
        applied = read_applied(ledger)
        assets = applied.assets if only is None else {only.name: only}
        report.under_way, report.waited_seconds = _wait_until_landed(settings, ledger, assets, on_progress)
        before = ledger.cursors()
        observed = observe(settings, ledger, list(assets.values()), before)
        landed, report.unreadable = observed.landed, observed.unreadable
        find_abandoned(ledger, assets)
        try_now(ledger, list(assets), set_aside=only is not None)
        pending, _ = select_entries("both", ledger.pending(list(assets)), known_failures(ledger), datetime.now(UTC))
    with open_instance(settings) as instance:
        with Ledger(settings) as ledger:
            for name, windows in landed.items():
                add_windows(instance, ledger, assets[name], [window.window for window in windows])
        for event in raw_events(assets, landed, before):
            instance.report_runless_asset_event(event)
        _make(settings, instance, assets, pending, report, on_progress)
        # A mart may be stale without anything queued: its last build failed, or a run crashed before it.
        _make_stale_marts(settings, instance, assets, report, on_progress)
    if report.marts:
        report.closed = mart_access_for(settings).missing(mart_schemas(settings))
    report.unapplied = unapplied(settings, applied)
    with Ledger(settings) as ledger:
        queued = {(entry.asset, entry.window) for entry in ledger.pending(list(assets))}
        report.troubles = troubles(known_failures(ledger, list(assets)), queued)
        # A window that changed for two reasons is in the queue twice.
        for name, window in dict.fromkeys((entry.asset, entry.window) for entry in pending):
            if (name, window) not in queued:
                report.published.setdefault(name, []).append(window)
        for asset in assets.values():
            if held_back := [row.window for row in ledger.held_back(asset)]:
                report.held_back[asset.name] = held_back
    return report


def make_windows(
    settings: Settings, assets: Mapping[str, Asset], pending: Sequence[Pending], on_progress: Callable[[str], None]
) -> RunReport:
    """Bring these entries of the queue and the marts downstream up to date; fills only `marts` and `failed`."""
    report = RunReport()
    with Ledger(settings) as ledger:
        find_abandoned(ledger, assets)
        # A user requested them.
        try_now(ledger, {entry.asset for entry in pending}, set_aside=True)
    with open_instance(settings) as instance:
        _make(settings, instance, assets, pending, report, on_progress)
    return report


def report_published(settings: Settings, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
    """Report windows that were published without a run to Dagster, so that the marts downstream are due."""
    with open_instance(settings) as instance:
        for output in outputs:
            for key in (conformed_key(asset), staging_key(asset), quarantine_key(asset)):
                numbers = window_metadata(output, held_back=False)
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(key, partition=output.window, metadata=numbers)
                )


def build_stale_marts(
    settings: Settings, assets: Mapping[str, Asset], on_progress: Callable[[str], None]
) -> Mapping[str, str]:
    """Build the marts that are older than their sources; return failures by step."""
    report = RunReport()
    with open_instance(settings) as instance:
        _make_stale_marts(settings, instance, assets, report, on_progress)
    return report.failed


def _make_stale_marts(
    settings: Settings,
    instance: dg.DagsterInstance,
    assets: Mapping[str, Asset],
    report: RunReport,
    on_progress: Callable[[str], None],
) -> None:
    if stale := stale_marts(instance, _graph(settings)):
        on_progress(f"{', '.join('.'.join(key.path) for key in stale)}")
        _execute(settings, instance, assets, stale, {}, report)


def _make(
    settings: Settings,
    instance: dg.DagsterInstance,
    assets: Mapping[str, Asset],
    pending: Sequence[Pending],
    report: RunReport,
    on_progress: Callable[[str], None],
) -> None:
    """Execute the run that the sensor would request, in this process."""
    if not pending:
        return
    request = request_for(pending, assets, _graph(settings), "both")
    keys = request.run.asset_selection or ()
    on_progress(_shown(keys, assets))
    with Ledger(settings) as ledger:
        ledger.mark_requested(request.entries)
    _execute(settings, instance, assets, keys, request.run.tags, report)


def _shown(keys: Sequence[dg.AssetKey], assets: Mapping[str, Asset]) -> str:
    """Return the datasets and marts that a run builds, the first few by name, without the tables of each."""
    tables = {key: name for name, asset in assets.items() for key in (staging_key(asset), quarantine_key(asset))}
    tables |= {conformed_key(asset): name for name, asset in assets.items()}
    names = sorted({tables.get(key) or ".".join(key.path) for key in keys})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _execute(
    settings: Settings,
    instance: dg.DagsterInstance,
    assets: Mapping[str, Asset],
    keys: Sequence[dg.AssetKey],
    tags: Mapping[str, str],
    report: RunReport,
) -> None:
    job = _definitions(settings).resolve_implicit_global_asset_job_def()
    # dagster-dbt repeats dbt's output on standard output, which is for the command's result.
    with redirect_stdout(sys.stderr):
        result = job.execute_in_process(
            instance=instance,
            asset_selection=list(keys),
            tags=dict(tags),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    _collect(report, result, assets)


@cache
def _definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings, applied_catalog(settings))


def _graph(settings: Settings) -> Graph:
    return graph_of_marts(_definitions(settings))


def graph_of_marts(definitions: dg.Definitions) -> Graph:
    """Return the graph of the marts among all assets: those that have a version, of their SQL, and no windows."""
    nodes = [node for node in definitions.assets or () if isinstance(node, dg.AssetsDefinition)]
    return mart_graph([n for n in nodes if not n.partitions_def and any(n.code_versions_by_key.values())])


def stale_marts(instance: dg.DagsterInstance, graph: Graph) -> list[dg.AssetKey]:
    """Return the marts that are older than a staging table they read or than their own SQL, in build order."""
    keys = {*graph.marts, *(source for sources in graph.marts.values() for source in sources)}
    entries = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(sorted(keys))}
    newest = {key: entry.last_materialization_storage_id or 0 for key, entry in entries.items()}

    def stale(mart: dg.AssetKey, sources: frozenset[dg.AssetKey]) -> bool:
        built = newest.get(mart, 0)
        if any(newest.get(source, 0) > built for source in sources):
            return True
        entry = entries[mart].last_materialization if built else None
        event = entry.asset_materialization if entry else None
        version = (event.tags or {}).get("dagster/code_version") if event else None
        return version is not None and version != graph.versions[mart]

    return [mart for mart, sources in graph.marts.items() if stale(mart, sources)]


def marts_behind(settings: Settings) -> list[dg.AssetKey]:
    """Return the marts that are older than a staging table they read or than their own SQL, in build order."""
    graph = _graph(settings)
    with open_instance(settings) as instance:
        return stale_marts(instance, graph)


def _collect(report: RunReport, result: dg.ExecuteInProcessResult, assets: Mapping[str, Asset]) -> None:
    staging = {asset.staging_schema for asset in assets.values()} | {"conformed"}
    for event in result.get_asset_materialization_events():
        key = event.asset_key
        if key is not None and key.path[0] not in staging:
            report.marts.append(".".join(key.path))
    for evaluation in result.get_asset_check_evaluations():
        if evaluation.check_name == EVERY_WINDOW_MADE and not evaluation.passed:
            # By the name of its step.
            report.failed[f"conform_{evaluation.asset_key.path[-1]}"] = evaluation.description or "failed"
    for event in result.get_step_failure_events():
        # The step of an asset stands in a graph of its own, which has the name.
        report.failed[(event.step_key or "run").partition(".")[0]] = _reason(event.step_failure_data)


def _reason(failure: StepFailureData) -> str:
    """Return the sentences of a step that failed with some, else the first line of its error.

    For dbt that is its first error, instead of its command line.
    """
    if failure.user_failure_data and failure.user_failure_data.description:
        return " ".join(failure.user_failure_data.description.split())
    if failure.error is None:
        return "failed"
    message = (failure.error.cause or failure.error).message
    _, _, logs = message.partition("Errors parsed from dbt logs:")
    # Each error follows a line of progress that only announces it.
    errors = [" ".join(part.split()) for part in logs.split("\n\n")]
    return next((e for e in errors if " Error in " in e), "") or message.strip().splitlines()[0]


def _wait_until_landed(
    settings: Settings, ledger: Ledger, assets: Mapping[str, Asset], on_progress: Callable[[str], None]
) -> tuple[int, float]:
    """Returns how many records had not landed when it stopped waiting, and the seconds it waited."""
    started = moved = time.monotonic()
    # The versions of a dataset land together.
    listed = [versions[0] for versions in by_dataset(assets.values()).values()]
    # What is produced from now on is not waited for: of a stream that never pauses there is always something.
    ends = offsets(settings, [asset.topic for asset in listed])
    smallest: int | None = None
    looked = False
    restarted: set[str] = set()
    while True:
        known = known_offsets(ledger, list(assets.values()))
        behind = [lag for lag in lags(settings, listed, known, ends) if lag.in_flight]
        waiting = sum(lag.in_flight for lag in behind)
        now = time.monotonic()
        if waiting == 0:
            return 0, now - started
        if smallest is None or waiting < smallest:
            smallest, moved, looked = waiting, now, False
            on_progress(f"waiting for {waiting} produced records to land")
        if now - moved > _SUSPICIOUS_SECONDS and not looked:
            looked = True
            for name in sorted({connector_name(asset.domain) for asset in listed}):
                status = connector_status(settings, name)
                if status is None:
                    raise LakeError(f"{waiting} produced records cannot land: {name} is missing. Run `lake apply`.")
                if status.failure and name in restarted:
                    raise Unavailable(f"{waiting} produced records cannot land: {status.failure}. Run `lake apply`.")
                if status.failure:
                    # What failed for what was away for a moment goes on, as the sensor `connectors` lets it.
                    on_progress(f"restarting {name}, because {status.failure}")
                    restart_failed(settings, name)
                    restarted.add(name)
                    moved, looked = now, False
            if not looked:
                continue
            # What is left may be transaction markers, which never land; the audit finds out and remembers them.
            # Only of those assets: another's damaged file is no reason to stop.
            late = [assets[lag.asset] for lag in behind]
            if not any(p.under_way for a in audit(settings, late) for p in a.partitions):
                return 0, time.monotonic() - started
        if now - moved > _STALLED_SECONDS + settings.commit_seconds:
            return waiting, now - started
        time.sleep(_POLL_SECONDS)
