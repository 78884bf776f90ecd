"""Model of a board: charts of marts and metrics, as a dbt project describes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

Kind = Literal["bar", "line", "number", "table"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ColumnKind = Literal["number", "time", "text"]
# Values of one column of a mart are added up; a metric's lowest or highest values are not.
Combine = Literal["sum", "min", "max"]
FilterValue = str | int | bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that charts may name. `combine` joins the values of several rows into one number."""

    kind: ColumnKind
    combine: Combine = "sum"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view that charts read. `time` is the column that `last` means where a chart has no time as its x.

    `metric` is the name of the metric's view, None for a mart. `assets` are schema and name of the staging tables that
    a mart reads.
    """

    schema: str
    name: str
    columns: Mapping[str, Column]
    time: str | None = None
    metric: str | None = None
    assets: frozenset[tuple[str, str]] = frozenset()

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a chart: a column's values, or with a denominator the quotient of two columns' sums."""

    column: str
    denominator: str | None = None

    @property
    def name(self) -> str:
        return f"{self.column} / {self.denominator}" if self.denominator else self.column


@dataclass(frozen=True, slots=True)
class Filter:
    """Condition of a chart: only rows whose column has one of the values."""

    column: str
    values: tuple[FilterValue, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `x` is None for a number. `last` limits the rows to those whose `time` is at most that long ago.

    `unit` stands beside the numbers; with `%` they are fractions, shown as percentages.
    """

    title: str
    kind: Kind
    table: Table
    x: str | None
    y: tuple[Value, ...]
    color: str | None = None
    filters: tuple[Filter, ...] = ()
    last: timedelta | None = None
    time: str | None = None
    unit: str = ""

    @property
    def is_live(self) -> bool:
        return self.table.metric is not None


@dataclass(frozen=True, slots=True)
class Board:
    """One page: an exposure of the dbt project, with its charts. `problems` are sentences about charts left out."""

    name: str
    label: str
    description: str
    owner: str
    charts: tuple[Chart, ...] = field(default=())
    problems: tuple[str, ...] = ()
