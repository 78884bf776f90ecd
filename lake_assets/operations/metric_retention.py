"""Delete windows of metrics that ended longer ago than the metric's retention."""

from collections.abc import Iterable
from datetime import datetime

from lake_assets.advisory_locks import explain_lock_waits
from lake_assets.catalog.metric import Metric
from lake_assets.compile.metric_tables import SCHEMA, expire_late, expire_rows, late_table
from lake_assets.ledger.ledger import Ledger


def expire_metrics(ledger: Ledger, metrics: Iterable[Metric], now: datetime) -> dict[str, int]:
    """Delete expired rows and late events; return the number of rows by metric, without those that had none.

    Metrics without a retention keep all windows. Raises Unavailable.
    """
    removed: dict[str, int] = {}
    for metric in metrics:
        if metric.retention is None:
            continue
        if ledger.connection.execute("select to_regclass(%s)", (f"{SCHEMA}.{late_table(metric)}",)).fetchone() == (
            None,
        ):
            continue
        before = now - metric.retention - metric.window
        with explain_lock_waits(ledger.connection), ledger.connection.transaction():
            ledger.connection.execute(expire_late(metric).encode(), {"before": before})
            rows = ledger.connection.execute(expire_rows(metric).encode(), {"before": before}).rowcount
        if rows:
            removed[metric.table] = rows
    return removed
