"""A batch of judged events, column by column: what the fold adds up."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from lake_assets.catalog.metric import GroupValue, Metric

GroupKey = tuple[GroupValue, ...]


@dataclass(slots=True)
class Columns:
    """Good events of one batch; all lists are equally long.

    `positions` are places in the batch, `windows` starts of tumbling windows in milliseconds since 1970 UTC, `values`
    one list for each of `measured_fields(metric)`, in whole numbers of the last digit. `keys` tells events apart and is
    None when the source has no key. `newest` is the latest event time in milliseconds (of no event: 0).
    """

    positions: Sequence[int]
    groups: list[GroupKey]
    windows: list[int]
    values: list[list[int]]
    keys: list[Hashable] | None
    newest: int

    def keep(self, mask: Sequence[object]) -> "Columns":
        """Only the events whose place in `mask` is true; `newest` stays, for time has passed with every event."""
        return Columns(
            list(compress(self.positions, mask)),
            list(compress(self.groups, mask)),
            list(compress(self.windows, mask)),
            [list(compress(column, mask)) for column in self.values],
            None if self.keys is None else list(compress(self.keys, mask)),
            self.newest,
        )


def measured_fields(metric: Metric) -> tuple[str, ...]:
    """The fields that measures take, each once, in their order."""
    return tuple(dict.fromkeys(measure.field for measure in metric.measures if measure.field))


def needed_fields(metric: Metric) -> Iterator[str]:
    """The fields that groups, filters and measures take."""
    yield from (group.name for group in metric.groups)
    yield from (condition.field for condition in metric.filters)
    yield from measured_fields(metric)
