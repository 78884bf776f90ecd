"""The plan of `lake apply`: each difference between the contracts and the lake, as a step with its target."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lake_assets.catalog.compare import Change
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.catalog.versions import by_dataset
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.raw_table import RawTableSpec, raw_table
from lake_assets.compile.topic import TopicSpec, control_topic, topic_spec
from lake_assets.dbt.manifest import Manifest, load_manifest
from lake_assets.errors import LakeError
from lake_assets.landing.connect import connector_for, failures
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_tables import compare_raw_tables
from lake_assets.landing.topics import compare_topics
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removed_assets import left_out, removed_assets
from lake_assets.operations.adapters import mart_access_for, warehouse_for
from lake_assets.operations.apply_metrics import MetricStep, connector_steps, plan_metrics
from lake_assets.operations.apply_steps import PlannedStep, Step, steps_of_report
from lake_assets.operations.downstream import readers
from lake_assets.operations.left_marts import marts_without_model
from lake_assets.operations.wanted import Wanted, wanted_catalog
from lake_assets.settings import Settings
from lake_assets.warehouse.marts import DbtFile, mart_schemas, outdated_dbt_files


@dataclass(frozen=True, slots=True)
class Rebuild:
    """New tables for an applied asset, with these windows rebuilt from raw."""

    applied: Asset
    wanted: Asset
    windows: Sequence[str]


@dataclass(frozen=True, slots=True)
class EmptyRawTable:
    """A raw table without rows, partitioned for other windows than its asset's: it is dropped and created again."""

    asset: Asset


@dataclass(frozen=True, slots=True)
class MissingTables:
    """An asset whose staging or quarantine table lacks something. `is_new` is one that is not applied yet."""

    asset: Asset
    is_new: bool


@dataclass(frozen=True, slots=True)
class MartSchema:
    """A schema that analysts cannot read yet."""

    name: str


@dataclass(frozen=True, slots=True)
class QueuedWindows:
    """Windows of an asset to rebuild by its new contract."""

    asset: Asset
    windows: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPlan:
    """The catalog to apply, the applied one, and the steps between them in the order in which they are shown.

    `kept_raw` are new assets whose raw table an earlier removal kept, with the windows to build from it.
    """

    wanted: Catalog
    applied: Catalog
    asset_steps: tuple[PlannedStep[object], ...]
    metric_steps: tuple[MetricStep, ...]
    window_steps: tuple[PlannedStep[QueuedWindows | None], ...]
    kept_raw: tuple[QueuedWindows, ...]

    @property
    def steps(self) -> list[Step]:
        return [planned.step for planned in (*self.asset_steps, *self.metric_steps, *self.window_steps)]


def plan_apply(settings: Settings) -> ApplyPlan:
    """Return the plan that `apply` would execute now; without steps when everything is applied. Changes nothing.

    A file that is invalid, or whose change is refused, is left out: see `refuse_left_out`. Raises Unavailable.
    """
    with Ledger(settings) as ledger:
        return make_plan(settings, ledger)


def make_plan(settings: Settings, ledger: Ledger) -> ApplyPlan:
    """Return the plan of `plan_apply`, read through this session. Raises Unavailable."""
    applied = read_applied(ledger)
    wanted = wanted_catalog(settings, ledger, applied)
    catalog = wanted.catalog
    kept_raw = _kept_raw(settings, ledger, catalog, applied)
    windows = _windows_to_rebuild(ledger, wanted, applied, kept_raw)
    before_connectors: list[PlannedStep[object]] = [
        *_contract_steps(wanted, applied),
        *_missing_file_steps(settings, catalog, applied),
        *_raw_table_steps(settings, wanted),
        *_topic_steps(settings, catalog.assets),
    ]
    failed = failures(settings)
    return ApplyPlan(
        wanted=catalog,
        applied=applied,
        asset_steps=(
            *before_connectors,
            *_connector_steps(settings, ledger, catalog.assets, failed),
            *_table_steps(settings, wanted, applied),
            *_dbt_steps(settings, catalog.assets),
            *grant_steps(settings),
            *_left_mart_steps(settings),
        ),
        metric_steps=tuple(plan_metrics(settings, catalog, applied, failed)),
        window_steps=tuple(_window_steps(wanted, windows)),
        kept_raw=tuple(QueuedWindows(catalog.assets[name], windows[name]) for name in kept_raw),
    )


def _contract_steps(wanted: Wanted, applied: Catalog) -> Iterator[PlannedStep[Rebuild | None]]:
    catalog = wanted.catalog
    versions = by_dataset(applied.assets.values())
    for name, asset in catalog.assets.items():
        before = applied.assets.get(name)
        if before is None:
            beside = " and ".join(version.name for version in versions.get(asset.dataset, ()))
            summary = f"version {asset.version}, {len(asset.fields)} fields"
            detail = f"{summary}, beside {beside}" if beside else summary
            yield PlannedStep(Step("contract", name, "create", detail), None)
        elif applied.text(before) != catalog.text(asset):
            change = wanted.changes[name]
            sentences = "; ".join(d.sentence for d in change.differences) or "nothing about the data"
            yield PlannedStep(Step("contract", name, "change", f"{change.kind}: {sentences}"), None)
            if name in wanted.rebuilt:
                cause = "it is a draft" if "draft" in (before.status, asset.status) else "they are empty"
                step = Step("staging", name, "rebuild", f"new tables, rebuilt from raw, because {cause}")
                yield PlannedStep(step, Rebuild(before, asset, wanted.rebuilt[name]))


def _missing_file_steps(settings: Settings, catalog: Catalog, applied: Catalog) -> Iterator[PlannedStep[None]]:
    missing = catalog.without_file(applied)
    manifest: Manifest | None = None
    # Readers are a detail: an invalid dbt project must not prevent the plan.
    with suppress(LakeError):
        manifest = load_manifest(settings) if missing else None
    for name in missing:
        reading = readers(applied.assets[name], (), manifest, ()) if manifest else []
        readers_hint = f"; it is read by {', '.join(reading)}" if reading else ""
        detail = f"its file is missing: its applied contract stays in use{readers_hint}; see `lake remove`"
        yield PlannedStep(Step("contract", name, "keep", detail), None)


def _raw_table_steps(settings: Settings, wanted: Wanted) -> Iterator[PlannedStep[RawTableSpec | EmptyRawTable]]:
    assets = wanted.catalog.assets
    specs = list({asset.topic: raw_table(asset) for asset in assets.values()}.values())
    empty = {assets[name].raw_name: assets[name] for name, windows in wanted.rebuilt.items() if not windows}
    for report, spec in zip(compare_raw_tables(settings, specs), specs, strict=True):
        name = ".".join(report.identifier)
        if report.outcome == "differs" and report.identifier in empty:
            step = Step("raw table", name, "rebuild", "; ".join(report.differences))
            yield PlannedStep(step, EmptyRawTable(empty[report.identifier]))
        else:
            yield from steps_of_report("raw table", name, report.outcome, report.differences, spec)


def _topic_steps(settings: Settings, assets: Mapping[str, Asset]) -> Iterator[PlannedStep[TopicSpec]]:
    own = {asset.topic: topic_spec(asset) for asset in assets.values()}
    specs = [*own.values(), *(control_topic(domain) for domain in _domains(assets))]
    for report, spec in zip(compare_topics(settings, specs), specs, strict=True):
        yield from steps_of_report("topic", report.name, report.outcome, report.differences, spec)
        if report.is_closed and report.outcome in ("unchanged", "differs"):
            yield PlannedStep(Step("topic", report.name, "grant", f"{settings.kafka_producer} may write to it"), spec)


def _domains(assets: Mapping[str, Asset]) -> list[str]:
    return sorted({asset.domain for asset in assets.values()})


def _connector_steps(
    settings: Settings, ledger: Ledger, assets: Mapping[str, Asset], failed: Mapping[str, str]
) -> Iterator[PlannedStep[ConnectorSpec]]:
    topics = left_out(ledger, assets.values())
    for domain in _domains(assets):
        spec = connector_for(settings, domain, assets.values(), topics.get(domain, ()))
        yield from connector_steps(settings, spec, failed, f"topics {spec.config.get('topics.regex')}")


def _table_steps(settings: Settings, wanted: Wanted, applied: Catalog) -> Iterator[PlannedStep[MissingTables]]:
    assets = wanted.catalog.assets
    compared = [asset for asset in assets.values() if asset.name not in wanted.rebuilt]
    for name, sentences in warehouse_for(settings).missing_by_asset(compared).items():
        tables = MissingTables(assets[name], is_new=name not in applied.assets)
        for sentence in sentences:
            action, _, detail = sentence.partition(" ")
            yield PlannedStep(Step("staging", name, action, detail), tables)


def _dbt_steps(settings: Settings, assets: Mapping[str, Asset]) -> Iterator[PlannedStep[DbtFile]]:
    for file in outdated_dbt_files(settings, assets.values()):
        yield PlannedStep(Step("dbt", str(file.name), "write"), file)


def grant_steps(settings: Settings) -> Iterator[PlannedStep[MartSchema]]:
    """Yield a step for each schema that analysts cannot read yet. Raises SettingsError as `MartAccess.check`."""
    access = mart_access_for(settings)
    access.check()
    for schema in access.missing(mart_schemas(settings)):
        yield PlannedStep(Step("grant", schema, "grant", "analysts may read it"), MartSchema(schema))


def _left_mart_steps(settings: Settings) -> Iterator[PlannedStep[None]]:
    for table in marts_without_model(settings) or ():
        detail = (
            "no model builds it any more, and analysts still read its last rows: restore the model, or drop it with "
            f"`lake remove {table}`"
        )
        yield PlannedStep(Step("mart", table, "keep", detail), None)


def _kept_raw(settings: Settings, ledger: Ledger, catalog: Catalog, applied: Catalog) -> Mapping[str, Sequence[str]]:
    """Return the windows in raw of each new asset whose raw table an earlier removal kept."""
    removals = removed_assets(ledger)
    return {
        name: list(window_rows(settings, asset))
        for name, asset in catalog.assets.items()
        if name not in applied.assets and name in removals and "raw" in removals[name].kept
    }


def _windows_to_rebuild(
    ledger: Ledger, wanted: Wanted, applied: Catalog, kept_raw: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    """Return by asset the windows for which its contract may yield other rows.

    These are all windows of raw for a rebuilt asset, and for one whose raw table an earlier removal kept.
    """
    versions = by_dataset(applied.assets.values())
    return {
        name: wanted.rebuilt[name]
        if name in wanted.rebuilt
        else kept_raw.get(name) or _affected_windows(ledger, asset, wanted.changes.get(name), versions)
        for name, asset in wanted.catalog.assets.items()
    }


def _affected_windows(
    ledger: Ledger, asset: Asset, change: Change | None, versions: Mapping[str, Sequence[Asset]]
) -> list[str]:
    """Return the windows for which a changed contract may yield other rows.

    A new major version affects all windows of the one before it, an allowed breaking change all windows. Any other
    change affects windows with rows in quarantine, and those held back.
    """
    if change is None:
        older = [version for version in versions.get(asset.dataset, ()) if version.major < asset.major]
        return [published.window for published in ledger.windows(older[-1])] if older else []
    if change.kind == "none":
        return []
    stale = [
        published.window for published in ledger.windows(asset) if published.quarantined or change.kind == "breaking"
    ]
    return sorted({*stale, *(entry.window for entry in ledger.held_back(asset))})


def _window_steps(wanted: Wanted, windows: Mapping[str, Sequence[str]]) -> Iterator[PlannedStep[QueuedWindows | None]]:
    for name, names in windows.items():
        if names:
            step = Step("windows", name, "rebuild", f"{len(names)} windows, {names[0]} to {names[-1]}")
            # A rebuild of an asset's tables queues its windows itself.
            queued = None if name in wanted.rebuilt else QueuedWindows(wanted.catalog.assets[name], names)
            yield PlannedStep(step, queued)
