"""Contracts as Dagster assets: topic, raw, conformed, staging and quarantine."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg
from dagster import MetadataValue

from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.failure import Cause
from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import NO_ROWS, TableCounts
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.compile.ddl import QUARANTINE, staging_columns
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import Lane
from lake_assets.operations.adapters import runner_for, warehouse_for
from lake_assets.operations.refresh import (
    ConformResult,
    Refresh,
    RefreshContext,
    RequestedWindows,
    refresh,
    windows_of_lane,
)
from lake_assets.orchestration.asset_tags import asset_tags
from lake_assets.orchestration.code_references import code_references
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key, topic_key
from lake_assets.orchestration.metadata import Metadata, column_schema, contract_columns, window_metadata
from lake_assets.orchestration.partitions import add_windows, window_partitions
from lake_assets.orchestration.spark_pipes import conform_on_spark, spark_details
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import Warehouse

# Tag of a run that the queue requested, not a user; its value is the lane, see `Lane`.
QUEUED_ONLY = "lake/queued_only"
EVERY_WINDOW_MADE = "every_window_made"
STEP = "build_windows"
ROWS_MATCH = "rows_match_ledger"


def landing_definitions(settings: Settings, asset: Asset) -> list[dg.AssetSpec]:
    """Return topic and raw of a dataset in the lineage graph, which Kafka and Kafka Connect fill.

    The versions of a dataset share them; the given one describes them.
    """
    files = _files(asset)
    topic = dg.AssetSpec(
        topic_key(asset),
        description=f"Kafka topic `{asset.topic}`: every {asset.dataset} event as its producer sent it.",
        group_name=asset.domain,
        kinds={"kafka"},
        owners=list(asset.owners),
        tags=asset_tags(asset, "topic"),
        metadata={"topic": asset.topic, "partitions": asset.partitions, **files},
    )
    raw = dg.AssetSpec(
        raw_key(asset),
        deps=[topic],
        description=f"Every {asset.dataset} event byte for byte, in an Iceberg table that Kafka Connect writes.",
        group_name=asset.domain,
        kinds={"iceberg", "kafkaconnect"},
        owners=list(asset.owners),
        tags=asset_tags(asset, "raw"),
        partitions_def=window_partitions(asset),
        metadata={
            **files,
            "dagster/table_name": f"raw.{'.'.join(asset.raw_name)}",
            "dagster/uri": MetadataValue.url(f"{settings.raw_warehouse}/{asset.topic.replace('.', '/')}"),
        },
    )
    return [topic, raw]


def _conformed(
    settings: Settings, asset: Asset, partitions: dg.PartitionsDefinition, contract: Metadata
) -> dg.AssetSpec:
    return dg.AssetSpec(
        conformed_key(asset),
        deps=[raw_key(asset)],
        description=f"Parquet files of checked {asset.name} events, typed by the contract.",
        group_name=asset.domain,
        kinds={"parquet", *_engines(asset)},
        owners=list(asset.owners),
        tags=asset_tags(asset, "conformed"),
        partitions_def=partitions,
        code_version=asset.version,
        metadata={
            **contract,
            "dagster/uri": MetadataValue.url(f"{settings.conformed}/{asset.dataset}/v{asset.major}"),
            "dagster/column_schema": column_schema(contract_columns(asset), _required(asset)),
        },
    )


def _staging(settings: Settings, asset: Asset, partitions: dg.PartitionsDefinition, contract: Metadata) -> dg.AssetSpec:
    return dg.AssetSpec(
        staging_key(asset),
        deps=[conformed_key(asset)],
        description=asset.description,
        group_name=asset.domain,
        kinds={settings.profile.staging_kind, "table"},
        owners=list(asset.owners),
        tags=asset_tags(asset, "staging"),
        partitions_def=partitions,
        code_version=asset.version,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=asset.freshness) if asset.freshness else None,
        metadata={
            **contract,
            "dagster/table_name": f"{settings.staging_database}.{asset.staging_schema}.{asset.name}",
            "dagster/column_schema": column_schema(staging_columns(asset), _required(asset)),
        },
    )


def _quarantine(
    settings: Settings, asset: Asset, partitions: dg.PartitionsDefinition, contract: Metadata
) -> dg.AssetSpec:
    return dg.AssetSpec(
        quarantine_key(asset),
        deps=[conformed_key(asset)],
        description=f"{asset.name} events that broke a rule, each with its payload and the reasons.",
        group_name=asset.domain,
        kinds={settings.profile.staging_kind, "table"},
        owners=list(asset.owners),
        tags=asset_tags(asset, "quarantine"),
        partitions_def=partitions,
        code_version=asset.version,
        metadata={
            **contract,
            "dagster/table_name": f"{settings.staging_database}.{asset.staging_schema}.{asset.quarantine_table}",
            "dagster/column_schema": column_schema(QUARANTINE),
        },
    )


def _contract(asset: Asset) -> Metadata:
    return {"contract_version": MetadataValue.text(asset.version), **_files(asset)}


def _files(asset: Asset) -> Metadata:
    return {"contract": MetadataValue.text(str(asset.path)), **code_references([("contract", asset.path)])}


def _engines(asset: Asset) -> set[str]:
    """Return the engines that may build its windows; `conform/engine.py` chooses for each run."""
    if asset.entrypoint:
        return {"spark"}
    if asset.has_tokens:
        return {"duckdb"}
    return {"duckdb", "spark"} if asset.engine == "auto" else {asset.engine}


def _required(asset: Asset) -> tuple[str, ...]:
    return tuple(field.name for field in asset.fields if field.required)


class WindowSteps:
    """Steps that build windows; assets with the same outputs share one, since a step takes Dagster milliseconds.

    A step that runs finds its asset by the tables of the definition that it belongs to.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._assets: dict[dg.AssetKey, Asset] = {}
        self._by_outputs: dict[tuple[str, ...], dg.OpDefinition] = {}

    def step(self, asset: Asset, outputs: tuple[str, ...]) -> dg.OpDefinition:
        """Return the step of an asset, with these outputs besides those of its tables."""
        self._assets[staging_key(asset)] = asset
        if outputs not in self._by_outputs:
            # Dagster refuses two ops of one name: it is that of the first asset.
            self._by_outputs[outputs] = self._make(f"{asset.name}_windows", outputs)
        return self._by_outputs[outputs]

    def _make(self, name: str, outputs: tuple[str, ...]) -> dg.OpDefinition:
        @dg.op(
            name=name,
            ins={"landed": dg.In(dg.Nothing)},
            out={
                **{output: dg.Out(dg.Nothing, is_required=False) for output in TABLE_KEYS},
                **{output: dg.Out(is_required=False) for output in outputs},
            },
        )
        def build_windows(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
            (asset,) = [self._assets[key] for key in context.assets_def.keys if key in self._assets]
            yield from _build_windows(context, self._settings, asset, _table_keys(asset))

        return build_windows


# Keys of the tables of an asset by output of its step.
TABLE_KEYS: Mapping[str, Callable[[Asset], dg.AssetKey]] = {
    "conformed": conformed_key,
    "staging": staging_key,
    "quarantine": quarantine_key,
}


def _table_keys(asset: Asset) -> dict[str, dg.AssetKey]:
    return {output: key(asset) for output, key in TABLE_KEYS.items()}


def conforming_definition(settings: Settings, asset: Asset, steps: WindowSteps | None = None) -> dg.AssetsDefinition:
    """Return conformed, staging and quarantine of the asset in the lineage graph, which one step materializes.

    A run that names partitions (the Materialize button, a backfill) builds those. A run without partitions builds the
    queued windows, and reports each with its own event: a range of partitions from the first to the last would plan,
    and call materialized, every window between them. Dagster cannot run a step without partitions whose input has some,
    unless that input is a graph's; so the step is in a graph of its own.
    """
    partitions = window_partitions(asset)
    contract = _contract(asset)
    specs = [spec(settings, asset, partitions, contract) for spec in (_conformed, _staging, _quarantine)]
    keys = _table_keys(asset)
    checks = {check.get_python_identifier(): check for check in _check_specs(asset)}
    # By their outputs in the graph, whose names are unique in a run: the step's outputs.
    step_outputs = {**{output: output for output in keys}, **{name: f"check_{c.name}" for name, c in checks.items()}}
    step = (steps or WindowSteps(settings)).step(asset, tuple(step_outputs[name] for name in checks))

    # As `@dg.graph` makes it, without the signature and the calls of a function that it examines for a millisecond.
    conform_asset = dg.GraphDefinition(
        name=f"conform_{asset.name}",
        node_defs=[step],
        dependencies={dg.NodeInvocation(step.name, alias=STEP): {}},
        input_mappings=[
            dg.InputMapping(graph_input_name="raw", mapped_node_name=STEP, mapped_node_input_name="landed")
        ],
        output_mappings=[
            dg.OutputMapping(graph_output_name=output, mapped_node_name=STEP, mapped_node_output_name=step_output)
            for output, step_output in step_outputs.items()
        ],
    )
    return dg.AssetsDefinition(
        keys_by_input_name={"raw": raw_key(asset)},
        keys_by_output_name=keys,
        node_def=conform_asset,
        specs=specs,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs_by_output_name=checks,
    )


def _check_specs(asset: Asset) -> Iterator[dg.AssetCheckSpec]:
    staging = staging_key(asset)
    yield dg.AssetCheckSpec(
        ROWS_MATCH,
        asset=staging,
        description="The published tables hold as many rows as the ledger counted as good and quarantined.",
    )
    yield dg.AssetCheckSpec(
        EVERY_WINDOW_MADE,
        asset=staging,
        description="No window of the run failed. A failed window is retried after a pause: see `lake status`.",
    )
    if asset.quarantine:
        limit = f"At most {asset.quarantine} of a window are in quarantine; a window with more is not published."
        yield dg.AssetCheckSpec(BUDGET, asset=staging, description=limit)
    for check in asset.checks:
        yield dg.AssetCheckSpec(check.name, asset=staging, description=check.description)


def _build_windows(
    context: dg.AssetExecutionContext, settings: Settings, asset: Asset, keys: Mapping[str, dg.AssetKey]
) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
    """Build the windows of a run, and report them to Dagster. `keys` are those of the tables, by output."""
    named = context.has_partition_key or context.has_partition_key_range
    warehouse = warehouse_for(settings)
    with Ledger(settings) as ledger:

        def choose() -> RequestedWindows:
            if named:
                return RequestedWindows(set(context.partition_keys))
            return windows_of_lane(ledger, asset, lane_of(context.run.tags))

        result = _refresh(context, settings, ledger, asset, warehouse, choose)
        rows = warehouse.window_rows(asset, [output.window for output in result.published])
        outputs = [*result.published, *result.held_back]
        # Dagster calls every partition that a run names materialized, unless the run fails.
        whole = not named or (not result.causes and not result.unchanged)
        add_windows(context.instance, ledger, asset, [output.window for output in outputs])
        for output in outputs:
            numbers = window_metadata(output, held_back=bool(output.blocked_by))
            for key in keys.values():
                if named and whole:
                    context.add_asset_metadata(numbers, asset_key=key, partition_key=output.window)
                else:
                    context.log_event(dg.AssetMaterialization(key, partition=output.window, metadata=numbers))
        if not whole:
            ledger.dequeue_windows(asset, result.done, result.sequence)
            raise dg.Failure(_failures(asset, result))
        # Without any output, the marts downstream have nothing new to read.
        if outputs or not result.causes:
            totals = _totals(result)
            for name in keys:
                yield dg.Output(None, name, metadata=totals)
            yield from _check_results(asset, result, rows)
        yield dg.AssetCheckResult(
            asset_key=keys["staging"],
            check_name=EVERY_WINDOW_MADE,
            passed=not result.causes,
            description=_failures(asset, result) if result.causes else None,
            metadata={"failed_windows": len(result.causes)},
        )
        # Only now that the events are stored: a run that crashed before leaves its windows queued, and the next one
        # builds them again, so that the marts downstream get their events.
        ledger.dequeue_windows(asset, result.done, result.sequence)


def _refresh(
    context: dg.AssetExecutionContext,
    settings: Settings,
    ledger: Ledger,
    asset: Asset,
    warehouse: Warehouse,
    choose: Callable[[], RequestedWindows],
) -> Refresh:
    """Refresh the chosen windows. Raises dg.Failure with the sentence of a LakeError."""

    def on_spark(inputs: Sequence[WindowInput]) -> ConformResult:
        job = conform_on_spark(context, settings, runner_for(settings), asset, inputs)
        failed = {window: Cause(reason) for window, reason in job.answer.failed.items()}
        return ConformResult(job.answer.outputs, failed, spark_details(job))

    run_id, log = context.run.run_id, context.log.info
    try:
        return refresh(
            RefreshContext(settings, ledger, warehouse, asset, run_id=run_id, log=log, on_spark=on_spark), choose
        )
    except LakeError as error:
        raise dg.Failure(str(error)) from error


def lane_of(tags: Mapping[str, str]) -> Lane:
    """Return the lane of a queue's run from its tag; runs of older lakes have `true`."""
    return "retry" if tags.get(QUEUED_ONLY) == "retry" else "both" if tags.get(QUEUED_ONLY) == "both" else "fresh"


def _failures(asset: Asset, result: Refresh) -> str:
    # Name windows that were tried first; the others wait for them.
    reasons = {w: c.sentence for w, c in result.causes.items() if c.tried} or result.failed
    reasons = reasons or dict.fromkeys(
        result.unchanged, "retention removed the rows that it was built from, so it stays"
    )
    window, reason = min(reasons.items())
    others = sorted({*result.causes, *reasons} - {window})
    rest = f" {len(others)} more windows failed: {', '.join(others[:10])}." if others else ""
    return f"{asset.name} {window} was not published: {reason}{rest}"


def _totals(result: Refresh) -> Metadata:
    engine = (
        {"engine": MetadataValue.text(result.engine.engine), "engine_reason": MetadataValue.text(result.engine.reason)}
        if result.engine
        else {}
    )
    details = {
        key: MetadataValue.json(value) if isinstance(value, (list, dict)) else MetadataValue.text(str(value))
        for key, value in result.details.items()
    }
    return {
        **engine,
        **details,
        "windows_published": MetadataValue.int(len(result.published)),
        "windows_held_back": MetadataValue.int(len(result.held_back)),
        "run_rows_in": MetadataValue.int(sum(output.raw_rows for output in result.published)),
        "conform_seconds": MetadataValue.float(round(result.conform_seconds, 3)),
        "publish_seconds": MetadataValue.float(round(result.publish_seconds, 3)),
        "raw_sequence": MetadataValue.int(result.sequence),
    }


def _check_results(asset: Asset, result: Refresh, counted: dict[str, TableCounts]) -> Iterator[dg.AssetCheckResult]:
    staging = staging_key(asset)
    differing = {
        output.window: f"tables hold {counted.get(output.window, NO_ROWS)}, ledger {(output.good, output.quarantined)}"
        for output in result.published
        if counted.get(output.window, NO_ROWS) != (output.good, output.quarantined)
    }
    yield dg.AssetCheckResult(
        asset_key=staging, check_name=ROWS_MATCH, passed=not differing, metadata={"differing": differing}
    )
    judged: Sequence[WindowOutput] = (*result.published, *result.held_back)
    if asset.quarantine:
        over = sorted(result.sentences.items())
        yield dg.AssetCheckResult(
            asset_key=staging,
            check_name=BUDGET,
            passed=not over,
            description=over[0][1] if over else None,
            metadata={"windows_judged": len(judged), "failed_windows": dict(over), "held_back": bool(over)},
        )
    for check in asset.checks:
        failed = {
            output.window: str(outcome.value)
            for output in judged
            for outcome in output.checks
            if outcome.name == check.name and not outcome.passed
        }
        yield dg.AssetCheckResult(
            asset_key=staging,
            check_name=check.name,
            passed=not failed,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            metadata={
                "windows_judged": len(judged),
                "failed_windows": failed,
                "expected": f"{check.operator} {' and '.join(str(bound) for bound in check.bounds)}",
                "held_back": check.blocking and bool(failed),
            },
        )
