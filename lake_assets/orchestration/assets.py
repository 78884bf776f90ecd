"""Contracts as Dagster assets: topic, raw, conformed, staging and quarantine."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster import MetadataValue

from lake_assets.catalog.accounting import WindowInput, WindowOutput
from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.model import Asset
from lake_assets.compile.ddl import QUARANTINE, staging_columns
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key, topic_key
from lake_assets.orchestration.metadata import Metadata, column_schema, contract_columns, window_metadata
from lake_assets.orchestration.refresh import Made, Refresh, out_of_date, refresh
from lake_assets.orchestration.spark import conform_on_spark, spark_details
from lake_assets.orchestration.targets import runner_for, warehouse_for
from lake_assets.settings import Settings

# A run with this tag makes only windows that the queue names; one without it (a backfill) makes all of its range.
QUEUED_ONLY = "lake/queued_only"
ROWS_MATCH = "rows_match_ledger"


def landing_definitions(
    settings: Settings, asset: Asset, partitions: dg.TimeWindowPartitionsDefinition
) -> list[dg.AssetSpec]:
    """Topic and raw in the lineage graph, which Kafka and Kafka Connect make; one of each for all versions of a
    dataset, as the given one says."""
    topic = dg.AssetSpec(
        topic_key(asset),
        description=f"Kafka topic `{asset.topic}`: every {asset.dataset} event as its producer sent it.",
        group_name=asset.domain,
        kinds={"kafka"},
        owners=list(asset.owners),
        metadata={"topic": asset.topic, "partitions": asset.partitions},
    )
    raw = dg.AssetSpec(
        raw_key(asset),
        deps=[topic],
        description=f"Every {asset.dataset} event byte for byte, in an Iceberg table that Kafka Connect writes.",
        group_name=asset.domain,
        kinds={"iceberg", "kafkaconnect"},
        owners=list(asset.owners),
        partitions_def=partitions,
        metadata={
            "dagster/table_name": f"raw.{asset.topic}",
            "dagster/uri": MetadataValue.url(f"{settings.raw_warehouse}/{asset.topic.replace('.', '/')}"),
        },
    )
    return [topic, raw]


def _specs(settings: Settings, asset: Asset) -> list[dg.AssetSpec]:
    required = tuple(field.name for field in asset.fields if field.required)
    uri = f"{settings.conformed}/{asset.dataset}/v{asset.major}"
    freshness = dg.FreshnessPolicy.time_window(fail_window=asset.freshness) if asset.freshness else None
    contract = {"contract": MetadataValue.text(str(asset.path)), "contract_version": asset.version}
    return [
        dg.AssetSpec(
            conformed_key(asset),
            deps=[raw_key(asset)],
            description=f"Parquet files of judged {asset.name} events, typed as the contract says.",
            group_name=asset.domain,
            kinds={"duckdb", "parquet"},
            owners=list(asset.owners),
            code_version=asset.version,
            metadata={
                **contract,
                "dagster/uri": MetadataValue.url(uri),
                "dagster/column_schema": column_schema(contract_columns(asset), required),
            },
        ),
        dg.AssetSpec(
            staging_key(asset),
            deps=[conformed_key(asset)],
            description=asset.description,
            group_name=asset.domain,
            kinds={"ducklake", "table"},
            owners=list(asset.owners),
            code_version=asset.version,
            freshness_policy=freshness,
            metadata={
                **contract,
                "dagster/table_name": f"lake.{asset.staging_schema}.{asset.name}",
                "dagster/column_schema": column_schema(staging_columns(asset), required),
            },
        ),
        dg.AssetSpec(
            quarantine_key(asset),
            deps=[conformed_key(asset)],
            description=f"{asset.name} events that broke a rule, each with its payload and the reasons.",
            group_name=asset.domain,
            kinds={"ducklake", "table"},
            owners=list(asset.owners),
            code_version=asset.version,
            metadata={
                **contract,
                "dagster/table_name": f"lake.{asset.staging_schema}.{asset.quarantine_table}",
                "dagster/column_schema": column_schema(QUARANTINE),
            },
        ),
    ]


def conforming_definition(
    settings: Settings, asset: Asset, partitions: dg.TimeWindowPartitionsDefinition
) -> dg.AssetsDefinition:
    """Conformed, staging and quarantine of the asset in the lineage graph, which one step makes."""
    staging = staging_key(asset)
    checks = [
        dg.AssetCheckSpec(
            ROWS_MATCH,
            asset=staging,
            description="The published tables hold as many rows as the ledger says were good and quarantined.",
        ),
        *_budget_spec(asset),
        *(dg.AssetCheckSpec(check.name, asset=staging, description=check.description) for check in asset.checks),
    ]

    @dg.multi_asset(
        name=f"conform_{asset.name}",
        specs=_specs(settings, asset),
        check_specs=checks,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        op_tags={"lake/asset": asset.name},
    )
    def conform_asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        keys = set(context.partition_keys)
        first, last = partitions.get_first_partition_key(), partitions.get_last_partition_key()
        queued_only = QUEUED_ONLY in context.run.tags

        def belongs(window: str) -> bool:
            # Windows that Dagster has no partition for are brought up to date by whichever run comes first.
            return window in keys or not (str(first) <= window <= str(last))

        with Ledger(settings) as ledger:

            def choose() -> set[str]:
                queued = set(out_of_date(ledger, asset, belongs))
                return queued if queued_only else queued | keys

            warehouse = warehouse_for(settings)

            def on_spark(windows: Sequence[WindowInput]) -> Made:
                made = conform_on_spark(context, settings, runner_for(settings), asset, windows)
                return Made(made.answer.outputs, made.answer.failed, spark_details(made))

            run_id, log = context.run.run_id, context.log.info
            try:
                result = refresh(settings, ledger, warehouse, asset, choose, run_id, log, on_spark)
            except LakeError as error:
                raise dg.Failure(str(error)) from error
            counted = warehouse.window_rows(asset, [output.window for output in result.published])
            for output in (*result.published, *result.held_back):
                numbers = window_metadata(output, held_back=bool(output.blocked_by))
                if output.window in keys:
                    for key in (conformed_key(asset), staging, quarantine_key(asset)):
                        context.add_asset_metadata(numbers, asset_key=key, partition_key=output.window)
            totals = _totals(result)
            made = [output.window for output in (*result.published, *result.held_back)]
            done = [*made, *result.left]
            if result.failed:
                # Only windows that were made are told of: a result for the whole range would show the others green.
                for window in made:
                    for key in (conformed_key(asset), staging, quarantine_key(asset)):
                        context.log_event(dg.AssetMaterialization(key, partition=window, metadata=totals))
                ledger.dequeue(asset, done, result.sequence)
                raise dg.Failure(_failures(asset, result.failed))
            yield dg.MaterializeResult(asset_key=conformed_key(asset), metadata=totals)
            yield dg.MaterializeResult(
                asset_key=staging, metadata=totals, check_results=list(_check_results(asset, result, counted))
            )
            yield dg.MaterializeResult(asset_key=quarantine_key(asset), metadata=totals)
            # Only now that the events are stored: a run that dies before leaves its windows queued, and the next one
            # makes them again, so that the marts behind them hear of it.
            ledger.dequeue(asset, done, result.sequence)

    return conform_asset


def _budget_spec(asset: Asset) -> Iterator[dg.AssetCheckSpec]:
    if asset.quarantine:
        what = f"At most {asset.quarantine} of a window are in quarantine; a window with more is not published."
        yield dg.AssetCheckSpec(BUDGET, asset=staging_key(asset), description=what)


def _failures(asset: Asset, failed: Mapping[str, str]) -> str:
    (window, reason), *others = sorted(failed.items())
    rest = f" {len(others)} more windows failed: {', '.join(name for name, _ in others[:10])}." if others else ""
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


def _check_results(asset: Asset, result: Refresh, counted: dict[str, tuple[int, int]]) -> Iterator[dg.AssetCheckResult]:
    staging = staging_key(asset)
    differing = {
        output.window: f"tables hold {counted.get(output.window, (0, 0))}, ledger {(output.good, output.quarantined)}"
        for output in result.published
        if counted.get(output.window, (0, 0)) != (output.good, output.quarantined)
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
