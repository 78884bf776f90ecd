"""Dagster's check that the metadata of a raw table can be read."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.keys import raw_key
from lake_assets.settings import Settings

READABLE = "readable"


def readable_check(settings: Settings, asset: Asset) -> dg.AssetChecksDefinition:
    """Return the check `readable` of a raw table; the sensor `raw_windows` reports its result too."""

    @dg.asset_check(
        asset=raw_key(asset),
        name=READABLE,
        description="The metadata of the raw table can be read, so that landed rows are found.",
    )
    def readable() -> dg.AssetCheckResult:
        with Ledger(settings) as ledger:
            cause = observe(settings, ledger, [asset], ledger.cursors()).unreadable.get(asset.name)
        return dg.AssetCheckResult(passed=cause is None, description=cause)

    return readable


def readable_events(
    assets: Mapping[str, Asset], unreadable: Mapping[str, str], before: Collection[str], postponed: Collection[str] = ()
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the changed results; `before` are the assets whose tables could not be read until now.

    `postponed` tables were not tried.
    """
    if not unreadable and not before:
        return
    for versions in by_dataset(assets.values()).values():
        if any(version.name in postponed for version in versions):
            continue
        cause = next((unreadable[version.name] for version in versions if version.name in unreadable), None)
        if (cause is not None) != any(version.name in before for version in versions):
            yield _evaluation(versions, cause)


def _evaluation(versions: Sequence[Asset], cause: str | None) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=raw_key(versions[-1]),
        check_name=READABLE,
        passed=cause is None,
        description=cause,
        metadata={},
        blocking=False,
    )
