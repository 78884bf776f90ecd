"""`lake apply`: execute the steps of a plan, and record its catalog as applied."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from lake_assets.applied_files import write_applied
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.raw_table import RawTableSpec, raw_table
from lake_assets.compile.topic import TopicSpec
from lake_assets.conform.tokens import ensure_token_key
from lake_assets.landing.connect import ConnectorFailed, ensure_connectors
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.landing.topics import ensure_topics, wait_until_listed
from lake_assets.ledger.failures import try_now
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removed_assets import forget_removed
from lake_assets.operations.adapters import mart_access_for, warehouse_for
from lake_assets.operations.apply_metrics import apply_metrics
from lake_assets.operations.apply_plan import (
    ApplyPlan,
    EmptyRawTable,
    MartSchema,
    MissingTables,
    QueuedWindows,
    Rebuild,
    make_plan,
)
from lake_assets.operations.apply_steps import Step, targets
from lake_assets.operations.drafts import rebuild_tables, recut_raw
from lake_assets.operations.orchestrator import Orchestrator
from lake_assets.settings import Settings
from lake_assets.warehouse.marts import DbtFile, write_dbt_files


@dataclass(frozen=True, slots=True)
class Applied:
    """Steps that were taken, and the causes of connectors that fail, as sentences; else empty."""

    steps: list[Step]
    failed: str = ""


def apply(settings: Settings, orchestrator: Orchestrator, on_progress: Callable[[str], None]) -> Applied:
    """Plan as `plan_apply` does, execute these steps and no others, and return them. A second call has no steps.

    Tables come before topics and topics before connectors, because the sink drops records that have no table. The next
    call takes interrupted steps again, and restarts connectors that fail: all else is applied. Raises what `plan_apply`
    raises.
    """
    with Ledger(settings) as ledger, ledger.locked("apply"):
        # Also without steps: a newer lake may keep more in its ledger, and the plan reads it.
        ledger.ensure_schema()
        plan = make_plan(settings, ledger)
        steps = [step for step in plan.steps if step.changes_something]
        if not steps:
            try_now(ledger, plan.applied.assets, set_aside=True)
            return Applied([])
        ensure_token_key(plan.wanted.assets.values(), plan.applied.assets.values())
        causes: list[str] = []
        _apply_landing(settings, plan, on_progress)
        # The broker makes the files of new topics meanwhile.
        _apply_tables(settings, ledger, orchestrator, plan, on_progress)
        on_progress("dbt sources and grants")
        write_dbt_files(targets(plan.asset_steps, DbtFile))
        if schemas := [schema.name for schema in targets(plan.asset_steps, MartSchema)]:
            mart_access_for(settings).ensure(schemas)
        if topics := [topic.name for topic in targets(plan.asset_steps, TopicSpec)]:
            wait_until_listed(settings, topics)
        with _connector_failures(causes):
            ensure_connectors(settings, targets(plan.asset_steps, ConnectorSpec), on_progress)
        with _connector_failures(causes):
            apply_metrics(settings, plan.metric_steps, on_progress)
        _record(settings, ledger, orchestrator, plan)
        return Applied(steps, " ".join(causes))


@contextmanager
def _connector_failures(causes: list[str]) -> Generator[None]:
    """Note why connectors fail, which comes last in the block, and go on."""
    try:
        yield
    except ConnectorFailed as error:
        causes.append(str(error))


def _apply_landing(settings: Settings, plan: ApplyPlan, on_progress: Callable[[str], None]) -> None:
    """Create or change raw tables, then topics."""
    on_progress("raw tables")
    empty = [table.asset for table in targets(plan.asset_steps, EmptyRawTable)]
    for asset in empty:
        recut_raw(settings, asset)
    if raw_tables := [*targets(plan.asset_steps, RawTableSpec), *map(raw_table, empty)]:
        ensure_raw_tables(settings, raw_tables)
    on_progress("topics")
    if topics := targets(plan.asset_steps, TopicSpec):
        ensure_topics(settings, topics, wait=False)


def _apply_tables(
    settings: Settings,
    ledger: Ledger,
    orchestrator: Orchestrator,
    plan: ApplyPlan,
    on_progress: Callable[[str], None],
) -> None:
    """Rebuild, create or change staging and quarantine tables."""
    on_progress("staging and quarantine tables")
    warehouse = warehouse_for(settings)
    for rebuild in targets(plan.asset_steps, Rebuild):
        old, new = rebuild.applied, rebuild.wanted
        with ledger.locked(f"dataset:{new.dataset}"):
            rebuild_tables(ledger, orchestrator, warehouse, old, plan.wanted, rebuild.windows)
    missing = {tables.asset.name: tables for tables in targets(plan.asset_steps, MissingTables)}.values()
    # No run publishes to assets that are not applied.
    warehouse.create([tables.asset for tables in missing if tables.is_new])
    for asset in (tables.asset for tables in missing if not tables.is_new):
        # Not during a publication: the rows that it adds to a changing table would have the old columns.
        with ledger.locked(f"dataset:{asset.dataset}"):
            warehouse.ensure(asset)


def _record(settings: Settings, ledger: Ledger, orchestrator: Orchestrator, plan: ApplyPlan) -> None:
    """Queue the windows to rebuild, and record contracts and metrics as applied: in the ledger, then in files."""
    for queued in targets(plan.window_steps, QueuedWindows):
        ledger.queue_windows(queued.asset, queued.windows)
    for kept in plan.kept_raw:
        orchestrator.replace_windows(ledger, kept.asset, kept.windows)
    wanted = plan.wanted
    ledger.save_contracts([(asset, wanted.text(asset)) for asset in wanted.assets.values()])
    ledger.save_metrics({name: wanted.text(metric) for name, metric in wanted.metrics.items()})
    forget_removed(ledger, list(wanted.assets.values()))
    # The new contracts may let through windows that failed before.
    try_now(ledger, wanted.assets, set_aside=True)
    write_applied(settings, wanted)
