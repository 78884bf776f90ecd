"""`lake plan` and `lake apply`: what the contracts ask for, against what is there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath

from lake_assets.catalog.compare import Change, compare
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.versions import applied_versions
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.dbt_sources import dbt_files
from lake_assets.compile.raw_table import RawTableSpec, raw_table
from lake_assets.compile.topic import TopicSpec, control_topic, topic_spec
from lake_assets.conform.tokens import ensure_token_key
from lake_assets.errors import LakeError
from lake_assets.landing.connect import config_differences, connector_for, ensure_connector, failures
from lake_assets.landing.raw_tables import compare_raw_tables, ensure_raw_tables
from lake_assets.landing.topics import compare_topics, ensure_topics
from lake_assets.ledger.failures import try_now
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.apply_metrics import apply_metrics, metric_steps
from lake_assets.orchestration.manifest import Manifest, load_manifest
from lake_assets.orchestration.readers import readers
from lake_assets.orchestration.targets import mart_access_for, warehouse_for
from lake_assets.project import contract_text, read_catalog, read_metrics
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


class BreakingChange(LakeError):
    """A contract changed in a way that its readers cannot follow, without a new major version."""


def plan(settings: Settings) -> list[Step]:
    """Every step that `apply` would take, in order; empty when all is applied. Changes nothing.

    Raises ContractError, BreakingChange, Unavailable.
    """
    assets = read_catalog(settings)
    with Ledger(settings) as ledger:
        contracts = ledger.contracts() if ledger.exists() else {}
        changes = contract_changes(settings, assets, contracts)
        steps = list(_contract_steps(settings, assets, contracts, changes))
        remade = {name: _windows_to_remake(ledger, assets[name], changes.get(name), contracts) for name in assets}
    connectors = _connectors(settings, assets)
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
    for asset in assets.values():
        for sentence in warehouse.missing(asset):
            action, _, what = sentence.partition(" ")
            steps.append(Step("staging", asset.name, action, what))
    for asset in assets.values():
        for relative, text in dbt_files(asset).items():
            path = settings.dbt_project / "models" / "staging" / relative
            if not path.exists() or path.read_text("utf-8") != text:
                steps.append(Step("dbt", str(relative), "write"))
    closed = mart_access_for(settings).missing(mart_schemas(settings))
    steps += [Step("grant", schema, "grant", "analysts may read it") for schema in closed]
    steps += [
        Step(step.kind, step.name, step.action, step.detail)
        for step in metric_steps(settings, read_metrics(settings, assets), assets)
    ]
    steps += [
        Step("windows", name, "remake", f"{len(windows)} windows, {windows[0]} to {windows[-1]}")
        for name, windows in remade.items()
        if windows
    ]
    return steps


def apply(settings: Settings, on_progress: Callable[[str], None]) -> list[Step]:
    """Takes the steps of `plan` and returns them; running it again takes none.

    Tables come before topics and topics before connectors, because the sink drops records that have no table. A step
    that was interrupted is taken again next time. Raises what `plan` raises, and ConnectorFailed.
    """
    steps = [step for step in plan(settings) if step.changes_something]
    with Ledger(settings) as ledger:
        # Also when nothing changes: a newer lake may keep more in its ledger.
        ledger.ensure()
    assets = read_catalog(settings)
    if not steps:
        with Ledger(settings) as ledger:
            try_now(ledger, assets, set_aside=True)
        return []
    warehouse = warehouse_for(settings)
    with Ledger(settings) as ledger, ledger.locked("apply"):
        contracts = ledger.contracts()
        changes = contract_changes(settings, assets, contracts)
        remade = {name: _windows_to_remake(ledger, assets[name], changes.get(name), contracts) for name in assets}
        ensure_token_key(assets.values(), (parse_contract(contracts[name], PurePath(name)) for name in contracts))
        on_progress("raw tables")
        ensure_raw_tables(settings, _raw_tables(assets))
        on_progress("topics")
        ensure_topics(settings, _topics(assets))
        for spec in _connectors(settings, assets):
            on_progress(f"connector {spec.name}")
            ensure_connector(settings, spec)
        on_progress("staging and quarantine tables")
        for asset in assets.values():
            if warehouse.missing(asset):
                # Not while a run publishes: what it adds to a table that changes would have the old columns.
                with ledger.locked(f"dataset:{asset.dataset}"):
                    warehouse.ensure(asset)
        on_progress("dbt sources and grants")
        write_dbt_sources(settings, assets.values())
        mart_access_for(settings).ensure(mart_schemas(settings))
        apply_metrics(settings, read_metrics(settings, assets), assets, on_progress)
        for name, asset in assets.items():
            ledger.request(asset, remade[name])
            ledger.save_contract(asset, contract_text(asset))
        # What could not be made before, the contracts as they are now may let through.
        try_now(ledger, assets, set_aside=True)
    return steps


def contract_changes(
    settings: Settings, assets: Mapping[str, Asset], contracts: Mapping[str, str]
) -> dict[str, Change]:
    """How each applied asset's contract changed. Raises BreakingChange, with every sentence that explains it."""
    changes: dict[str, Change] = {}
    before: dict[str, Asset] = {}
    for name, asset in assets.items():
        if name in contracts:
            old = parse_contract(contracts[name], PurePath(f"applied/{name}.yaml"))
            changes[name], before[name] = compare(old, asset), old
    refused = {name: change for name, change in changes.items() if not change.allowed}
    if refused:
        reasons = "; ".join(
            f"{name}: {', '.join(d.sentence for d in change.differences if d.kind == 'breaking')}"
            for name, change in refused.items()
        )
        broken = [
            reader
            for name, change in refused.items()
            for reader in _readers(settings, {**assets, name: before[name]}, before[name], change)
        ]
        raise BreakingChange(
            f"the change would break those who read the tables ({reasons}): undo it, and make it in a copy of the file "
            f"with a new major version ({_next_versions(assets, refused)}), which gets tables beside the old ones. "
            + (f"It is read by {', '.join(broken)}." if broken else "No model and no metric reads it yet.")
        )
    return changes


def _next_versions(assets: Mapping[str, Asset], refused: Iterable[str]) -> str:
    """Such as `leads_v2.yaml, version 2.0.0`."""
    told: list[str] = []
    for name in sorted(refused):
        dataset = assets[name].dataset
        following = max(one.major for one in assets.values() if one.dataset == dataset)
        following = max(following, 1) + 1
        told.append(f"{dataset}_v{following}.yaml, version {following}.0.0")
    return "; ".join(told)


def _readers(settings: Settings, assets: Mapping[str, Asset], old: Asset, change: Change) -> list[str]:
    """Who would notice: of changed fields those that name them, of any other change all that read the asset."""
    paths = [difference.path.split(".") for difference in change.differences if difference.kind == "breaking"]
    fields = {path[1] for path in paths if path[0] == "fields"} if all(p[0] == "fields" for p in paths) else set[str]()
    return readers(old, fields, load_manifest(settings), read_metrics(settings, assets).values())


def _contract_steps(
    settings: Settings, assets: Mapping[str, Asset], contracts: Mapping[str, str], changes: Mapping[str, Change]
) -> Iterator[Step]:
    for name, asset in assets.items():
        if name not in contracts:
            beside = " and ".join(one.name for one in applied_versions(contracts, asset.dataset))
            told = f"version {asset.version}, {len(asset.fields)} fields"
            yield Step("contract", name, "create", f"{told}, beside {beside}" if beside else told)
        elif contracts[name] != contract_text(asset):
            change = changes[name]
            detail = "; ".join(d.sentence for d in change.differences) or "nothing about the data"
            yield Step("contract", name, "change", f"{change.kind}: {detail}")
    gone = sorted(contracts.keys() - assets.keys())
    manifest: Manifest | None = None
    # Who reads the tables is worth a word, and a model with a mistake in it is no reason to apply nothing.
    with suppress(LakeError):
        manifest = load_manifest(settings) if gone else None
    for name in gone:
        old = parse_contract(contracts[name], PurePath(f"applied/{name}.yaml"))
        reading = readers(old, (), manifest, ()) if manifest else []
        told = f"; it is read by {', '.join(reading)}" if reading else ""
        detail = f"its file is gone: nothing is deleted, but it is no longer refreshed{told}"
        yield Step("contract", name, "keep", detail)


def _windows_to_remake(ledger: Ledger, asset: Asset, change: Change | None, contracts: Mapping[str, str]) -> list[str]:
    """Windows that a changed contract may judge otherwise.

    With a new major version all that the one before it has; after a breaking change that the contract allows, all that
    there are; otherwise those with rows in quarantine and those held back.
    """
    if change is None:
        older = [one for one in applied_versions(contracts, asset.dataset) if one.major < asset.major]
        return [published.window for published in ledger.windows(older[-1])] if older else []
    if change.kind == "none":
        return []
    stale = [
        published.window for published in ledger.windows(asset) if published.quarantined or change.kind == "breaking"
    ]
    return sorted({*stale, *(held.window for held in ledger.held_back(asset))})


def _domains(assets: Mapping[str, Asset]) -> list[str]:
    return sorted({asset.domain for asset in assets.values()})


def _connectors(settings: Settings, assets: Mapping[str, Asset]) -> list[ConnectorSpec]:
    return [connector_for(settings, domain, assets.values()) for domain in _domains(assets)]


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
