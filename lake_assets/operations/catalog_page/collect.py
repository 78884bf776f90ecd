"""Collection of the page's content: contracts and metrics, the dbt manifest, and figures if Postgres answers."""

from datetime import datetime

from lake_assets.applied_files import read_copy
from lake_assets.catalog.texts import NOTHING, Catalog
from lake_assets.dbt.compiled_manifest import compiled_manifest
from lake_assets.dbt.manifest import DbtProjectError, load_manifest, project_problem
from lake_assets.errors import Unavailable
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.catalog_page.assets import asset_entry, metric_entry, metric_readers
from lake_assets.operations.catalog_page.document import FORMAT, Document
from lake_assets.operations.catalog_page.figures import NO_FIGURES, Figures, read_figures
from lake_assets.operations.catalog_page.marts import Marts, read_marts
from lake_assets.settings import Settings

_NO_POSTGRES = (
    "Rows, quarantine, freshness, applied versions and results of checks are left out: Postgres did not answer when "
    "this page was built."
)
_NOTHING_APPLIED = "Nothing is applied yet: the contracts and metrics are those of the files."
_NO_MARTS = "The marts are left out: the dbt project cannot be parsed."
_OLD_MARTS = "The marts are those of an earlier state of the dbt project: its newest one cannot be parsed."


def collect(settings: Settings, now: datetime) -> Document:
    """Collect everything that can be read: without Postgres the contracts and marts, without their figures."""
    applied, figures, notes = _read_ledger(settings, now)
    catalog = applied if applied.assets else read_copy(settings)
    marts, about_marts = _read_marts(settings, catalog, figures or NO_FIGURES)
    numbers = figures or NO_FIGURES
    return Document(
        format=FORMAT,
        built_at=now,
        target=settings.target,
        has_figures=figures is not None,
        assets=tuple(
            asset_entry(asset, numbers, marts.readers_of_asset(name), metric_readers(catalog.metrics, asset))
            for name, asset in catalog.assets.items()
        ),
        marts=tuple(marts.entries),
        metrics=tuple(
            metric_entry(metric, catalog.assets[metric.source], numbers, marts.readers_of_metric(metric.table))
            for metric in catalog.metrics.values()
        ),
        notes=(*notes, *about_marts, *numbers.notes, *marts.notes),
    )


def _read_ledger(settings: Settings, now: datetime) -> tuple[Catalog, Figures | None, tuple[str, ...]]:
    try:
        with Ledger(settings) as ledger:
            applied = read_applied(ledger)
            if not applied.assets:
                return applied, None, (_NOTHING_APPLIED,)
            return applied, read_figures(settings, ledger, applied.assets, now), ()
    except Unavailable:
        return NOTHING, None, (_NO_POSTGRES,)


def _read_marts(settings: Settings, catalog: Catalog, figures: Figures) -> tuple[Marts, tuple[str, ...]]:
    try:
        manifest = load_manifest(settings)
    except DbtProjectError:
        return Marts(), (_NO_MARTS,)
    compiled = compiled_manifest(settings, manifest, introspect=figures is not NO_FIGURES)
    marts = read_marts(compiled, catalog.assets, catalog.metrics, figures, settings.profile.dbt_adapter)
    return marts, (_OLD_MARTS,) if project_problem(settings) else ()
