"""`lake plan` and `lake apply`: what the contracts ask for, against what is there."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from lake_assets.applied_files import write_applied
from lake_assets.catalog.compare import Change
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.catalog.versions import by_dataset
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.dbt_sources import dbt_files, staging_model
from lake_assets.compile.raw_table import RawTableSpec, raw_table
from lake_assets.compile.topic import TopicSpec, control_topic, topic_spec
from lake_assets.conform.tokens import ensure_token_key
from lake_assets.dbt.manifest import Manifest, load_manifest
from lake_assets.errors import LakeError
from lake_assets.landing.connect import config_differences, connector_for, ensure_connectors, failures
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_tables import compare_raw_tables, ensure_raw_tables
from lake_assets.landing.topics import compare_topics, ensure_topics
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.failures import try_now
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removed_assets import forget_removed, left_out, removed_assets
from lake_assets.operations.adapters import mart_access_for, warehouse_for
from lake_assets.operations.apply_metrics import apply_metrics, metric_steps
from lake_assets.operations.downstream import readers
from lake_assets.operations.drafts import rebuild_tables, recut_raw
from lake_assets.operations.orchestrator import Orchestrator
from lake_assets.operations.wanted import wanted_catalog
from lake_assets.settings import Settings
from lake_assets.warehouse.marts import mart_schemas, write_dbt_sources


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that apply does: `action` on the `kind` of thing called `name`, with details for a person.

    The actions `leave` and `keep` say what apply sees and will not touch.
    """

    kind: str
    name: str
    action: str
    detail: str = ""

    @property
    def changes_something(self) -> bool:
        return self.action not in ("leave", "keep")


def plan_apply(settings: Settings) -> list[Step]:
    """Every step that `apply` would take, in order; empty when all is applied. Changes nothing.

    A file that cannot be used, or whose change is refused, is left out of it: see `refuse_left_out`. Raises
    Unavailable.
    """
    with Ledger(settings) as ledger:
        applied = read_applied(ledger)
        found = wanted_catalog(settings, ledger, applied)
        wanted, changes, rebuilt, assets = found.catalog, found.changes, found.rebuilt, found.catalog.assets
        steps = list(_contract_steps(settings, wanted, applied, changes, rebuilt))
        remade = _windows_to_remake(settings, ledger, wanted, applied, changes, rebuilt)
        connectors = _connectors(settings, ledger, assets)
    warehouse = warehouse_for(settings)
    steps += _raw_table_steps(settings, assets)
    steps += _topic_steps(settings, assets)
    failed = failures(settings)
    for spec in connectors:
        differences = config_differences(settings, spec)
        if differences is None:
            steps.append(Step("connector", spec.name, "create", f"topics {spec.config['topics.regex']}"))
        elif differences:
            steps.append(Step("connector", spec.name, "change", ", ".join(differences)))
        elif spec.name in failed:
            steps.append(Step("connector", spec.name, "restart", failed[spec.name]))
    for name, sentences in warehouse.missing_by_asset([a for a in assets.values() if a.name not in rebuilt]).items():
        for sentence in sentences:
            action, _, what = sentence.partition(" ")
            steps.append(Step("staging", name, action, what))
    for asset in assets.values():
        for relative, text in dbt_files(asset).items():
            path = settings.dbt_project / "models" / "staging" / relative
            if not path.exists() or path.read_text("utf-8") != text:
                steps.append(Step("dbt", str(relative), "write"))
    closed = mart_access_for(settings).missing(mart_schemas(settings))
    steps += [Step("grant", schema, "grant", "analysts may read it") for schema in closed]
    steps += [Step(step.kind, step.name, step.action, step.detail) for step in metric_steps(settings, wanted, applied)]
    steps += [
        Step("windows", name, "remake", f"{len(windows)} windows, {windows[0]} to {windows[-1]}")
        for name, windows in remade.items()
        if windows
    ]
    return steps


def apply(settings: Settings, orchestrator: Orchestrator, on_progress: Callable[[str], None]) -> list[Step]:
    """Takes the steps of `plan_apply` and returns them; running it again takes none.

    Tables come before topics and topics before connectors, because the sink drops records that have no table. A step
    that was interrupted is taken again next time. Raises what `plan_apply` raises, and ConnectorFailed.
    """
    steps = [step for step in plan_apply(settings) if step.changes_something]
    with Ledger(settings) as ledger:
        # Also when nothing changes: a newer lake may keep more in its ledger.
        ledger.ensure()
    if not steps:
        with Ledger(settings) as ledger:
            try_now(ledger, read_applied(ledger).assets, set_aside=True)
        return []
    warehouse = warehouse_for(settings)
    with Ledger(settings) as ledger, ledger.locked("apply"):
        applied = read_applied(ledger)
        found = wanted_catalog(settings, ledger, applied)
        wanted, changes, rebuilt, assets = found.catalog, found.changes, found.rebuilt, found.catalog.assets
        remade = _windows_to_remake(settings, ledger, wanted, applied, changes, rebuilt)
        touched = _touched(steps, wanted, applied)
        ensure_token_key(assets.values(), applied.assets.values())
        on_progress("raw tables")
        for name in rebuilt:
            recut_raw(settings, assets[name])
        ensure_raw_tables(settings, _raw_tables(touched))
        on_progress("topics")
        ensure_topics(settings, _topics(touched))
        ensure_connectors(settings, _connectors(settings, ledger, assets), on_progress)
        on_progress("staging and quarantine tables")
        for name, windows in rebuilt.items():
            with ledger.locked(f"dataset:{assets[name].dataset}"):
                rebuild_tables(ledger, orchestrator, warehouse, applied.assets[name], wanted, windows)
        lacking = warehouse.missing_by_asset(list(touched.values()))
        # No run publishes to what is not applied.
        warehouse.create([assets[name] for name in lacking if name not in applied.assets])
        for asset in (assets[name] for name in lacking if name in applied.assets):
            # Not while a run publishes: what it adds to a table that changes would have the old columns.
            with ledger.locked(f"dataset:{asset.dataset}"):
                warehouse.ensure(asset)
        on_progress("dbt sources and grants")
        write_dbt_sources(settings, touched.values())
        mart_access_for(settings).ensure(mart_schemas(settings))
        apply_metrics(settings, wanted.metrics, assets, on_progress)
        kept_raw = [name for name, one in removed_assets(ledger).items() if "raw" in one.kept]
        for name, asset in assets.items():
            if name not in rebuilt and remade[name]:
                ledger.request(asset, remade[name])
            if name in kept_raw and name not in applied.assets:
                orchestrator.replace_windows(ledger, asset, remade[name])
        ledger.save_contracts([(asset, wanted.text(asset)) for asset in assets.values()])
        ledger.save_metrics({name: wanted.text(metric) for name, metric in wanted.metrics.items()})
        forget_removed(ledger, list(assets.values()))
        # What could not be made before, the contracts as they are now may let through.
        try_now(ledger, assets, set_aside=True)
        write_applied(settings, wanted)
    return steps


def _touched(steps: Iterable[Step], wanted: Catalog, applied: Catalog) -> dict[str, Asset]:
    """Return the assets whose contract is not applied as it is, and those that lack something of which a step tells.

    The files may have changed since the steps were planned.
    """
    planned = {(step.kind, step.name) for step in steps}
    topics = {name for kind, name in planned if kind == "topic"}
    files = {PurePosixPath(name).stem for kind, name in planned if kind == "dbt"}

    def is_touched(asset: Asset) -> bool:
        old = applied.assets.get(asset.name)
        return (
            old is None
            or applied.text(old) != wanted.text(asset)
            or ("staging", asset.name) in planned
            or ("raw table", ".".join(asset.raw_name)) in planned
            or not topics.isdisjoint((asset.topic, control_topic(asset.domain).name))
            or staging_model(asset) in files
        )

    return {name: asset for name, asset in wanted.assets.items() if is_touched(asset)}


def _contract_steps(
    settings: Settings,
    wanted: Catalog,
    applied: Catalog,
    changes: Mapping[str, Change],
    rebuilt: Collection[str],
) -> Iterator[Step]:
    versions = by_dataset(applied.assets.values())
    for name, asset in wanted.assets.items():
        if name not in applied.assets:
            beside = " and ".join(one.name for one in versions.get(asset.dataset, ()))
            told = f"version {asset.version}, {len(asset.fields)} fields"
            yield Step("contract", name, "create", f"{told}, beside {beside}" if beside else told)
        elif applied.text(applied.assets[name]) != wanted.text(asset):
            change = changes[name]
            detail = "; ".join(d.sentence for d in change.differences) or "nothing about the data"
            yield Step("contract", name, "change", f"{change.kind}: {detail}")
            if name in rebuilt:
                is_draft = "draft" in (applied.assets[name].status, asset.status)
                why = "it is a draft" if is_draft else "they are empty"
                yield Step("staging", name, "rebuild", f"new tables, made again from raw, because {why}")
    missing = wanted.without_file(applied)
    manifest: Manifest | None = None
    # Readers are worth a word; a dbt project that cannot be parsed is no reason to apply nothing.
    with suppress(LakeError):
        manifest = load_manifest(settings) if missing else None
    for name in missing:
        reading = readers(applied.assets[name], (), manifest, ()) if manifest else []
        told = f"; it is read by {', '.join(reading)}" if reading else ""
        yield Step(
            "contract", name, "keep", f"its file is missing: it runs on as it was applied{told}; see `lake remove`"
        )


def _windows_to_remake(
    settings: Settings,
    ledger: Ledger,
    wanted: Catalog,
    applied: Catalog,
    changes: Mapping[str, Change],
    rebuilt: Mapping[str, Sequence[str]],
) -> dict[str, Sequence[str]]:
    """Return the windows that a changed contract affects, by asset.

    All of raw for a rebuilt asset, or one whose raw table an earlier removal kept.
    """
    assets = wanted.assets
    kept = [name for name, one in removed_assets(ledger).items() if "raw" in one.kept and name in assets]
    of_raw = {name: list(window_rows(settings, assets[name])) for name in kept if name not in applied.assets}
    versions = by_dataset(applied.assets.values())
    return {
        name: rebuilt[name]
        if name in rebuilt
        else of_raw.get(name) or _windows_judged_otherwise(ledger, asset, changes.get(name), versions)
        for name, asset in assets.items()
    }


def _windows_judged_otherwise(
    ledger: Ledger, asset: Asset, change: Change | None, versions: Mapping[str, Sequence[Asset]]
) -> list[str]:
    """Windows that a changed contract may judge otherwise.

    With a new major version all that the one before it has; after a breaking change that the contract allows, all that
    there are; otherwise those with rows in quarantine and those held back.
    """
    if change is None:
        older = [one for one in versions.get(asset.dataset, ()) if one.major < asset.major]
        return [published.window for published in ledger.windows(older[-1])] if older else []
    if change.kind == "none":
        return []
    stale = [
        published.window for published in ledger.windows(asset) if published.quarantined or change.kind == "breaking"
    ]
    return sorted({*stale, *(held.window for held in ledger.held_back(asset))})


def _domains(assets: Mapping[str, Asset]) -> list[str]:
    return sorted({asset.domain for asset in assets.values()})


def _connectors(settings: Settings, ledger: Ledger, assets: Mapping[str, Asset]) -> list[ConnectorSpec]:
    topics = left_out(ledger, assets.values())
    return [connector_for(settings, name, assets.values(), topics.get(name, ())) for name in _domains(assets)]


def _topics(assets: Mapping[str, Asset]) -> list[TopicSpec]:
    own = {asset.topic: topic_spec(asset) for asset in assets.values()}
    return [*own.values(), *(control_topic(domain) for domain in _domains(assets))]


def _raw_tables(assets: Mapping[str, Asset]) -> list[RawTableSpec]:
    return list({asset.topic: raw_table(asset) for asset in assets.values()}.values())


def _raw_table_steps(settings: Settings, assets: Mapping[str, Asset]) -> Iterator[Step]:
    for report in compare_raw_tables(settings, _raw_tables(assets)):
        yield from _step("raw table", ".".join(report.identifier), report.outcome, report.differences)


def _topic_steps(settings: Settings, assets: Mapping[str, Asset]) -> Iterator[Step]:
    for report in compare_topics(settings, _topics(assets)):
        yield from _step("topic", report.name, report.outcome, report.differences)


def _step(kind: str, name: str, outcome: str, differences: Sequence[str]) -> Iterator[Step]:
    match outcome:
        case "created":
            yield Step(kind, name, "create")
        case "updated":
            yield Step(kind, name, "change", "; ".join(differences))
        case "differs":
            yield Step(kind, name, "leave", "; ".join(differences))
