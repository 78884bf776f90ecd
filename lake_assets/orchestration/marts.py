"""Marts of the dbt project as Dagster assets, built by `dbt build` in the resident dbt."""

import importlib.metadata
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import dagster as dg
from packaging.version import Version

from lake_assets.catalog.model import Asset
from lake_assets.dbt.dagster_dbt_import import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    dbt_assets,
)
from lake_assets.dbt.environment import dbt_state, manifest_path
from lake_assets.dbt.manifest import (
    PARTIAL_PARSE,
    DbtProjectError,
    Manifest,
    dbt_executable,
    load_manifest,
    parsed_project,
)
from lake_assets.dbt.mart_failures import failure_sentences
from lake_assets.dbt.mart_reads import refused_models
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.asset_tags import reader_tags
from lake_assets.orchestration.code_references import code_references
from lake_assets.orchestration.column_lineage import KeyedAssets, with_lineage
from lake_assets.orchestration.keys import staging_key
from lake_assets.orchestration.paced_marts import READ_UNTIL
from lake_assets.settings import Settings

# Artefacts, a debug log and a cache of all schemas cost half a second a call; what a run needs comes as events.
QUICK = ["--no-write-json", "--log-level-file", "none", "--no-populate-cache"]
# Unit tests check the SQL, not the data: they belong to `make test`. An exposure is nothing to build.
BUILD = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure"]
# Builds of a mart when its staging tables change during each build.
ROUNDS = 3
KEEP_SECONDS = 7 * 86_400
# In Postgres, which all runs share; no dataset has a space in its name.
BUILD_LOCK = "build of marts"


@dataclass(frozen=True, slots=True)
class Marts:
    """Definitions for the code location. `assets` are unpartitioned; `resources` is by resource key.

    `manifest` has the models of these marts only; None of a project that could never be parsed.
    """

    assets: Sequence[dg.AssetsDefinition]
    sensors: Sequence[dg.SensorDefinition]
    resources: Mapping[str, object]
    manifest: Manifest | None = None


def mart_definitions(settings: Settings, assets: Mapping[str, Asset]) -> Marts:
    """Return the marts whose staging tables are all in the catalog; none of a project that could never be parsed.

    A mart on other tables (the examples' marts, in a catalog without the examples) is left out of graph and runs. So is
    one that reads staging tables in a way that marts may not, with everything downstream.
    """
    try:
        manifest = load_manifest(settings)
    except DbtProjectError:
        return Marts([], [], {})
    refused = refused_models(manifest, assets.values())
    staging = {staging_key(asset) for asset in assets.values()}
    left_out = [
        name
        for name in _models(manifest)
        if not mart_sources(manifest, name) <= staging or _is_downstream(manifest, name, refused)
    ]
    shown = _without(manifest, left_out)
    if not any(is_mart(node) for node in shown["nodes"].values()):
        return Marts([], [], {}, shown)
    definition = _mart_assets(settings, shown, assets, [".".join(manifest["nodes"][name]["fqn"]) for name in left_out])
    sensor = dg.AutomationConditionSensorDefinition(
        "marts",
        target=[definition],
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        emit_backfills=False,
        description="Builds marts whose staging tables changed without them, for example in a backfill.",
    )
    return Marts([definition], [sensor], {"dbt": _dbt(settings, manifest)}, shown)


def mart_condition() -> dg.AutomationCondition:
    """Build a mart once for everything that is newer in its staging tables than in the mart.

    The sensor's runs have staging tables and marts together; this is for tables that are published without the marts.
    Its two halves limit each other:
    - newer than the mart: a run that built both needs no second one. Alone, it would retry a broken mart every five
      seconds for ever.
    - not requested since: a mart that fails is tried once for each change. Alone, it would build everything twice.
    Keep both triggers plain: with `&` or `|` inside, Dagster no longer compares times within a tick, and an event that
    comes in the same five seconds as the mart is lost.

    A mart that is new or whose SQL changed is built once without an event, if there is anything to read. SQL has no
    time within a tick: when it changes in the tick after a request, that request was for the SQL before.
    """
    condition = dg.AutomationCondition
    changed = condition.any_deps_match(condition.newly_updated())
    newer_than_the_mart = changed.since(condition.newly_updated()).with_label("a table it reads is newer than the mart")
    not_requested_since = changed.since(condition.newly_requested()).with_label("no build was requested since")
    missing = condition.missing().newly_true().since(condition.newly_requested()) & condition.missing()
    never_built = missing.with_label("never built")
    sql_changed = condition.code_version_changed()
    rewritten = sql_changed.since(condition.newly_requested() & ~sql_changed).with_label("its SQL changed")
    readable = condition.any_deps_match(~condition.missing()).with_label("a table it reads has rows")
    due = (newer_than_the_mart & not_requested_since) | ((never_built | rewritten) & readable)
    return (due & ~condition.in_progress()).with_label("build once for each change of what the mart reads")


class ResidentDbt(DbtCliResource):
    """dagster-dbt's resource, for a dbt that runs in another process and only there.

    The original runs `dbt --version` before each call and loads dbt and its adapter into the run's own process, for row
    counts; together that takes longer than building the marts.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(importlib.metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


class MartTranslator(DagsterDbtTranslator):
    """Translation of a dbt model to an asset: one method for each attribute."""

    def __init__(self, settings: Settings, assets: KeyedAssets) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_metadata=False))
        self._lake = settings
        self._assets = assets

    def get_asset_spec(self, manifest: Manifest, unique_id: str, project: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id not in manifest["nodes"]:
            return spec
        sources = [self._assets[key] for key in sorted(mart_sources(manifest, unique_id)) if key in self._assets]
        limits = [asset.freshness for asset in sources if asset.freshness]
        pause = timedelta(minutes=self._lake.mart_minutes)
        return spec.replace_attributes(
            kinds={"dbt", self._lake.profile.mart_kind},
            # Those of the model; dagster-dbt's kinds, which are tags too, name the adapter.
            tags={**self.get_tags(manifest["nodes"][unique_id]), **reader_tags("mart", sources)},
            # As on the dashboard: a mart is built within seconds of what it reads, or after its pause.
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=min(limits) + pause) if limits else None,
            metadata={
                **spec.metadata,
                "dagster/storage_kind": self._lake.profile.mart_kind,
                **code_references(_files(self._lake, manifest["nodes"][unique_id])),
            },
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Manifest, unique_id: str, project: Any
    ) -> dg.AssetCheckSpec | None:
        # A blocking check fails the run, which is then retried with the same result. dbt itself skips the models
        # downstream of a mart that fails its test.
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        return spec._replace(blocking=False) if spec else None

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return mart_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return dbt_resource_props["schema"]

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        return dbt_resource_props["config"].get("meta", {}).get("owners")

    def get_automation_condition(self, dbt_resource_props: Mapping[str, Any]) -> dg.AutomationCondition | None:
        return mart_condition() if is_mart(dbt_resource_props) else None


def _mart_assets(
    settings: Settings, manifest: Manifest, assets: Mapping[str, Asset], left_out: Sequence[str]
) -> dg.AssetsDefinition:
    exclude = ["--exclude", " ".join(left_out)] if left_out else []
    by_key = {staging_key(asset): asset for asset in assets.values()}

    @dbt_assets(manifest=manifest, name="marts", dagster_dbt_translator=MartTranslator(settings, by_key))
    def marts(context: dg.AssetExecutionContext, dbt: ResidentDbt) -> Iterator[Any]:
        # Two concurrent dbt builds of one mart would drop each other's tables, also those of two machines.
        with Ledger(settings) as ledger, ledger.locked(BUILD_LOCK):
            yield from _build(settings, context, dbt, manifest, by_key, [*BUILD, *exclude])

    return marts


def _build(
    settings: Settings,
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    manifest: Manifest,
    assets: KeyedAssets,
    args: Sequence[str],
) -> Iterator[Any]:
    """Yield dbt's results as Dagster events, of a build during which no staging table changed.

    If a staging table is published while dbt reads, the mart's event is newer than data it does not have, and nothing
    would rebuild it. A mart that was not built fails the run; a mart that fails a test has a failed check.
    """
    # A paced mart is built again anyway, and each build costs money.
    most = 1 if settings.mart_minutes else ROUNDS
    rounds = 0
    while True:
        rounds += 1
        before = _newest_events(context)
        work = _work_folder(settings, context.run.run_id)
        call = dbt.cli(list(args), context=context, target_path=work, raise_on_error=False)
        events = [with_lineage(settings, manifest, assets, work, event) for event in call.stream()]
        error = call.get_error()
        if error is None:
            shutil.rmtree(work)
        if rounds == most or _newest_events(context) == before:
            break
        context.log.info("a staging table changed while the marts were built: building them again")
    until = max((storage_id or 0 for storage_id in before.values()), default=0)
    for event in events:
        yield event.with_metadata({**event.metadata, READ_UNTIL: until}) if isinstance(event, dg.Output) else event
    built = sum(isinstance(event, dg.Output) for event in events)
    if error is not None and built < len(context.selected_asset_keys):
        sentences = failure_sentences(str(error), manifest, settings.dbt_project, work)
        if not sentences:
            raise error
        raise dg.Failure("\n\n".join(sentences)) from error


def _newest_events(context: dg.AssetExecutionContext) -> dict[dg.AssetKey, int | None]:
    """Return the storage id of the newest materialization of each table that the selected marts read."""
    deps = context.assets_def.asset_deps
    upstream = {dep for key in context.selected_asset_keys for dep in deps[key]} - set(context.selected_asset_keys)
    records = context.instance.get_asset_records(sorted(upstream))
    return {record.asset_entry.asset_key: record.asset_entry.last_materialization_storage_id for record in records}


def _work_folder(settings: Settings, run_id: str) -> Path:
    """Create a folder for one call. After a failure it stays for a week, because it has dbt's compiled SQL."""
    runs = dbt_state(settings) / "runs"
    work = runs / f"{run_id[:8]}-{uuid.uuid4().hex[:8]}"
    work.mkdir(parents=True)
    for old in runs.iterdir():
        if time.time() - old.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    parsed = manifest_path(settings).with_name(PARTIAL_PARSE)
    if parsed.exists():
        shutil.copyfile(parsed, work / PARTIAL_PARSE)
    return work


def _dbt(settings: Settings, manifest: Manifest) -> ResidentDbt:
    project = str(parsed_project(settings, manifest))
    return ResidentDbt(
        project_dir=project,
        profiles_dir=project,
        dbt_executable=dbt_executable(),
        global_config_flags=QUICK,
    )


def mart_key(node: Mapping[str, Any]) -> dg.AssetKey:
    """Return the key of a mart or staging table: schema and table, for the latter as in `keys.staging_key`."""
    return dg.AssetKey([node["schema"], node["name"] if node["resource_type"] == "source" else node["alias"]])


def _files(settings: Settings, node: Mapping[str, Any]) -> Iterator[tuple[str, PurePath]]:
    """Yield SQL and YAML of a model with their labels, as its author edits them."""
    patch = (node.get("patch_path") or "").partition("://")[2]
    for label, path in (("model", node["original_file_path"]), ("description", patch)):
        if path:
            yield label, PurePath(settings.dbt_project, path)


def is_mart(node: Mapping[str, Any] | None) -> bool:
    return node is not None and node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral"


def _models(manifest: Manifest) -> list[str]:
    return [name for name, node in manifest["nodes"].items() if is_mart(node)]


def mart_sources(manifest: Manifest, name: str) -> set[dg.AssetKey]:
    """Return the staging tables that a node reads, directly or through other models."""
    if name in manifest["sources"]:
        return {mart_key(manifest["sources"][name])}
    node = manifest["nodes"].get(name)
    parents = node["depends_on"]["nodes"] if node else []
    return {key for parent in parents for key in mart_sources(manifest, parent)}


def _is_downstream(manifest: Manifest, name: str, models: Collection[str]) -> bool:
    """Return True if the node is one of these models, or reads one directly or through others."""
    node = manifest["nodes"].get(name)
    parents = node["depends_on"]["nodes"] if node else []
    return name in models or any(_is_downstream(manifest, parent, models) for parent in parents)


def _without(manifest: Manifest, models: Sequence[str]) -> dict[str, Any]:
    """Return the manifest without these models and their tests."""
    excluded = set(models)
    nodes = {
        name: node
        for name, node in manifest["nodes"].items()
        if name not in excluded
        and not (node["resource_type"] == "test" and excluded & set(node["depends_on"]["nodes"]))
    }
    children = {
        name: [child for child in own if child in nodes or not child.startswith(("model.", "test."))]
        for name, own in manifest["child_map"].items()
        if name not in excluded
    }
    return {**manifest, "nodes": nodes, "child_map": children}
