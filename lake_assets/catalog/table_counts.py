"""The two tables of an asset, and rows counted in both."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar

Key = TypeVar("Key")
TableName = Literal["staging", "quarantine"]
TABLES: tuple[TableName, TableName] = ("staging", "quarantine")


class TableCounts(NamedTuple):
    """Rows of staging and quarantine."""

    staging: int = 0
    quarantine: int = 0

    def of(self, table: TableName) -> int:
        """Return the rows of this table."""
        return self.staging if table == "staging" else self.quarantine

    def plus(self, table: TableName, rows: int) -> "TableCounts":
        """Return these counts with more rows of one table."""
        if table == "staging":
            return TableCounts(self.staging + rows, self.quarantine)
        return TableCounts(self.staging, self.quarantine + rows)

    def __str__(self) -> str:
        return f"({self.staging}, {self.quarantine})"


NO_ROWS = TableCounts()


def add_up(counts: Iterable[tuple[Key, TableName, int]]) -> dict[Key, TableCounts]:
    """Return the rows of both tables by key, such as a window."""
    totals: dict[Key, TableCounts] = {}
    for key, table, rows in counts:
        totals[key] = totals.get(key, NO_ROWS).plus(table, rows)
    return totals
