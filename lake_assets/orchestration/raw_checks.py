"""Dagster's checks that the metadata of raw tables can be read."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import dagster as dg

from lake_assets.catalog.model import Asset
from lake_assets.catalog.versions import by_dataset
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.refresh import observe
from lake_assets.orchestration.keys import raw_key
from lake_assets.settings import Settings

READABLE = "readable"


def readable_checks(settings: Settings, assets: Sequence[Asset]) -> dg.AssetChecksDefinition:
    """Return the check `readable` of each raw table; the sensor `raw_windows` reports their results too.

    They are one definition: with a thousand tables, one each takes a tenth of the time in which all definitions load.
    """
    by_key = {raw_key(asset): asset for asset in assets}
    specs = [
        dg.AssetCheckSpec(
            READABLE,
            asset=key,
            description="The metadata of the raw table can be read, so that landed rows are found.",
        )
        for key in by_key
    ]

    @dg.multi_asset_check(name="readable_raw_tables", specs=specs, can_subset=True)
    def readable(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        chosen = [key.asset_key for key in context.selected_asset_check_keys]
        with Ledger(settings) as ledger:
            unreadable = observe(settings, ledger, [by_key[key] for key in chosen], ledger.cursors()).unreadable
        for key in chosen:
            cause = unreadable.get(by_key[key].name)
            yield dg.AssetCheckResult(check_name=READABLE, asset_key=key, passed=cause is None, description=cause)

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
