"""The catalog that `lake apply` applies: its files, without those whose change is refused."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from lake_assets.catalog.compare import UNCHANGED, Change, compare
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.dbt.manifest import load_manifest
from lake_assets.errors import LakeError, Unavailable
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removed_assets import check_removal, removed_assets
from lake_assets.operations.downstream import readers
from lake_assets.operations.drafts import empty_assets, windows_to_rebuild
from lake_assets.project import read_files
from lake_assets.settings import Settings
from lake_assets.warehouse.metric_tables import applied_definitions


class BreakingChange(LakeError):
    """A contract changed in a way that its readers cannot follow, without a new major version."""


class MetricChanged(LakeError):
    """A metric's definition changed without a new major version, so its numbers would not fit those already counted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The catalog to apply, the changes of its applied assets, and the windows to build from raw by rebuilt asset.

    A file whose change is refused is one of the catalog's problems, like one that cannot be parsed: only this file is
    left out, and its applied contract stays.
    """

    catalog: Catalog
    changes: Mapping[str, Change]
    rebuilt: Mapping[str, Sequence[str]]


def wanted_catalog(settings: Settings, ledger: Ledger, applied: Catalog) -> Wanted:
    """Read the files, and compare them with the applied catalog. Raises Unavailable."""
    refused: dict[PurePath, str] = {}
    removals = removed_assets(ledger)
    while True:
        catalog = read_files(settings, applied, refused)
        empty = empty_assets(ledger, catalog, applied)
        changes: dict[str, Change] = {}
        rebuilt: dict[str, list[str]] = {}
        refusals: dict[PurePath, str] = {}
        for name, asset in catalog.assets.items():
            try:
                check_removal(asset, removals)
                if name in applied.assets and applied.text(applied.assets[name]) == catalog.text(asset):
                    changes[name] = UNCHANGED
                elif name in applied.assets:
                    changes[name] = contract_change(settings, catalog, applied, name, empty)
                    windows = windows_to_rebuild(settings, ledger, applied.assets[name], asset, changes[name])
                    if windows is not None:
                        rebuilt[name] = windows
            except LakeError as error:
                # An applied contract is not a file, and cannot be refused.
                if isinstance(error, Unavailable) or asset is applied.assets.get(name):
                    raise
                refusals[asset.path] = str(error)
        refusals |= {metric.path: str(error) for metric, error in _changed_metrics(settings, catalog)}
        # Without a refused file others may be invalid, such as a metric of a field that only that file has.
        if refusals.keys() <= refused.keys():
            return Wanted(catalog, changes, rebuilt)
        refused |= refusals


def contract_change(
    settings: Settings, wanted: Catalog, applied: Catalog, name: str, empty: Collection[str] = ()
) -> Change:
    """Return how an applied asset's contract changed. Raises BreakingChange, with the sentence that explains it.

    Tables that are `empty` and have no readers may change in any way; an asset with readers cannot become a draft.
    """
    before, asset = applied.assets[name], wanted.assets[name]
    change = compare(before, asset)
    to_draft = asset.status == "draft" and before.status != "draft"
    if to_draft or (name in empty and not change.allowed):
        reading = _readers(settings, applied, before, None)
        if to_draft and reading:
            raise BreakingChange(
                f"{name} cannot become a draft, because it is read by {', '.join(reading)}: leave it "
                f"`status: {before.status}`, or remove what reads it first."
            )
        change = replace(change, allowed=change.allowed or not reading)
    if not change.allowed:
        reasons = ", ".join(d.sentence for d in change.differences if d.kind == "breaking")
        broken = _readers(settings, applied, before, change)
        raise BreakingChange(
            f"the change would break those who read the tables ({name}: {reasons}): undo it, and make it in a copy of "
            f"the file with a new major version ({_next_version(wanted.assets, asset)}), which gets tables beside the "
            f"old ones. "
            + (f"It is read by {', '.join(broken)}." if broken else "No model and no metric reads it yet.")
        )
    return change


def _next_version(assets: Mapping[str, Asset], asset: Asset) -> str:
    """Return, for example, `leads_v2.yaml, version 2.0.0`."""
    newest = max(version.major for version in assets.values() if version.dataset == asset.dataset)
    following = max(newest, 1) + 1
    return f"{asset.dataset}_v{following}.yaml, version {following}.0.0"


def _readers(settings: Settings, applied: Catalog, old: Asset, change: Change | None) -> list[str]:
    """Return the readers that a change affects: those that name a changed field, or all for any other change."""
    differences = change.differences if change else ()
    paths = [difference.path.split(".") for difference in differences if difference.kind == "breaking"]
    fields = {path[1] for path in paths if path[0] == "fields"} if all(p[0] == "fields" for p in paths) else set[str]()
    return readers(old, fields, load_manifest(settings), applied.metrics.values())


def _changed_metrics(settings: Settings, catalog: Catalog) -> Iterator[tuple[Metric, MetricChanged]]:
    definitions = applied_definitions(settings, catalog.metrics.values())
    for metric in catalog.metrics.values():
        if metric.table in definitions and definitions[metric.table] != metric.definition():
            yield (
                metric,
                MetricChanged(
                    f"the definition of '{metric.name}' changed: rows counted so far would not fit those to come. "
                    "Raise the metric's major version, which starts a new one beside it, or undo the change."
                ),
            )
