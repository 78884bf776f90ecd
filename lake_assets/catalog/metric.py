"""Model of a streaming metric: its file as frozen values, from which stream_app and its sink are configured."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePath
from typing import Literal

from lake_assets.catalog.model import FieldType

Function = Literal["count", "sum", "min", "max"]
GroupValue = str | int | bool


@dataclass(frozen=True, slots=True)
class Group:
    """A field of the metric's group; `type` is string, integer or boolean."""

    name: str
    type: FieldType


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of each group and tumbling window. `field` and `type` (of the field: integer or decimal) are None for
    a count. Decimals are kept and sent as whole numbers of their last digit (minor units), never as floats."""

    name: str
    function: Function
    description: str
    field: str | None = None
    type: FieldType | None = None

    @property
    def scale(self) -> int:
        """Digits behind the decimal point."""
        return (self.type.scale or 0) if self.type else 0


@dataclass(frozen=True, slots=True)
class Filter:
    """Condition of a metric: only events whose field has one of the values are counted."""

    field: str
    values: tuple[GroupValue, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One streaming metric: a source asset's events, folded by group and tumbling window of the event time (UTC).

    A window is closed, and final, once an event of its Kafka partition is `lateness` past its end; `window` divides a
    day. `transform` names a function, `module:function`, that receives each valid event. Windows that ended longer ago
    than `retention` are deleted.
    """

    name: str
    version: str
    description: str
    owners: tuple[str, ...]
    source: str
    groups: tuple[Group, ...]
    window: timedelta
    lateness: timedelta
    measures: tuple[Measure, ...]
    filters: tuple[Filter, ...] = ()
    transform: str | None = None
    retention: timedelta | None = None
    path: PurePath = field(default_factory=PurePath)

    @property
    def major(self) -> int:
        """The major version; each has topics, state and a table of its own."""
        return int(self.version.split(".")[0])

    @property
    def table(self) -> str:
        """The view's name: the metric's, with the major version from the second one on."""
        return self.name if self.major <= 1 else f"{self.name}_v{self.major}"

    @property
    def topic(self) -> str:
        """Rows for the sink. A hyphen stands in no domain's name, so no raw connector reads it."""
        return f"metric-{self.table}"

    @property
    def changelog(self) -> str:
        return f"{self.topic}-changelog"

    @property
    def late(self) -> str:
        return f"{self.topic}-late"

    @property
    def undecodable(self) -> str:
        return f"{self.topic}-undecodable"

    @property
    def window_ms(self) -> int:
        return self.window // timedelta(milliseconds=1)

    @property
    def lateness_ms(self) -> int:
        return self.lateness // timedelta(milliseconds=1)

    def definition(self) -> str:
        """Text of all that the state in the changelog depends on: metrics with the same definition can share it."""
        groups = ",".join(f"{group.name}:{group.type}" for group in self.groups)
        measures = ",".join(f"{m.name}:{m.function}:{m.field}:{m.type}" for m in self.measures)
        filters = ";".join(f"{filter.field} in {list(filter.values)}" for filter in self.filters)
        return f"{self.source}|{groups}|{measures}|{filters}|{self.transform}|{self.window_ms} ms|{self.lateness_ms} ms"
