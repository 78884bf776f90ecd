"""`lake remove`: remove an asset and its parts from the lake, in two steps.

The decision is recorded in the ledger before anything is changed, and from then on the contract is not applied. Each
later step can be repeated, so the same command finishes a removal whose process crashed.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from lake_assets.applied_files import write_applied
from lake_assets.bucket import is_local, local_path, remove
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.versions import applied_versions
from lake_assets.compile.connector import connector_name
from lake_assets.compile.dbt_sources import dbt_files
from lake_assets.compile.raw_table import raw_table
from lake_assets.compile.topic import control_topic
from lake_assets.dbt.manifest import load_manifest
from lake_assets.errors import LakeError
from lake_assets.landing.connect import connector_for, delete_connector, ensure_connector
from lake_assets.landing.files import window_rows
from lake_assets.landing.raw_tables import drop_raw_table, raw_location
from lake_assets.landing.topics import delete_topics, offsets, read_from_beginning
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.forgotten import receipts
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removed_assets import (
    RemovedAsset,
    all_unreferenced_files,
    decide_to_remove,
    delete_asset_rows,
    delete_dataset_rows,
    delete_topic_rows,
    left_out,
    removed_assets,
    set_removed,
    subscribe_again,
)
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.downstream import readers
from lake_assets.operations.orchestrator import Orchestrator
from lake_assets.settings import Settings
from lake_assets.warehouse.erasure import remove_below

KEEPABLE = ("topic", "raw", "tables", "files")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an asset: its `kind` and `name`, the action, and details for people."""

    kind: str
    name: str
    action: Literal["delete", "keep", "change"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """The action of `remove` for each part of an asset.

    `readers` are models and metrics that keep it from being removed. `versions` are the other applied versions of its
    dataset, which need topic and raw table. `begun` is the removal that a process left unfinished.
    """

    asset: Asset
    text: str
    kept: tuple[str, ...]
    parts: tuple[Part, ...]
    readers: tuple[str, ...]
    versions: tuple[str, ...]
    begun: RemovedAsset | None

    @property
    def checksum(self) -> str:
        """Identifies contract and parts; their numbers of rows may change."""
        if self.begun:
            return self.begun.checksum
        parts = [(part.kind, part.name, part.action) for part in self.parts]
        return hashlib.sha256(json.dumps([self.asset.name, self.text, parts]).encode()).hexdigest()[:12]


def removable(ledger: Ledger) -> dict[str, Asset]:
    """Return the applied assets, and those whose removal is unfinished or kept a part."""
    texts = {name: row.text for name, row in removed_assets(ledger).items() if row.kept or row.done_at is None}
    return {name: _parsed(name, text) for name, text in sorted((texts | ledger.contracts()).items())}


def plan_removal(settings: Settings, ledger: Ledger, asset: Asset, keep: Collection[str]) -> RemovalPlan:
    """Plan the removal of an asset that is `removable`. Changes nothing. Raises LakeError, Unavailable."""
    earlier = removed_assets(ledger).get(asset.name)
    begun = earlier if earlier and earlier.done_at is None else None
    contracts = ledger.contracts()
    text = contracts.get(asset.name) or (earlier.text if earlier else "")
    versions = [own.name for own in applied_versions(contracts, asset.dataset) if own.name != asset.name]
    # Raw rows of an old topic would be taken for repeats of a new one's, which begins at offset 0 again.
    names = set(begun.kept) if begun else {*keep, *(("topic",) if "raw" in keep else ())}
    kept = tuple(part for part in KEEPABLE if part in names)
    reading = () if begun else _readers(settings, ledger, asset)
    return RemovalPlan(
        asset,
        text,
        kept,
        tuple(_parts(settings, ledger, asset, kept, versions)),
        tuple(reading),
        tuple(versions),
        begun,
    )


def remove_asset(
    settings: Settings,
    ledger: Ledger,
    orchestrator: Orchestrator,
    asset: Asset,
    keep: Collection[str],
    checksum: str,
    *,
    on_progress: Callable[[str], None],
) -> RemovalPlan:
    """Execute the plan of `plan_removal` if it still has this checksum, or finish a removal that was begun with it.

    Raises LakeError when something reads the asset or the checksum is another one, ConnectorFailed, Unavailable.
    """
    ledger.ensure_schema()  # an older lake has no table of removals yet
    with ledger.locked("apply"):
        planned = plan_removal(settings, ledger, asset, keep)
        if planned.readers:
            raise LakeError(
                f"{asset.name} is read by {', '.join(planned.readers)}: remove them from the dbt project or the "
                "catalog first, then repeat the command. Nothing was removed."
            )
        if planned.checksum != checksum:
            raise LakeError(
                f"what would be removed has not the checksum {checksum}: look again without --confirm, nothing was "
                "removed."
            )
        if planned.begun is None:
            location = None if planned.versions else raw_location(settings, raw_table(asset))
            topic = None if planned.versions else asset.topic
            decide_to_remove(
                ledger,
                asset,
                planned.text,
                topic=topic,
                raw_location=location,
                kept=list(planned.kept),
                checksum=checksum,
            )
        _finish(settings, ledger, orchestrator, planned, on_progress)
    return planned


def _readers(settings: Settings, ledger: Ledger, asset: Asset) -> list[str]:
    return readers(asset, (), load_manifest(settings), read_applied(ledger).metrics.values())


def _parts(
    settings: Settings, ledger: Ledger, asset: Asset, kept: Collection[str], versions: Sequence[str]
) -> Sequence[Part]:
    shared = f"{' and '.join(versions)} needs it" if versions else ""

    def part(kind: str, name: str, keepable: str | None, detail: str, shared: str = "") -> Part:
        action = "keep" if shared or keepable in kept else "delete"
        return Part(kind, name, action, shared or detail)

    bounds = offsets(settings, [asset.topic]).get(asset.topic)
    location = raw_location(settings, raw_table(asset))
    missing = warehouse_for(settings).missing(asset)
    published, queued = ledger.windows(asset), ledger.pending([asset.name])
    counts = [f"{len(published):,} windows", f"{len({entry.window for entry in queued}):,} queued"]
    erasures = receipts(ledger, asset.dataset) if not versions else []
    parts: list[Part] = []
    if not versions:
        connector = connector_name(asset.domain)
        others = [
            own for own in read_applied(ledger).assets.values() if own.domain == asset.domain and own.name != asset.name
        ]
        detail = f"leaves out {asset.topic}" if others else "nothing else of the domain is applied"
        parts.append(Part("connector", connector, "change" if others else "delete", detail))
    if bounds is not None:
        records = sum(end - begin for begin, end in bounds.values())
        parts.append(part("topic", asset.topic, "topic", f"{records:,} offsets", shared))
    if location is not None:
        rows = sum(window_rows(settings, asset).values())
        parts.append(part("raw table", ".".join(asset.raw_name), "raw", f"{rows:,} rows and their files", shared))
    for table, rows in (
        (asset.name, sum(window.good for window in published)),
        (asset.quarantine_table, sum(window.quarantined for window in published)),
    ):
        name = f"{asset.staging_schema}.{table}"
        if f"create table {name}" not in missing:
            parts.append(part("table", name, "tables", f"{rows:,} rows and their files"))
    receipt_counts = [f"{len(erasures):,} receipts of erasures"] if erasures and "raw" not in kept else []
    parts.append(part("ledger", asset.name, None, ", ".join([*counts, *receipt_counts])))
    for relative in dbt_files(asset):
        if (settings.dbt_project / "models" / "staging" / relative).exists():
            parts.append(part("dbt", str(relative), "files", ""))
    parts.append(part("dagster", asset.name, None, "history" if versions else "history and partitions"))
    return parts


def _parsed(name: str, text: str) -> Asset:
    return parse_contract(text, PurePath(f"applied/{name}.yaml"))


def _finish(
    settings: Settings,
    ledger: Ledger,
    orchestrator: Orchestrator,
    planned: RemovalPlan,
    on_progress: Callable[[str], None],
) -> None:
    """Do all steps after the decision, including those that may be done already."""
    asset, kept, is_last = planned.asset, planned.kept, not planned.versions
    row = removed_assets(ledger)[asset.name]
    if is_last:
        # First of all: records that still arrived would create the raw table again.
        on_progress(f"connector {connector_name(asset.domain)}")
        _unsubscribe(settings, ledger, asset)
    with ledger.locked(f"dataset:{asset.dataset}"):
        if is_last:
            on_progress(f"topic {asset.topic} and raw table {'.'.join(asset.raw_name)}")
            _remove_topic_and_raw(settings, ledger, asset, row, kept)
        on_progress(f"tables of {asset.name}")
        if "tables" not in kept:
            warehouse_for(settings).drop(asset)
            _remove_folder(f"{settings.conformed}/{asset.dataset}/v{asset.major}")
            if settings.target == "aws":
                for table in (asset.name, asset.quarantine_table):
                    _remove_folder(f"{settings.staging_data}/{asset.staging_schema}/{table}")
        if "files" not in kept:
            _remove_generated(settings, asset)
        _remove_rows(ledger, asset, is_last, kept)
    on_progress("Dagster")
    orchestrator.delete_asset(asset, with_dataset=is_last)
    write_applied(settings, read_applied(ledger))
    set_removed(ledger, asset)


def _unsubscribe(settings: Settings, ledger: Ledger, asset: Asset) -> None:
    """Stop the domain's connector from reading the topic; wait until none of its tasks does."""
    applied = read_applied(ledger).assets
    if not any(own.domain == asset.domain for own in applied.values()):
        delete_connector(settings, connector_name(asset.domain))
        return
    topics = left_out(ledger, applied.values()).get(asset.domain, ())
    ensure_connector(settings, connector_for(settings, asset.domain, applied.values(), topics))


def _remove_topic_and_raw(
    settings: Settings, ledger: Ledger, asset: Asset, row: RemovedAsset, kept: Collection[str]
) -> None:
    group = f"connect-{connector_name(asset.domain)}"
    if "topic" not in kept:
        delete_topics(settings, [asset.topic])
        delete_topic_rows(ledger, asset.topic)
    elif "raw" not in kept:
        read_from_beginning(settings, group, asset.topic)
    if "raw" in kept:
        return
    others_in_raw = drop_raw_table(settings, raw_table(asset))
    if row.raw_location and row.raw_location.startswith(f"{settings.raw_warehouse}/"):
        _remove_folder(row.raw_location)
    if not any(own.domain == asset.domain for own in read_applied(ledger).assets.values()) and not others_in_raw:
        # A remaining raw table knows the committed offset of the control topic, and would skip a new one's records.
        delete_topics(settings, [control_topic(asset.domain).name])
        subscribe_again(ledger, asset.domain)


def _remove_rows(ledger: Ledger, asset: Asset, is_last: bool, kept: Collection[str]) -> None:
    with ledger.connection.transaction():
        if "tables" in kept:
            for url in all_unreferenced_files(ledger, asset):
                remove(url)
        delete_asset_rows(ledger, asset)
        ledger.connection.execute("delete from ledger.superseded_file where asset = %s", (asset.name,))
        if is_last and "raw" not in kept:
            delete_dataset_rows(ledger, asset)


def _remove_generated(settings: Settings, asset: Asset) -> None:
    for relative in dbt_files(asset):
        path = settings.dbt_project / "models" / "staging" / relative
        path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _remove_folder(url: str) -> None:
    if is_local(url):
        shutil.rmtree(local_path(url), ignore_errors=True)
    else:
        remove_below(url, ())
