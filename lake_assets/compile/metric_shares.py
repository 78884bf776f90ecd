"""Share of the metrics that one of several processes counts."""

from collections.abc import Mapping

from lake_assets.catalog.metric import Metric


def share_of(metrics: Mapping[str, Metric], number: int, processes: int) -> dict[str, Metric]:
    """Return the metrics of process `number`, from 1 on, of so many; those of one source are together."""
    sources = sorted({metric.source for metric in metrics.values()})
    mine = set(sources[number - 1 :: processes])
    return {name: metric for name, metric in metrics.items() if metric.source in mine}
