"""The report of `lake audit`: the audit of each asset, and the parity of each of their metrics with staging."""

from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.texts import Catalog
from lake_assets.ledger.audit import AssetAudit
from lake_assets.operations.audit import audit
from lake_assets.operations.metric_parity import MetricParity, reconcile_metric
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Audits in the order of the assets, and each metric of these assets with its parity."""

    audits: tuple[AssetAudit, ...]
    parities: tuple[tuple[Metric, MetricParity], ...]

    @property
    def in_balance(self) -> bool:
        return all(each.in_balance for each in self.audits) and all(parity.agrees for _, parity in self.parities)

    def parities_of(self, asset: str) -> list[MetricParity]:
        """Return the parities of the metrics that read this asset."""
        return [parity for metric, parity in self.parities if metric.source == asset]


def audit_report(settings: Settings, catalog: Catalog, assets: Sequence[Asset]) -> AuditReport:
    """Audit these assets of the applied catalog, then compare their metrics with staging. Raises Unavailable."""
    audits = audit(settings, assets)
    names = {asset.name for asset in assets}
    metrics = [metric for metric in catalog.metrics.values() if metric.source in names]
    return AuditReport(
        tuple(audits),
        tuple((metric, reconcile_metric(settings, metric, catalog.assets[metric.source])) for metric in metrics),
    )
